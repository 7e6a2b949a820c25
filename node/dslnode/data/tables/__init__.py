"""Tables: rows from files of several kinds, what their columns are, and the arrays that they become."""

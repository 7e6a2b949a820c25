"""What is left of a simulation: tables, a page with plots, and how to do the same on real boards."""

"""The command line: commands and views for the terminal. Global effects live here only."""

"""Readers of file formats: each hands over arrays as they are in the file."""

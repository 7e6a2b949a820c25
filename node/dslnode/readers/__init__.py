"""Reads files of data into plain arrays: one module for each kind of format, and the bounds and rules for all."""

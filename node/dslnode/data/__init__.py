"""Data sets: one way in, partitions among nodes, checks."""

"""Composition and life of one node."""

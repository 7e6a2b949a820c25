"""Masks to bytes and back: raw, as positions or by a range coder; alone or against a reference mask."""

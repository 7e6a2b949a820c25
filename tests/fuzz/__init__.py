"""Bytes that nobody meant, for everything that reads bytes from outside."""

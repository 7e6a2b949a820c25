"""Masks to bytes and back, near their entropy: nothing here knows of sockets, learners or nodes."""

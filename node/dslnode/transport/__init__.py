"""Talking to neighbours over gRPC: the only part of dslnode that knows sockets."""

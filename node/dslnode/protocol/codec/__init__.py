"""A mask to bytes and back: raw, as positions, or by a range coder; on its own or against a reference."""

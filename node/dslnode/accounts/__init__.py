"""What a node pays for its masks: the ledger of bytes, and the data plan that keeps it inside a cap."""

"""What a node pays for its masks, as values and as a file: the ledger of bytes, and a plan that keeps a cap."""

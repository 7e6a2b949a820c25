"""What was paid, in bytes: the ledger, the data plan, and the pace of exchanges that keeps to it."""

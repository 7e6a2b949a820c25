"""Bytes paid: the ledger, the data plan, and the schedule of exchanges that keeps to it."""

"""The tasks that a node can learn; nothing outside ``learning`` knows which one runs."""

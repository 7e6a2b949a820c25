"""What a node reports: metrics, status, its page, its log."""

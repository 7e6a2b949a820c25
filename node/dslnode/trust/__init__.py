"""Who may take part: the operator's authority, tickets and certificates, and what is open to nodes without them."""

"""Who may take part: the authority, tickets, certificates, mutual TLS, and what is open without them."""

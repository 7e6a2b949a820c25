"""Who may take part: authority, tickets, certificates, mutual TLS, and what is open without them."""

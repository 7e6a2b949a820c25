"""MCE-PL in torch, one step of the paper a module. Knows no network, clock or disk."""

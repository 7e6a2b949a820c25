"""``dslnode doctor``: a module per subject gathers facts, checks them, and returns findings for the examination."""

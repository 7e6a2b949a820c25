"""``dslnode doctor``: facts are looked up at the edge, checks turn them into findings, which the examination prints."""

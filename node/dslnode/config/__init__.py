"""Every setting of a node: meaning, default, where its value comes from, and as text."""

"""Other simulators beside ours, each in an environment of its own: the same data, model and local steps."""

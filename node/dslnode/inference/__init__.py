"""Personal models at work: their file, and predictions from it with numpy alone."""

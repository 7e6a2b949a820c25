"""Personal models in each of their formats: bytes, start, memory, time, and whether they answer alike."""

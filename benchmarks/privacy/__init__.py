"""What a model, or what a neighbour sees of it, tells about the examples that it was trained on."""

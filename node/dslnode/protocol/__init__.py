"""What two nodes must agree on: masks, messages, codec, rounds, membership. No clock, socket, thread or torch."""

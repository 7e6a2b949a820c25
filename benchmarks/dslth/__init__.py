"""The Distributed Strong Lottery Ticket Hypothesis in numbers: one random network, a mask a node, any target."""

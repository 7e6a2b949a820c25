"""A network of nodes in virtual time on one machine: learner, round machine and codec are the daemon's own."""

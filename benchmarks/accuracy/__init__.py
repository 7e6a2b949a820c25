"""Accuracy of the learner against local training, gossip averaging and the authors' form: many nodes, one process."""

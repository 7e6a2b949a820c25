"""Which peers to have links with: the membership of the network, discovery, problems with peers."""

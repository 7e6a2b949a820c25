"""What attackers cost a training pair of nodes, one attack after the other."""

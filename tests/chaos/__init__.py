"""Many real daemons over a bad network that the tests make themselves."""

"""What a mask costs: coded, framed, and as daemons exchange it."""

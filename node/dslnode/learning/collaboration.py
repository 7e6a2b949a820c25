"""How far a node leans on its neighbours, by what aggregation did to its personal model on held-out data.

The factor is that of both ways to lean: of the step towards the neighbours' scores (consensus) and of the aggregation
strength alpha. It falls and rises by steps, so that one unlucky measurement does not decide, and a node whose
neighbours help later than its own data do comes back to them.
"""

from __future__ import annotations

import math

LESS = 0.7
MORE = 1.5
LEAST = 0.1
"""Even a node whose neighbours seem of no use goes on hearing a little, or it could never find out otherwise."""
CHANCE = 0.32
"""Over the root of the number of held-out examples: the loss that chance explains, 0.02 for 256 and 0.1 for ten.
Shyness costs more than it saves where neighbours do help."""


def is_worse(before: float, after: float, judges: int) -> bool:
    """Tell whether aggregation made the personal model worse, by its accuracy, 0 to 1, on so many held-out examples."""
    return after < before - CHANCE / math.sqrt(judges)


def adapted(leaning: float, *, worse: bool) -> float:
    """Return the next factor, ``LEAST`` to 1, after a round that made the personal model ``worse``, or did not."""
    return max(LEAST, leaning * LESS) if worse else min(1.0, leaning * MORE)

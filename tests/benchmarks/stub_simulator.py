"""A simulator that only tells figures: with 0 nodes it fails, with fewer it never ends."""

from __future__ import annotations

import json
import signal
import sys

if __name__ == "__main__":
    nodes = int(sys.argv[2])
    if nodes < 0:
        signal.pause()
    if nodes == 0:
        raise ValueError("this task cannot be run")
    print("first a word")
    print(json.dumps({"seconds_per_round": 0.5, "edges": nodes, "accuracy": 1}))

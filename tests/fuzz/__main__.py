"""``make fuzz``: mutated inputs for every decoder, then raw HTTP/2 clients against a live daemon.

``python -m tests.fuzz [--inputs N] [--sessions N] [--seconds S] [--seed N]`` ends with 0 if nothing crashed, grew or
hung, within so many inputs and seconds.
"""

from __future__ import annotations

import argparse
import random
import resource
import signal
import sys
import time
from collections.abc import Callable

from tests.cluster.processes import NodeProcess, free_port
from tests.fuzz.attack import attack, check_alive
from tests.fuzz.decoders import DECODERS, Decoder
from tests.fuzz.mutation import mutate

SHARES = {
    "conversation": 3.0,
    "range": 0.3,
    "ticket": 0.05,
    "revocation list": 0.05,
    "certificate": 0.5,
    "revocation list behind its PEM": 0.05,
    "state behind its checksum": 0.5,
}
"""How many inputs a decoder gets, if not as many as most."""
HANG_SECONDS = 5
MAX_GROWTH = 64 << 20
PATIENCE = 300.0
LIFE = ("--local-steps", "1", "--samples-per-class", "3", "--evaluate-every", "1000")


def main() -> int:
    """Fuzz, and say how much of it was done."""
    chosen = _arguments()
    each = chosen.inputs / sum(SHARES.get(name, 1.0) for name in DECODERS)
    total = 0
    for name, decoder in DECODERS.items():
        total += fuzz(name, decoder, round(each * SHARES.get(name, 1.0)), chosen.seconds, chosen.seed)
    print(f"{total:,} inputs to {len(DECODERS)} decoders")
    with NodeProcess("attacked", free_port(), *LIFE) as node:
        node.wait_for(lambda line: line["event"] == "round", PATIENCE)
        outcome = attack(node, chosen.seed, chosen.sessions, chosen.seconds)
        check_alive(node)
    sent, grown = f"{outcome.sent_bytes:,} bytes", f"{outcome.grown >> 10:,} KiB"
    print(f"{outcome.sessions:,} sessions ({sent}) to a live daemon, grown {grown}")
    assert outcome.grown < MAX_GROWTH, "the daemon grew"
    return 0


def fuzz(name: str, decoder: Decoder, inputs: int, seconds: float, seed: int) -> int:
    """Give a decoder so many inputs, or for so long; return how many it got. Raises what it should not have raised."""
    chance, began, before = random.Random(f"{seed} {name}"), time.monotonic(), _peak()
    done = liked = 0
    signal.signal(signal.SIGPROF, _hang)
    while done < inputs and time.monotonic() - began < seconds:
        content = mutate(chance.choice(decoder.right), decoder.right, chance)
        signal.setitimer(signal.ITIMER_PROF, HANG_SECONDS)
        liked += _read(name, lambda content=content: decoder.survives(content), content)  # type: ignore[misc]
        done += 1
        if done == inputs // 10:
            before = _peak()
    signal.setitimer(signal.ITIMER_PROF, 0)
    grown = _peak() - before
    print(f"{name}: {done:,} inputs, {liked:,} of them read, grown {grown >> 10:,} KiB", flush=True)
    assert grown < MAX_GROWTH, f"{name} grew"
    return done


def _read(name: str, read: Callable[[], bool], content: bytes) -> bool:
    try:
        return read()
    except BaseException:
        print(f"{name} did not survive {content!r}", file=sys.stderr)
        raise


def _hang(*_: object) -> None:
    raise TimeoutError(f"an input took over {HANG_SECONDS} s of the processor")


def _peak() -> int:
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--inputs", type=int, default=1_100_000, help="inputs to the decoders together")
    parser.add_argument("--sessions", type=int, default=5_000, help="raw clients of a live daemon")
    parser.add_argument("--seconds", type=float, default=600.0, help="at most for each decoder and for the daemon")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

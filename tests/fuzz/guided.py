"""Fuzzing by hand, guided by coverage: ``python -m tests.fuzz.guided DECODER [libFuzzer's options]``.

Needs ``atheris`` (the extra ``fuzz``). As ``-max_total_time=60`` says, or until an input is not survived; libFuzzer
then writes it to ``crash-...`` in the working directory.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["dslnode"]):
    from tests.fuzz.decoders import DECODERS


def main() -> None:
    """Fuzz one decoder, from the inputs that it reads rightly."""
    name, *options = sys.argv[1:] or [""]
    if name not in DECODERS:
        raise SystemExit(f"which decoder? One of: {', '.join(DECODERS)}")
    with tempfile.TemporaryDirectory() as corpus:
        for number, content in enumerate(DECODERS[name].right):
            Path(corpus, str(number)).write_bytes(content)
        atheris.Setup([sys.argv[0], corpus, *options], DECODERS[name].survives)
        atheris.Fuzz()


if __name__ == "__main__":
    main()

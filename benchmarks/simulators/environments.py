"""Environments of the other simulators: a venv each, with torch from the environment that this process runs in."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import torch

TORCH_FROM = "torch_from.pth"
PATIENCE = 1800
"""Seconds for one call of pip."""


class Unavailable(Exception):
    """A simulator cannot be made or run; says why."""


@dataclass(frozen=True, kw_only=True)
class Simulator:
    """Another simulator: the engine's name in rows, the module that runs it, and what pip installs, call by call."""

    engine: str
    module: str
    installs: tuple[tuple[str, ...], ...]


FLOWER = Simulator(
    engine="flower",
    module="benchmarks.simulators.flower_run",
    installs=(("flwr[simulation]==1.42.0",),),
)
P2PFL = Simulator(
    engine="p2pfl",
    module="benchmarks.simulators.p2pfl_run",
    installs=(
        # What it imports, in versions that go with the old `datasets` that it pins
        (
            *("numpy<2", "pyarrow<19", "huggingface_hub<0.25", "datasets==2.15.0", "pandas<3", "opendp>=0.13"),
            *("grpcio<2", "protobuf", "psutil<6", "pyyaml<7", "tqdm<5", "lightning-utilities"),
        ),
        # With their requirements these would bring another torch
        ("--no-deps", "p2pfl==0.4.4", "lightning>=2.4,<3", "pytorch-lightning>=2.4,<3", "torchmetrics>=1.3.1,<2"),
    ),
)
SIMULATORS = (FLOWER, P2PFL)


def made(simulator: Simulator, directory: Path) -> Path:
    """Return the Python of a simulator's environment below ``directory``, which is made if it is missing.

    Takes a minute or two, and needs pip's index. Raises ``Unavailable`` with what pip said.
    """
    home = directory.absolute() / simulator.engine
    python = home / "bin" / "python"
    path_file = Path(sysconfig.get_path("purelib", "posix_prefix", vars={"base": str(home)})) / TORCH_FROM
    if not path_file.exists():
        _call([sys.executable, "-m", "venv", "--clear", str(home)])
        for packages in simulator.installs:
            _call([str(python), "-m", "pip", "install", "--quiet", *packages])
        # Last, so that pip does not see our packages, and so that it says that all is there
        path_file.write_text(f"{Path(torch.__file__).parents[1]}\n", encoding="utf-8")
    return python


def _call(command: list[str]) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=PATIENCE)
    except (OSError, subprocess.SubprocessError) as error:
        said = str(getattr(error, "stderr", None) or error).strip().splitlines()
        raise Unavailable(f"its environment cannot be made: {said[-1]}") from error

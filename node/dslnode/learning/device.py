"""On which processor the network runs. Scores, masks and all that travels stay on the CPU, in the same arithmetic."""

from __future__ import annotations

from collections.abc import Callable

import torch

from dslnode.errors import SettingsError
from dslnode.learning.options import Device

AVAILABLE: dict[Device, Callable[[], bool]] = {
    "cpu": lambda: True,
    "cuda": torch.cuda.is_available,
    "mps": torch.backends.mps.is_available,
}


def torch_device(name: Device) -> torch.device:
    """Return the device. Raises ``SettingsError`` if this machine, or this build of torch, has none of that name."""
    if not AVAILABLE[name]():
        there = ", ".join(device for device, is_available in AVAILABLE.items() if is_available())
        raise SettingsError(
            f"device: torch {torch.__version__} finds no {name} here, only {there}; install a build of torch for it, or"
            " set device to cpu"
        )
    return torch.device(name)

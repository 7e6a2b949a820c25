"""A data set of one's own: windows of an accelerometer, made up here so that the example needs no files.

Try it from this directory: ``dslnode start --data sensor_windows:load --rounds 20``.
"""

from __future__ import annotations

import numpy as np

from dslnode.data.dataset import DataSet, Examples

WINDOWS, STEPS, AXES = 1_200, 32, 3
KINDS = ("lying still", "walking", "shaking")
CYCLES = (0.0, 2.0, 7.0)  # a window, by kind


def load() -> DataSet:
    """Return windows float32 (n, 32 steps, 3 axes) in [0, 1] and their kinds int64 (n,).

    The seed is fixed: every node of a run must see the same examples in the same order, or shares would overlap.
    """
    generator = np.random.default_rng(7)
    kinds = generator.integers(len(KINDS), size=WINDOWS)
    time = np.linspace(0, 2 * np.pi, STEPS)
    phase = generator.uniform(0, 2 * np.pi, size=(WINDOWS, 1, AXES))
    cycles = np.array(CYCLES)[kinds][:, None, None]
    swing = np.where(cycles > 0, np.sin(cycles * time[None, :, None] + phase), 0.0)
    noisy = swing + generator.normal(0, 0.5, size=swing.shape)
    windows = np.clip(0.5 + 0.2 * noisy, 0, 1).astype(np.float32)
    return DataSet(Examples(windows, kinds.astype(np.int64)), held_out=None, class_count=len(KINDS), name="sensors")

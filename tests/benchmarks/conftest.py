"""Benchmarks draw pictures: the first import of matplotlib's fonts starts a process, which no unit test may."""

from __future__ import annotations

import matplotlib.font_manager  # noqa: F401 (for its effect, while tests are collected)

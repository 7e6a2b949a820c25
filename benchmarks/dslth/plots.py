"""The picture: the worst node's error against the width, by number of nodes and by keep ratio, as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.dslth.measuring import Measurement, falls, worst_errors
from benchmarks.dslth.theory import FIT_FROM, Line, counted_bits, counted_slope

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NODE_COLOURS = ("#0b7285", "#e8590c", "#5f3dc4")
RATIO_COLOURS = ("#5f3dc4", "#2b8a3e", "#c2255c", "#868e96")  # the first curve is the last of the other panel


def draw(measurements: Sequence[Measurement], node_counts: Sequence[int], directory: Path) -> Path:
    """Draw dslth.svg into the directory, made if need be; return the file."""
    from matplotlib import pyplot

    # Equal figures give equal files; letters stay letters, which makes the file smaller than outlines would.
    pyplot.rcParams.update({"svg.hashsalt": "dslnode", "svg.fonttype": "none"})
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 5), sharey=True, layout="constrained")
    _by_nodes(left, [one for one in measurements if one.ratio is None], node_counts)
    _by_ratio(right, measurements, max(node_counts))
    left.set_ylabel("largest output error of the worst node")
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / "dslth.svg"
    figure.savefig(file, metadata={"Date": None})
    pyplot.close(figure)
    return file


def _by_nodes(axes: Axes, unrestricted: list[Measurement], node_counts: Sequence[int]) -> None:
    """Draw a curve for each number of nodes, and what no target exceeds where that was computed."""
    for nodes, colour in zip(node_counts, NODE_COLOURS, strict=False):
        _curve(axes, unrestricted, nodes, f"{nodes} node{'s' if nodes > 1 else ''}", colour)
    points = [(one.candidates, float(np.median(one.bounds))) for one in unrestricted if one.bounds is not None]
    axes.plot(*zip(*points, strict=True), color="#343a40", linestyle="-.", label="bound for all targets (median)")
    _label(axes, unrestricted, "More nodes shift the line (any number kept)")


def _by_ratio(axes: Axes, measurements: Sequence[Measurement], nodes: int) -> None:
    for ratio, colour in zip(dict.fromkeys(one.ratio for one in measurements), RATIO_COLOURS, strict=False):
        some = [measurement for measurement in measurements if measurement.ratio == ratio]
        _curve(axes, some, nodes, "any number kept" if ratio is None else f"{ratio} kept", colour)
    _label(axes, some, f"A smaller keep ratio costs slope ({nodes} nodes)")


def _curve(axes: Axes, measurements: list[Measurement], nodes: int, name: str, colour: str) -> None:
    """Draw medians as points, a band of the middle half, the fitted line and the predicted curve."""
    widths = [measurement.candidates for measurement in measurements]
    worst = [worst_errors(measurement.errors, nodes) for measurement in measurements]
    low, middle, high = (np.array([np.quantile(errors, part) for errors in worst]) for part in (0.25, 0.5, 0.75))
    axes.fill_between(widths, low, high, color=colour, alpha=0.12, linewidth=0)
    axes.plot(widths, middle, "o", color=colour, markersize=4)
    fitted = [width for width in widths if width >= FIT_FROM]
    line, _deviation = falls(measurements, nodes)
    ratio = measurements[0].ratio
    label = f"{name}: {line.slope:.2f} (predicted {counted_slope(widths, ratio):.2f})"
    axes.plot(fitted, [line.error(width) for width in fitted], color=colour, label=label)
    axes.plot(fitted, _predicted(line, fitted, ratio), color=colour, linestyle=":", linewidth=1.2)


def _predicted(line: Line, widths: Sequence[int], ratio: float | None) -> list[float]:
    """Return the errors that counting subsets predicts, up to a factor: the one that puts them around the line."""
    relative = np.exp2([-counted_bits(width, ratio) for width in widths])
    factor = np.exp(np.mean(np.log([line.error(width) for width in widths]) - np.log(relative)))
    predicted: list[float] = (factor * relative).tolist()
    return predicted


def _label(axes: Axes, measurements: Sequence[Measurement], title: str) -> None:
    axes.set_yscale("log", base=2)
    axes.minorticks_off()
    axes.set_xticks([measurement.candidates for measurement in measurements])
    axes.set_xlabel("random candidates n a target weight (4 n units in the first layer)")
    axes.set_title(title, fontsize="medium")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize="small", loc="lower left", title="bits a candidate; dotted: predicted")

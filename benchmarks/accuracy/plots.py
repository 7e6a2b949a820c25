"""Pictures of the curves: accuracy against bits and against rounds, the worst node, flips and density; as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.accuracy.curves import mean_curve
from benchmarks.accuracy.methods import RECIPES
from benchmarks.accuracy.run import Record

COLOURS = dict(
    zip(
        RECIPES,
        ("#0b7285", "#1098ad", "#66a80f", "#74b8c4", "#e8590c", "#868e96", "#5f3dc4", "#9775fa", "#2b8a3e", "#c2255c"),
        strict=True,
    )
)
PICTURES = {
    "rounds": ("steps", "accuracy", "local steps", "personal accuracy, % (validation)"),
    "bits": ("payload_bits", "accuracy", "bits sent by all nodes, coded", "personal accuracy, % (validation)"),
    "worst": ("steps", "worst_node", "local steps", "accuracy of the worst node, % (validation)"),
    "flips": ("steps", "flips", "local steps", "fraction of mask bits that flip a round"),
    "density": ("steps", "density", "local steps", "fraction of ones in the masks"),
}


def draw_all(records: Sequence[Record], directory: Path) -> list[Path]:
    """Draw every picture of every case and model; return the files."""
    directory.mkdir(parents=True, exist_ok=True)
    files = []
    for case, model in dict.fromkeys((record["case"], record["model"]) for record in records):
        some = [record for record in records if (record["case"], record["model"]) == (case, model)]
        for name in PICTURES:
            files.append(directory / f"{case}-{model}-{name}.svg")
            _draw(name, f"{case}, {model}", some, files[-1])
    return files


def _draw(name: str, title: str, records: Sequence[Record], file: Path) -> None:
    from matplotlib import pyplot

    across, along, horizontal, vertical = PICTURES[name]
    pyplot.rcParams["svg.hashsalt"] = "dslnode"  # equal figures give equal files
    figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    for method in dict.fromkeys(record["method"] for record in records):
        points = mean_curve([record["curve"] for record in records if record["method"] == method], across, along)
        if points and not (across == "payload_bits" and points[-1][0] == 0):
            axes.plot(*zip(*points, strict=True), color=COLOURS[method], label=method, marker=".")
    if across == "payload_bits":
        axes.set_xscale("log")
    axes.set(xlabel=horizontal, ylabel=vertical, title=title)
    axes.grid(alpha=0.3)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize="small")
    figure.savefig(file, metadata={"Date": None})
    pyplot.close(figure)

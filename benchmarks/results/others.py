"""The tables of the other benchmarks: real nodes, cost, hostile neighbours, lottery tickets."""

from __future__ import annotations

from statistics import mean
from typing import Any

from benchmarks.results.accuracy import METHODS
from benchmarks.results.markdown import Column, Row, formatted, number, table, text

Result = dict[str, Any]

SHORT_CASES = (
    "Fashion-MNIST, 4 nodes, 10 classes, 15 images a class",
    "Fashion-MNIST, 4 nodes, 6 classes, 15 images a class",
    "Fashion-MNIST, 4 nodes, 4 classes, 15 images a class",
    "Fashion-MNIST, 4 nodes, 10 classes, 50 images a class",
)
LIES = {
    "none": "",
    "inverted": "the contrary of what they learned",
    "random": "random scores, others in each round",
    "constant": "that every score rises: constant masks",
    "loud": "the contrary, ten times as strongly",
    "dense": "the contrary, and another density (0.9)",
    "replayed": "always what they knew after the first round",
    "silent": "nothing at all",
}
TARGETS = (1, 20, 500)
KEEP_RATIOS = ("any", "0.5", "0.3", "0.2")


def together(result: Result) -> str:
    """Return all cases of real daemons with and without neighbours."""
    return table([*_together(), *_worst()], result["rows"])


def together_short(result: Result) -> str:
    """Return four of these cases, without the worst nodes."""
    found = {row["case"]: row for row in result["rows"]}
    return table(_together(), [found[case] for case in SHORT_CASES if case in found])


def _together() -> list[Column]:
    return [
        Column("case", lambda row: str(row["case"]).replace(" a class", " per class"), is_text=True),
        number("alone", "alone, %", ".1f"),
        number("together", "together, %", ".1f"),
        number("gain", "gain", "+.1f"),
        number("least_gain", "least gain of a seed", "+.1f"),
    ]


def _worst() -> list[Column]:
    return [
        number("pooled_gain", "gain of pooled data", "+.1f"),
        number("worst_alone", "worst node alone, %", ".1f"),
        number("worst_together", "worst node together, %", ".1f"),
    ]


def traffic(result: Result) -> str:
    """Return one row per data set and model: means over the nodes, and the node and direction that is furthest off."""
    columns = [
        text("data", "data, model"),
        number("payload_bits", "payload bits per round and neighbour", ",.0f"),
        number("float32_bits", "as float32", ",.0f"),
        number("wire_bytes", "wire bytes, all headers included", ",.0f"),
        number("worst_ratio", "node's count / kernel's", ".3f"),
    ]
    names = dict.fromkeys(row["data"] for row in result["rows"])
    return table(columns, [_traffic_of([row for row in result["rows"] if row["data"] == name]) for name in names])


def _traffic_of(nodes: list[Row]) -> Row:
    ratios = [row[key] for row in nodes for key in ("sent_ratio", "received_ratio") if key in row]
    means = {key: mean(row[key] for row in nodes) for key in ("payload_bits", "float32_bits", "wire_bytes")}
    return {"data": nodes[0]["data"], **means, "worst_ratio": max(ratios, key=lambda ratio: abs(ratio - 1))}


def step(result: Result) -> str:
    """Return one local step of ours beside the dense model's and the authors' way of taking it."""
    columns = [
        text("model", "model"),
        number("batch", "batch"),
        number("weights", "weights", ","),
        Column("ours, ms", lambda row: _milliseconds(row["ours_ms"])),
        Column("dense, ms", lambda row: _milliseconds(row["dense_ms"])),
        number("ours_to_dense", "ours / dense", ".2f"),
        number("goal", "goal, at most", ".2f"),
        number("ours_to_authors", "ours / authors' way", ".2f"),
    ]
    return table(columns, result["rows"])


def _milliseconds(value: float) -> str:
    return f"{value:.1f}" if value < 10 else f"{value:.0f}"


def start(result: Result) -> str:
    """Return start and memory of a node beside ``import torch``."""
    columns = [
        text("process", "process"),
        number("started_s", "first round begins after, s", ".1f"),
        number("peak_mib", "peak memory, MiB", ".0f"),
        number("peak_to_torch", "over `import torch`", ".2f"),
        number("memory_goal", "goal, at most", ".2f"),
    ]
    return table(columns, result["rows"])


def serving(result: Result) -> str:
    """Return the latency of predictions at rest, and beside training with and without giving way."""
    columns = [
        text("model", "model"),
        number("rows", "rows per request"),
        text("beside", "beside"),
        number("p50_ms", "p50, ms", ".1f"),
        number("p99_ms", "p99, ms", ".1f"),
        number("steps_per_second", "steps per second", ".0f"),
    ]
    return table(columns, result["rows"])


def batching(result: Result) -> str:
    """Return what batching all nodes of the accuracy benchmark would bring."""
    columns = [
        text("model", "model"),
        number("one_thread", "batched over one by one, one thread", ".3g"),
        number("two_threads", "batched on two threads over one by one on one", ".3g"),
    ]
    return table(columns, result["rows"])


def structured(result: Result) -> str:
    """Return what the group lasso costs and saves, by model and keep ratio."""
    columns = [
        text("model", "model"),
        number("keep_ratio", "keep ratio", ".1f"),
        number("group_lasso", "group lasso", "g"),
        number("seeds", "seeds"),
        number("validation", "validation, %", ".1f"),
        number("accuracy", "test, %", ".1f"),
        Column("channels left", lambda row: str(row["channels"])),
        number("weights", "weights left, %", ".1f"),
        number("kept", "kept by the mask, %", ".1f"),
        number("multiply_adds", "multiply-adds left, %", ".1f"),
        number("latency_1_ms", "batch 1, ms", ".3f"),
        number("latency_1", "over dense", ".2f"),
        number("latency_32_ms", "batch 32, ms", ".2f"),
        number("latency_32", "over dense", ".2f"),
    ]
    return table(columns, result["rows"])


def hostile(result: Result) -> str:
    """Return what lies cost the honest nodes, without defence and with it."""
    columns = [
        Column("hostile", lambda row: f"{row['hostile']:.0f} %"),
        text("kind", "they send", LIES),
        number("off_accuracy", "off, %", ".1f"),
        Column("lost", lambda row: _lost(row, "off_loss")),
        number("clipped_accuracy", "clipped, %", ".1f"),
        number("clipped_loss", "lost", "z.1f"),
    ]
    return table(columns, result["rows"])


def _lost(row: Row, key: str) -> str:
    """Return the loss; the network without lies and without defence is what losses are measured against."""
    return "" if row["kind"] == "none" else formatted(row.get(key), "z.1f")


def dslth(result: Result) -> str:
    """Return the slopes by keep ratio, from the summary."""
    columns = [
        text("ratio", "keep ratio"),
        *(number(f"N{count}", f"N = {count}") for count in TARGETS),
        number("predicted", "predicted, these widths", ".2f"),
        number("limit", "predicted, limit", ".2f"),
        number("lost", "bits lost by N = 500", ".1f"),
    ]
    return table(columns, [_slopes(result["summary"], ratio) for ratio in KEEP_RATIOS])


def _slopes(found: Row, ratio: str) -> Row:
    """Return one row of a summary that names a slope by number of targets and keep ratio."""
    return {
        "ratio": ratio,
        **{f"N{count}": _slope(found, f"{count}_targets_keep_{ratio}") for count in TARGETS},
        "predicted": found[f"predicted_slope_keep_{ratio}"],
        "limit": found[f"limiting_slope_keep_{ratio}"],
        "lost": found[f"bits_lost_by_500_targets_keep_{ratio}"],
    }


def _slope(found: Row, name: str) -> str:
    return f"{found[f'slope_{name}']:.2f} ({found[f'slope_deviation_{name}']:.2f})"


def attacks(result: Result) -> str:
    """Return what each attack cost a training pair."""
    columns = [
        text("attack", "attack"),
        number("rounds_ratio", "rounds, during / before", ".2f"),
        number("rounds_ratio_after", "after / before", ".2f"),
        number("memory_mb_before", "MB before", ".0f"),
        number("memory_mb_peak", "peak", ".0f"),
        number("memory_mb_after", "after", ".0f"),
        number("newcomer_seconds", "newcomer, s", ".1f"),
        number("stop_seconds", "stop, s", ".1f"),
        Column("last round kept", lambda row: "yes" if row["last_round_saved"] else "no", is_text=True),
        text("alive", "alive"),
    ]
    return table(columns, result["rows"])


def endurance(result: Result) -> str:
    """Return a node's memory, descriptors and threads over many rounds."""
    columns = [
        number("rounds", "rounds", ",d"),
        number("memory_mb", "VmRSS, MB", ".1f"),
        number("descriptors", "descriptors", "d"),
        number("threads", "threads", "d"),
    ]
    return table(columns, result["rows"])


def tables(result: Result) -> str:
    """Return public tables: nodes alone and together, beside scikit-learn's models."""
    columns = [
        text("dataset", "table"),
        text("task", "task"),
        text("metric", "score"),
        number("ours_alone", "alone", ".3f"),
        number("ours_together", "together", ".3f"),
        number("linear", "linear", ".3f"),
        number("mlp", "MLP", ".3f"),
        number("trivial", "trivial", ".3f"),
    ]
    return table(columns, result["rows"])


def frozen(result: Result) -> str:
    """Return masks over a pretrained network beside the seeded one and dense training."""
    columns = [
        text("method", "method"),
        number("accuracy", "accuracy, %", ".1f"),
        number("worst", "worst node", ".1f"),
        number("least", "least seed", ".1f"),
    ]
    return table(columns, result["rows"])


def privacy(result: Result) -> str:
    """Return how well two attacks tell training examples from others, by method and by what is seen of a node."""
    columns = [
        text("method", "method", METHODS),
        text("seen", "what is seen"),
        number("train", "accuracy on members, %", ".1f"),
        number("test", "on strangers, %", ".1f"),
        number("loss_area", "loss threshold: area", ".3f"),
        number("ratio_area", "likelihood ratio: area", ".3f"),
        number("ratio_hits", "members found at 1 % of false alarms", ".1%"),
    ]
    return table(columns, result["rows"])


def inference(result: Result) -> str:
    """Return what each format and runtime takes, and how far its answers are from the learner's own."""
    columns = [
        text("model", "model"),
        text("format", "format"),
        text("runtime", "runtime"),
        number("bytes", "bytes", ",d"),
        number("load_seconds", "first answer, s", ".2f"),
        number("ms_one", "one row, ms", ".3f"),
        number("ms_256", "256 rows, ms", ".1f"),
        number("resident_mb", "peak, MiB", ".1f"),
        number("different_predictions", "other answers", "d"),
    ]
    return table(columns, result["rows"])

"""The tables of ``benchmarks.accuracy``: methods beside one another, case by case."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from benchmarks.results.markdown import Column, Row, formatted, number, table, text

METHODS = {
    "ours": "ours",
    "ours_binary": "ours, binary",
    "ours_graded": "ours, graded",
    "masks_alone": "ours, no neighbours",
    "authors": "the authors' form",
    "dense_alone": "dense, alone",
    "dpsgd": "D-PSGD",
    "dpsgd_finetuned": "D-PSGD, fine-tuned",
    "dispfl": "DisPFL",
    "fedpm": "FedPM by gossip",
}
CASES = {
    "4-classes-15-each": "4 classes, 15 images per class",
    "4-classes-50-each": "4 classes, 50 images per class",
    "4-classes-437": "4 classes, 437 images",
    "dirichlet-0.1": "Dirichlet(0.1), 437 images",
    "dirichlet-0.3": "Dirichlet(0.3), 437 images",
    "3-classes-437": "3 classes, 437 images",
    "5-classes-437": "5 classes, 437 images",
    "ring-15-each": "ring, 15 images per class",
    "complete-15-each": "complete graph, 15 images per class",
    "mixed-keep-ratios": "keep ratios of 0.1 to 0.7, 15 images per class",
}
MAIN = ("4-classes-15-each", "4-classes-50-each", "4-classes-437")
SHORT = ("4-classes-15-each", "4-classes-437", "dirichlet-0.3")
SHORT_METHODS = ("dense_alone", "ours", "ours_binary", "dpsgd", "dpsgd_finetuned")
SPLITS = tuple(case for case in CASES if case not in MAIN)
SPLIT_METHODS = ("ours", "ours_binary", "masks_alone", "dense_alone", "dpsgd", "dpsgd_finetuned", "dispfl")

Result = dict[str, Any]


def by_case(result: Result) -> str:
    """Return every method in the cases with 4 classes per node, in the order of the result."""
    return table(_columns(result), [row for row in result["rows"] if row["case"] in MAIN])


def splits(result: Result) -> str:
    """Return the personal accuracy in all other cases, one row per case."""
    return table(_pivot(result, SPLIT_METHODS, "accuracy", of_seeds="ours"), _cases(result, SPLITS))


def splits_worst(result: Result) -> str:
    """Return the worst node's accuracy in the same cases, and our bits."""
    bits = Column("our bits", lambda case: formatted(_find(result, case["case"], "ours").get("payload_bits"), ".3g"))
    return table([*_pivot(result, SPLIT_METHODS, "worst_node"), bits], _cases(result, SPLITS))


def short(result: Result) -> str:
    """Return three cases and four methods, and what those send in all cases as a multiple of ours."""
    cases = [*_cases(result, SHORT), {"case": "bits", "label": "bits sent, as a multiple of ours"}]
    columns = [Column(METHODS[method], _short_cell(result, method)) for method in SHORT_METHODS]
    return table([text("label", "data of a node"), *columns], cases)


def _short_cell(result: Result, method: str) -> Callable[[Row], str]:
    def cell(case: Row) -> str:
        if case["case"] == "bits":
            return f"{_bits_over_ours(result, method):.0f}"
        return formatted(_find(result, case["case"], method).get("accuracy"), ".1f")

    return cell


def _bits_over_ours(result: Result, method: str) -> float:
    """Return the bits of a method as a multiple of ours, in the first of the short table's cases."""
    theirs, ours = (_find(result, SHORT[0], name)["payload_bits"] for name in (method, "ours"))
    return float(theirs / ours)


def _columns(result: Result) -> list[Column]:
    found = [
        text("case", "data of a node", CASES),
        text("method", "method", METHODS),
        number("seed_count", "seeds"),
        number("accuracy", "accuracy, %", ".1f"),
        number("worst_node", "worst node, %", ".1f"),
        number("payload_bits", "bits, all links and rounds", ".3g"),
    ]
    if any("form" in row for row in result["rows"]):
        found.insert(2, Column("form", lambda row: str(row.get("form", "")), is_text=True))
    if any("nominal_bits" in row for row in result["rows"]):
        found.append(number("nominal_bits", "by the authors' count", ".3g"))
    if any(row["method"] == "dpsgd" and row["payload_bits"] for row in result["rows"]):
        found.append(Column("of D-PSGD's bits", lambda row: _of_dpsgd(result, row)))
    return found


def _of_dpsgd(result: Result, row: Row) -> str:
    """Return the row's bits as a part of D-PSGD's in the same case: 0, 1 or 1/N."""
    base, own = _find(result, row["case"], "dpsgd").get("payload_bits"), row["payload_bits"]
    if not own or not base:
        return "0"
    return f"1/{base / own:.0f}" if own < base else "1"


def _pivot(result: Result, methods: Sequence[str], key: str, of_seeds: str = "") -> list[Column]:
    """Return a column per method for rows that are cases; ``of_seeds`` is the method whose seeds are given, too."""

    def cell(method: str) -> Callable[[Row], str]:
        return lambda case: _with_seeds(_find(result, case["case"], method), key, shown=method == of_seeds)

    return [text("label", "data of a node"), *(Column(METHODS[name], cell(name)) for name in methods)]


def _with_seeds(row: Row, key: str, *, shown: bool) -> str:
    mean, seeds = formatted(row.get(key), ".1f"), row.get("of_seeds")
    if not shown or not seeds:
        return mean
    return f"{mean} ({', '.join(format(seed, '.1f') for seed in seeds)})"


def _cases(result: Result, names: Iterable[str]) -> list[Row]:
    there = {row["case"] for row in result["rows"]}
    return [{"case": name, "label": CASES[name]} for name in names if name in there]


def _find(result: Result, case: str, method: str) -> Row:
    found = [row for row in result["rows"] if (row["case"], row["method"]) == (case, method)]
    return found[0] if found else {}

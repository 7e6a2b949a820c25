"""Says which rows a model expects: ``dslnode predict --explain-schema``."""

from __future__ import annotations

import csv
import json
import sys
from dataclasses import asdict
from pathlib import Path

from dslnode.cli.formats import AnswerFormat
from dslnode.inference.expected_rows import ExpectedInput, expected_input
from dslnode.inference.predictor import load_model

FIELDS = ("name", "kind", "unit", "values", "missing")


def explain_schema(model: Path, form: AnswerFormat) -> None:
    """Print what a model expects; as CSV, the example alone. Raises ``ModelError``."""
    expected = expected_input(load_model(model).description)
    if form is AnswerFormat.JSON:
        print(json.dumps({**asdict(expected), "example": dict(expected.example)}, ensure_ascii=False))
    elif form is AnswerFormat.CSV:
        _write_example(expected)
    else:
        _write_for_people(expected)


def _write_for_people(expected: ExpectedInput) -> None:
    print(f"task: {expected.task}\ninput: {expected.about}")
    if expected.columns:
        rows = [FIELDS, *(tuple(getattr(column, field) or "-" for field in FIELDS) for column in expected.columns)]
        widths = [max(len(row[place]) for row in rows) for place in range(len(FIELDS))]
        print("\ncolumns:")
        for row in rows:
            print("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        print("\nexample, as CSV:")
        _write_example(expected)
    print(f"\noutputs: {', '.join(expected.outputs)}")


def _write_example(expected: ExpectedInput) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    if expected.columns:
        writer.writerow(expected.example)
        writer.writerow(expected.example.values())

"""The page of a grid: how each combination's mean score grew with rounds and with bits, over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from dslnode.simulation.records import RoundSummary
from dslnode.simulation.report.page import Picture, document
from dslnode.simulation.report.svg import Curve, Point, line_plot

MAX_CURVES = 12
"""More curves than these cannot be told apart: the first ones are drawn."""


@dataclass(frozen=True)
class Course:
    """The rounds of one combination with one seed, and which score they have."""

    name: str
    rounds: Sequence[RoundSummary]
    score_name: str = ""


def grid_page(title: str, command: str, courses: Sequence[Course]) -> str:
    """Return the HTML text. Courses of the same name are those of several seeds; scores of two kinds are named."""
    groups: dict[str, list[Course]] = {}
    kinds = sorted({course.score_name for course in courses if course.score_name})
    score = kinds[0] if len(kinds) == 1 else "score"
    for course in courses:
        of_kind = f" ({course.score_name})" if len(kinds) > 1 and course.score_name else ""
        groups.setdefault(course.name + of_kind, []).append(course)
    note = "" if len(groups) <= MAX_CURVES else f"The first {MAX_CURVES} of {len(groups)} combinations are drawn."
    shown = dict(list(groups.items())[:MAX_CURVES])
    pictures = [
        Picture(heading, line_plot(_curves(shown, across), across=words, along=f"mean {score}"), note)
        for heading, across, words in (
            ("Score by round", "round", "round"),
            ("Score by bits", "mean_payload_bits", "payload bits sent per node"),
            ("Score by time", "median_seconds", "virtual seconds"),
        )
    ]
    return document(title, command, pictures)


def _curves(groups: Mapping[str, Sequence[Course]], across: str) -> list[Curve]:
    count = len(groups)
    return [
        Curve(name, _mean_points(courses, across), colour=f"hsl({360 * number // count} 65% 45%)")
        for number, (name, courses) in enumerate(groups.items())
    ]


def _mean_points(courses: Sequence[Course], across: str) -> list[Point]:
    """Return a point for every round that all seeds have measured."""
    by_round: dict[int, list[Point]] = {}
    for course in courses:
        for each in course.rounds:
            if each.mean_score is not None:
                by_round.setdefault(each.round, []).append((getattr(each, across), each.mean_score))
    complete = [points for _, points in sorted(by_round.items()) if len(points) == len(courses)]
    return [(fmean(x for x, _ in points), fmean(y for _, y in points)) for points in complete]

"""The page of a simulation: plots and a table in one HTML file that loads nothing and runs nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from dslnode.simulation.graph import edges_of, link_count
from dslnode.simulation.plan import SimulationPlan
from dslnode.simulation.records import Reference, RoundRecord, RoundSummary, summaries
from dslnode.simulation.report.layout import MAX_SPRING_NODES, places_of
from dslnode.simulation.report.svg import Curve, Point, graph_picture, line_plot

STYLE = """
:root { --ground: #f5f6f8; --panel: #fff; --line: #e1e5ea; --text: #16202c; --quiet: #5b6878; --first: #0f766e;
  --second: #c2410c; --third: #6d28d9; }
@media (prefers-color-scheme: dark) { :root { --ground: #0e1319; --panel: #171e27; --line: #293340; --text: #e9eef4;
  --quiet: #98a6b5; --first: #3cc5b3; --second: #fb923c;
  --third: #b794f4; } }
* { box-sizing: border-box; margin: 0; }
body { background: var(--ground); color: var(--text); font: 15px/1.45 system-ui, sans-serif;
  font-variant-numeric: tabular-nums; }
main { max-width: 80rem; margin: 0 auto; padding: 1.5rem; display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fit, minmax(min(26rem, 100%), 1fr)); }
header, .wide { grid-column: 1 / -1; }
h1 { font-size: 1.6rem; } h2 { font-size: .9rem; color: var(--quiet); margin-bottom: .5rem; }
section { background: var(--panel); border: 1px solid var(--line); border-radius: .6rem; padding: 1rem; min-width: 0; }
header p, section p { color: var(--quiet); overflow-wrap: anywhere; }
svg { width: 100%; height: auto; display: block; }
.curve { fill: none; stroke-width: 2.5; stroke-linejoin: round; } .curve.first { stroke: var(--first); }
.curve.second { stroke: var(--second); } .curve.third { stroke: var(--third); }
.name { font-size: 13px; font-weight: 600; text-anchor: end; }
.name.first { fill: var(--first); } .name.second { fill: var(--second); }
.name.third { fill: var(--third); } .grid { stroke: var(--line); }
.tick { font-size: 12px; fill: var(--quiet); } .tick.y { text-anchor: end; } .tick.x, .axis { text-anchor: middle; }
.axis { font-size: 13px; fill: var(--text); } .edges { stroke: var(--quiet); stroke-opacity: .25; fill: none; }
table { border-collapse: collapse; width: 100%; } th, td { text-align: right; padding: .2rem .6rem;
  border-bottom: 1px solid var(--line); } th { color: var(--quiet); font-weight: 600; }
.scroll { overflow-x: auto; }
"""
MAX_TABLE_ROWS = 50


@dataclass(frozen=True)
class Picture:
    """One part of a page: its content is HTML, title and note are text."""

    title: str
    content: str
    note: str = ""
    is_wide: bool = False


@dataclass(frozen=True, kw_only=True)
class PageFacts:
    """What a page says beside its records: what repeats the simulation, the task's score, and the model's weights."""

    title: str
    command: str
    score_name: str
    weights: int


def page(
    facts: PageFacts, plan: SimulationPlan, records: Sequence[RoundRecord], reference: Reference | None = None
) -> str:
    """Return the HTML text; a ``reference`` is drawn beside the scores."""
    honest = [record for record in records if record.node in plan.honest]
    rounds = summaries(honest)
    pictures = [*_score_pictures(facts, plan, rounds, reference), *_cost_pictures(rounds), _graph(plan, records)]
    table = f'<div class="scroll">{_table(facts.score_name, rounds, reference)}</div>'
    return document(facts.title, facts.command, [*pictures, Picture("Rounds", table, is_wide=True)])


def document(title: str, command: str, pictures: Sequence[Picture], *, refresh_seconds: int = 0) -> str:
    """Return a page with these pictures as HTML text; a browser reads it again after ``refresh_seconds``, if any."""
    sections = "\n".join(
        f"<section{' class=wide' if picture.is_wide else ''}><h2>{escape(picture.title)}</h2>{picture.content}"
        f"<p>{escape(picture.note)}</p></section>"
        for picture in pictures
    )
    refresh = f'<meta http-equiv="refresh" content="{refresh_seconds}">\n' if refresh_seconds else ""
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n{refresh}'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta name="color-scheme" content="light dark">\n<title>{escape(title)}</title>\n'
        f"<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"<header><h1>{escape(title)}</h1><p><code>{escape(command)}</code></p></header>\n"
        f"{sections}\n</main>\n</body>\n</html>\n"
    )


def _score_pictures(
    facts: PageFacts, plan: SimulationPlan, rounds: Sequence[RoundSummary], reference: Reference | None
) -> list[Picture]:
    name = facts.score_name
    beside = [] if reference is None else summaries(reference.records)
    measured = [each for each in rounds if each.mean_score is not None and each.worst_score is not None]

    def curves(across: str) -> list[Curve]:
        found: list[Curve] = []
        for score, style in (("mean", "first"), ("worst", "second")):
            points: list[Point] = [(getattr(each, across), getattr(each, f"{score}_score")) for each in measured]
            found.append(Curve(score, points, style))
        return found

    def with_reference(across: str) -> list[Curve]:
        if reference is None:
            return curves(across)
        points: list[Point] = [
            (getattr(each, across), each.mean_score) for each in beside if each.mean_score is not None
        ]
        return [*curves(across), Curve(f"{reference.method}, mean", points, "third")]

    percent = name == "accuracy"
    return [
        Picture("Score by round", line_plot(with_reference("round"), across="round", along=name, percent=percent)),
        Picture(
            "Score by bits",
            line_plot(
                with_reference("mean_payload_bits"),
                across="payload bits sent per node",
                along=name,
                percent=percent,
                log_across=reference is not None,
            ),
            _bits_note(facts, plan) if reference is None else _compared(rounds, reference.method, beside),
        ),
        Picture(
            "Score by time",
            line_plot(curves("median_seconds"), across="virtual seconds", along=name, percent=percent),
        ),
    ]


def _bits_note(facts: PageFacts, plan: SimulationPlan) -> str:
    dense = 32 * facts.weights * link_count(plan.neighbours) / len(plan.neighbours)
    return f"To average float32 models with the same neighbours (D-PSGD), a node sends {dense:,.0f} bits per round."


def _compared(rounds: Sequence[RoundSummary], method: str, beside: Sequence[RoundSummary]) -> str:
    sent = [f"{each.mean_payload_bits:,.0f} bits after {each.round} rounds" for each in (*rounds[-1:], *beside[-1:])]
    return f"A node has sent {f', with {method} '.join(sent)}. The axis of bits is logarithmic."


def _cost_pictures(rounds: Sequence[RoundSummary]) -> list[Picture]:
    def plot(value: str, along: str) -> str:
        points: list[Point] = [(each.round, getattr(each, value)) for each in rounds]
        return line_plot([Curve(along, points)], across="round", along=along)

    return [
        Picture("Bits", plot("mean_payload_bits", "payload bits sent per node")),
        Picture("Time", plot("median_seconds", "virtual seconds of the median node")),
        Picture("Staleness", plot("mean_staleness", "rounds since neighbours' masks arrived")),
    ]


def _graph(plan: SimulationPlan, records: Sequence[RoundRecord]) -> Picture:
    scores = {record.node: record.score for record in records if record.score is not None}
    low, high = (min(scores.values()), max(scores.values())) if scores else (0.0, 0.0)
    colours, titles = [], []
    for node, board in enumerate(plan.boards):
        score = scores.get(node)
        part = 1.0 if score is None or high == low else (score - low) / (high - low)
        colours.append(
            "#dc2626" if board.hostile else "#94a3b8" if score is None else f"hsl({40 + 165 * part:.0f} 70% 45%)"
        )
        shown = board.hostile or ("not measured" if score is None else f"{score:.3f}")
        titles.append(f"node {node}: {shown}, {len(plan.neighbours[node])} neighbours")
    is_small = len(plan.boards) <= MAX_SPRING_NODES
    edges = edges_of(plan.neighbours) if is_small else []
    note = f"Yellow is {low:.3f}, blue {high:.3f}; grey was not measured, hostile nodes are red."
    note += "" if is_small else " The links are not drawn: there are too many nodes."
    return Picture("Nodes by score", graph_picture(places_of(plan.neighbours), edges, colours, titles), note)


def _table(name: str, rounds: Sequence[RoundSummary], reference: Reference | None) -> str:
    headings = (
        "round",
        "nodes",
        f"mean {name}",
        "worst",
        "payload bits per node",
        "wire bytes",
        "seconds",
        "staleness",
    )
    every = -(-len(rounds) // MAX_TABLE_ROWS) if rounds else 1
    shown = [(str(each.round), each) for each in [*rounds[:-1][::every], *rounds[-1:]]]
    if reference is not None:
        shown += [(f"{reference.method}, {each.round}", each) for each in summaries(reference.records)[-1:]]
    rows = []
    for label, each in shown:
        values = (
            escape(label),
            str(each.nodes),
            _score(each.mean_score),
            _score(each.worst_score),
            f"{each.mean_payload_bits:,.0f}",
            f"{each.mean_wire_bytes:,.0f}",
            f"{each.median_seconds:,.1f}",
            f"{each.mean_staleness:.2f}",
        )
        rows.append("<tr>" + "".join(f"<td>{value}</td>" for value in values) + "</tr>")
    head = "".join(f"<th>{escape(heading)}</th>" for heading in headings)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _score(score: float | None) -> str:
    return "-" if score is None else f"{score:.4f}"

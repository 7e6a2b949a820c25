"""Pictures as SVG text: lines over axes, and graphs. No library, no script, nothing loaded from elsewhere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 560, 300
LEFT, RIGHT, TOP, BOTTOM = 64, 14, 14, 46
TICKS = 5

Point = tuple[float, float]


@dataclass(frozen=True)
class Curve:
    """A line of points with its name. The page colours it by the class ``style``, or it has a ``colour`` of its own."""

    name: str
    points: Sequence[Point]
    style: str = "first"
    colour: str = ""


@dataclass(frozen=True)
class _Axis:
    """Where values from ``low`` to ``high`` lie between two places of the picture; ``is_log`` by their logarithms."""

    low: float
    high: float
    start: float
    end: float
    is_log: bool = False

    def place(self, value: float) -> float:
        """Return the place of a value."""
        low, high, at = (math.log10(each) if self.is_log else each for each in (self.low, self.high, value))
        return self.start + (at - low) / (high - low) * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Return round values of the axis."""
        return _log_ticks(self.low, self.high) if self.is_log else _ticks(self.low, self.high)


def line_plot(
    curves: Sequence[Curve], *, across: str, along: str, percent: bool = False, log_across: bool = False
) -> str:
    """Return a plot of the curves with their axes named ``across`` and ``along``; a remark if there is no point.

    With ``log_across`` the first axis is logarithmic; points at 0 have no place on it and are left out.
    """
    if log_across:
        curves = [replace(curve, points=[point for point in curve.points if point[0] > 0]) for curve in curves]
    points = [point for curve in curves for point in curve.points]
    if not points:
        return '<p class="empty">Nothing was measured.</p>'
    xs, ys = zip(*points, strict=True)
    x_axis = _Axis(*(_log_bounds(xs) if log_across else _bounds(xs)), LEFT, WIDTH - RIGHT, is_log=log_across)
    y_axis = _Axis(*_bounds(ys), HEIGHT - BOTTOM, TOP)
    parts = [*_grid(x_axis, y_axis, percent=percent)]
    for number, curve in enumerate(curves):
        parts += _drawn(curve, [(x_axis.place(x), y_axis.place(y)) for x, y in curve.points])
        if len(curves) > 1:
            at = HEIGHT - BOTTOM - 10 - 16 * (len(curves) - 1 - number)
            fill = f' style="fill:{curve.colour}"' if curve.colour else ""
            name = escape(curve.name)
            parts.append(f'<text class="name {curve.style}" x="{WIDTH - RIGHT - 8}" y="{at}"{fill}>{name}</text>')
    parts.append(f'<text class="axis" x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}">{escape(across)}</text>')
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts.append(f'<text class="axis" transform="translate(12 {middle}) rotate(-90)">{escape(along)}</text>')
    return _svg(WIDTH, HEIGHT, parts, f"{along} against {across}")


def graph_picture(
    places: Sequence[Point], edges: Sequence[tuple[int, int]], colours: Sequence[str], titles: Sequence[str]
) -> str:
    """Return a graph: nodes at places from 0 to 1, each with its colour and the title that a pointer shows."""
    side = 560
    radius = max(1.5, min(8.0, 70 / math.sqrt(max(1, len(places)))))
    at = [(radius + x * (side - 2 * radius), radius + y * (side - 2 * radius)) for x, y in places]
    lines = "".join(f"M{at[i][0]:.1f} {at[i][1]:.1f}L{at[j][0]:.1f} {at[j][1]:.1f}" for i, j in edges)
    parts = [f'<path class="edges" d="{lines}"/>'] if lines else []
    parts += [
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" fill="{colour}"><title>{escape(title)}</title></circle>'
        for (x, y), colour, title in zip(at, colours, titles, strict=True)
    ]
    return _svg(side, side, parts, "the nodes and their links")


def amount(value: float) -> str:
    """Return a number in few characters: 1.5M, 20k, 0.25."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


def _drawn(curve: Curve, places: Sequence[Point]) -> list[str]:
    """Return the line through its places, and a dot where there is but one."""
    stroke = f' style="stroke:{curve.colour}"' if curve.colour else ""
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dots = [f'<circle class="curve {curve.style}" cx="{x:.1f}" cy="{y:.1f}" r="2"{stroke}/>' for x, y in places]
    return [f'<polyline class="curve {curve.style}" points="{path}"{stroke}/>', *(dots if len(dots) == 1 else [])]


def _grid(x_axis: _Axis, y_axis: _Axis, *, percent: bool) -> list[str]:
    parts = []
    for value in y_axis.ticks():
        at, text = y_axis.place(value), f"{100 * value:.3g} %" if percent else amount(value)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(f'<text class="tick y" x="{LEFT - 6}" y="{at + 4:.1f}">{text}</text>')
    below = HEIGHT - 28
    parts += [
        f'<text class="tick x" x="{x_axis.place(value):.1f}" y="{below}">{amount(value)}</text>'
        for value in x_axis.ticks()
    ]
    return parts


def _bounds(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _log_bounds(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    return (low, high) if high > low else (low / 2, high * 2)


def _log_ticks(low: float, high: float) -> list[float]:
    """Return the powers of ten between two bounds above 0; of few decades, their doubles and fives as well."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
    whole = [value for value in found[::3] if low <= value <= high]
    return whole if len(whole) > 2 else [value for value in found if low <= value <= high]


def _ticks(low: float, high: float) -> list[float]:
    """Return round values between two bounds: multiples of 1, 2 or 5 times a power of ten."""
    rough = (high - low) / TICKS
    power = 10 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    first = math.ceil(low / step - 1e-9)
    return [i * step for i in range(first, math.floor(high / step + 1e-9) + 1)]


def _svg(width: int, height: int, parts: Sequence[str], label: str) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img"'
    return f'{head} aria-label="{escape(label, {chr(34): "&quot;"})}">{"".join(parts)}</svg>'

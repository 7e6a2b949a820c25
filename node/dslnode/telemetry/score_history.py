"""History of the held-out score by round, in bounded memory."""

from __future__ import annotations

MAX_POINTS = 200


class ScoreHistory:
    """Measured scores by round, oldest first: ``points``, at most ``MAX_POINTS``.

    When it is full, every second point is dropped, and from then on every second measurement. So the points stay
    evenly spaced. The newest is always among them.
    """

    def __init__(self) -> None:
        self._even: list[tuple[int, float]] = []
        self._newest: list[tuple[int, float]] = []
        self._measured = 0
        self._stride = 1

    def add(self, number: int, score: float) -> None:
        """Add the score measured after ``number`` rounds."""
        if len(self._even) >= MAX_POINTS - 1:
            self._even, self._stride = self._even[::2], 2 * self._stride
        is_kept = self._measured % self._stride == 0
        self._measured += 1
        self._newest = [] if is_kept else [(number, score)]
        if is_kept:
            self._even.append((number, score))

    @property
    def points(self) -> list[tuple[int, float]]:
        """The scores as pairs of round and score."""
        return self._even + self._newest


def sampled(points: list[tuple[int, float]], width: int) -> list[float]:
    """Return ``width`` scores evenly spaced in rounds, each the newest measured until then; empty without points.

    For a plot with that many columns: gaps and dropped points do not distort the axis.
    """
    if not points or width < 1:
        return []
    first, last = points[0][0], points[-1][0]
    values, position = [], 0
    for column in range(width):
        until = last - (last - first) * (width - 1 - column) / max(1, width - 1)
        while position + 1 < len(points) and points[position + 1][0] <= until:
            position += 1
        values.append(points[position][1])
    return values

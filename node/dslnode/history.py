"""How the accuracy came about over the rounds, kept in little memory however long a node runs."""

from __future__ import annotations

MAX_POINTS = 200


class History:
    """Measured accuracies by round, oldest first: ``points``, at most ``MAX_POINTS``.

    When it is full, every second point goes: the first and the newest stay, and the older, the coarser.
    """

    def __init__(self) -> None:
        self.points: list[tuple[int, float]] = []

    def add(self, number: int, accuracy: float) -> None:
        """Take in what was measured when ``number`` rounds were finished."""
        if len(self.points) >= MAX_POINTS:
            self.points = self.points[::2]
        self.points.append((number, accuracy))


def sampled(points: list[tuple[int, float]], width: int) -> list[float]:
    """Return ``width`` accuracies evenly spaced in rounds, each the newest measured until then; none for no points.

    For a drawing with so many columns: gaps, and points that were thinned, do not bend the axis.
    """
    if not points or width < 1:
        return []
    first, last = points[0][0], points[-1][0]
    found, position = [], 0
    for column in range(width):
        until = last - (last - first) * (width - 1 - column) / max(1, width - 1)
        while position + 1 < len(points) and points[position + 1][0] <= until:
            position += 1
        found.append(points[position][1])
    return found

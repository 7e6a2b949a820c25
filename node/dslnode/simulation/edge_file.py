"""A graph as a file of edges: ``# 20 nodes``, then two node numbers from 0 in each line."""

from __future__ import annotations

import re
from pathlib import Path

from dslnode.atomic_file import write_outputs
from dslnode.errors import SettingsError
from dslnode.input_files import read_input
from dslnode.simulation.graph import MAX_NODES, Neighbours, edges_of, from_edges
from dslnode.text_files import decode_text

MAX_FILE_BYTES = 64 << 20
HEADER = re.compile(r"#\s*(\d+) nodes\s*")
"""The first line that ``write_edges`` writes. Files without it have as many nodes as their largest number says."""


def read_edges(file: Path, count: int | None = None) -> Neighbours:
    """Return the graph in a file: two node numbers from 0 in a line; what follows a # is a remark.

    Without a ``count`` of nodes it is that of the first line, ``# 20 nodes``, else the largest number and one more.
    Raises ``FileNotFoundError`` if there is no such file; ``SettingsError`` if it cannot be read, a line of it is no
    edge, or it is of another number of nodes.
    """
    lines = _lines(file)
    edges = {at: _edge(file, at, words) for at, line in enumerate(lines, start=1) if (words := _words(line))}
    stated = _stated(file, lines)
    if stated is None and not edges:
        raise SettingsError(f"--topology {file}: has no edge; give two node numbers in each line, as: 0 1")
    last_line, last_edge = max(edges.items(), key=lambda edge: max(edge[1]), default=(0, (-1, -1)))
    least = max(last_edge) + 1
    if stated is not None and least > stated:
        raise SettingsError(
            f"--topology {file}, line {last_line}: has node {least - 1}, but the first line says {stated} nodes, "
            "which count from 0; correct one of them"
        )
    size = stated or least
    if count is not None and (count < least if stated is None else count != stated):
        raise SettingsError(f"--topology {file}: is a graph of {size} nodes, not {count}; give --nodes {size}")
    return from_edges(count or size, edges.values())


def write_edges(file: Path, neighbours: Neighbours) -> None:
    """Write a graph as ``read_edges`` reads it."""
    lines = [f"# {len(neighbours)} nodes", *(f"{i} {j}" for i, j in edges_of(neighbours))]
    write_outputs({file: ("\n".join(lines) + "\n").encode()})


def _lines(file: Path) -> list[str]:
    try:
        return decode_text(read_input(file, MAX_FILE_BYTES)).splitlines()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise SettingsError(
            f"--topology {file}: cannot be read ({error.strerror}); give a text file of edges"
        ) from error
    except ValueError as error:
        raise SettingsError(f"--topology {file}: cannot be read ({error}); give a text file of edges") from error


def _words(line: str) -> list[str]:
    return line.split("#", maxsplit=1)[0].split()


def _stated(file: Path, lines: list[str]) -> int | None:
    """Return how many nodes the first line says, None if it does not."""
    found = HEADER.fullmatch(lines[0]) if lines else None
    if found is None:
        return None
    count = int(found[1]) if len(found[1]) < 10 else 0
    if not 1 <= count <= MAX_NODES:
        raise SettingsError(f"--topology {file}, line 1: says {found[1][:20]} nodes; 1 to {MAX_NODES:,} are possible")
    return count


def _edge(file: Path, at: int, words: list[str]) -> tuple[int, int]:
    numbers = [int(word) for word in words if word.isascii() and word.isdigit() and len(word) < 10]
    if len(numbers) != 2 or len(words) != 2 or numbers[0] == numbers[1] or max(numbers) >= MAX_NODES:
        raise SettingsError(
            f"--topology {file}, line {at}: needs two different node numbers from 0 to {MAX_NODES - 1}, as: 0 1"
        )
    return numbers[0], numbers[1]

"""Takes the part of a data set that this node holds: its share among n nodes, its own classes, few samples.

A testbed gives every node the whole data set and a partition of its own; a real device normally keeps all its data.
The same seed gives the same partitions on every node (`partition_schemes` draws them), as long as the nodes run one
version of numpy: it promises equal draws only within a version.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dslnode.data.dataset import DataSet, Examples
from dslnode.data.partition_schemes import (
    Draw,
    Positions,
    assign_classes,
    assign_dirichlet,
    assign_even,
    draw_class_sets,
    draw_matching,
    shuffled_by_class,
)
from dslnode.data.readers.raw import MAX_CLASSES
from dslnode.data.target import Task
from dslnode.errors import DataError, SettingsError

MAX_SHARES = 10_000
"""Upper bound of nodes per data set: a draw takes time and memory for each of them."""
MIN_CONCENTRATION, MAX_CONCENTRATION = 0.001, 1e6

Split = Literal["even"] | tuple[Literal["classes"], int] | tuple[Literal["dirichlet"], float]


@dataclass(frozen=True)
class PartitionSpec:
    """The examples that this node holds; by default all.

    `share` is (i, n): part i, from 1, of n parts made by `split`; `classes` then keeps only these, and
    `samples_per_class` at most so many to train on. Raises SettingsError if these contradict each other.
    """

    classes: tuple[int, ...] | None = None
    share: tuple[int, int] | None = None
    split: Split = "even"
    samples_per_class: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse values that no data set could satisfy."""
        _check_seed(self.seed)
        if self.share is not None and not 1 <= self.share[0] <= self.share[1] <= MAX_SHARES:
            raise SettingsError(f"share {self.share[0]}/{self.share[1]}: i/n needs 1 <= i <= n <= {MAX_SHARES}")
        if self.split != "even" and self.share is None:
            raise SettingsError(
                f"split {format_split(self.split)} needs a share; say which node this is with --share i/n"
            )
        if self.samples_per_class is not None and self.samples_per_class < 1:
            raise SettingsError(f"samples per class are {self.samples_per_class}; give at least 1, or leave it out")


def parse_share(text: str) -> tuple[int, int]:
    """Turn "2/20" into (2, 20): the second of twenty shares. Raises SettingsError."""
    match = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text.strip())
    if match is None:
        raise SettingsError(f"share {text!r} is not of the form i/n, such as 2/20")
    number, count = int(match[1]), int(match[2])
    if not 1 <= number <= count <= MAX_SHARES:
        raise SettingsError(f"share {text!r}: i/n needs 1 <= i <= n <= {MAX_SHARES}")
    return number, count


def parse_split(text: str) -> Split:
    """Turn "even", "classes:4" or "dirichlet:0.3" into a Split. Raises SettingsError."""
    scheme, _, number = text.strip().partition(":")
    if text.strip() == "even":
        return "even"
    if scheme == "classes" and re.fullmatch(r"[0-9]{1,9}", number) and 1 <= int(number) <= MAX_CLASSES:
        return "classes", int(number)
    concentration = _concentration(number)
    if scheme == "dirichlet" and MIN_CONCENTRATION <= concentration <= MAX_CONCENTRATION:
        return "dirichlet", concentration
    raise SettingsError(
        f"split {text!r} is none of even, classes:C (C classes per node, 1..{MAX_CLASSES}) and"
        f" dirichlet:A (A from {MIN_CONCENTRATION}, very unequal, to {MAX_CONCENTRATION:.0f}, equal)"
    )


def _concentration(text: str) -> float:
    return float(text) if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?|\.[0-9]{1,9}", text) else 0.0


def format_split(split: Split) -> str:
    """Turn a Split back into the text that `parse_split` reads."""
    return split if isinstance(split, str) else f"{split[0]}:{split[1]}"


def split_held_out(data: DataSet, fraction: float, seed: int) -> DataSet:
    """Set aside `fraction` of the examples to measure the score on, unless the data set has such a part.

    Examples with keys are held out by these, so that none that was trained on is ever tested on when a file grows.
    Otherwise `fraction` of each class is drawn: a class with two or more examples gives at least one and keeps at
    least one. Raises SettingsError if the fraction is not between 0 and 1, DataError if nothing can be held out.
    """
    _check_seed(seed)
    if not 0 < fraction < 1:
        raise SettingsError(f"the held-out fraction is {fraction}; it must be between 0 and 1, such as 0.2")
    if data.held_out is not None:
        return data
    if data.train.keys is not None:
        return _split_by_keys(data, data.train.keys, fraction)
    chosen = np.zeros(len(data.train), dtype=bool)
    for positions in shuffled_by_class(data.train.labels, seed, Draw.HELD_OUT).values():
        count = min(max(1, round(fraction * len(positions))), len(positions) - 1)
        chosen[positions[:count]] = True
    if not chosen.any():
        raise DataError(f"{data.name}: no class has two examples, so none can be held out; provide more data")
    train, held_out = (data.train.take(np.flatnonzero(part)) for part in (~chosen, chosen))
    return replace(data, train=train, held_out=held_out)


def _split_by_keys(data: DataSet, keys: NDArray[np.float64], fraction: float) -> DataSet:
    """Hold out the examples whose keys are all below the fraction, train on those whose keys are all above it.

    If there are none to hold out, the one with the smallest key is: no row that comes later can turn it into one that
    is trained on and then tested on.
    """
    lowest, highest = (pick(keys.reshape(len(keys), -1), axis=1) for pick in (np.min, np.max))
    chosen, kept = np.asarray(highest < fraction), np.asarray(lowest >= fraction)
    if not chosen.any() and len(keys) > 1:
        chosen[int(highest.argmin())] = True
        kept &= ~chosen
    if not chosen.any() or not kept.any():
        raise DataError(
            f"{data.name}: of {len(keys)} example(s) {int(chosen.sum())} are held out and {int(kept.sum())} are left"
            " to train on; provide more data, or change --held-out-fraction"
        )
    train, held_out = (data.train.take(np.flatnonzero(part)) for part in (kept, chosen))
    return replace(data, train=train, held_out=held_out)


def partition(
    data: DataSet,
    *,
    share: tuple[int, int] | None = None,
    split: str = "even",
    classes: Sequence[int] | None = None,
    samples_per_class: int | None = None,
    held_out_fraction: float = 0.2,
    seed: int = 1,
) -> DataSet:
    """Return the part of a data set that one node holds, with examples held out to measure accuracy on.

    ``share`` (i, n) is the i-th of n disjoint parts, drawn by ``split``: ``even``, ``classes:C`` or ``dirichlet:A``.
    Of it only ``classes`` are kept, and of each at most ``samples_per_class`` to train on. Nodes of one seed get
    disjoint parts. Raises ``SettingsError`` or ``DataError``.
    """
    spec = PartitionSpec(
        classes=None if classes is None else tuple(classes),
        share=share,
        split=parse_split(split),
        samples_per_class=samples_per_class,
        seed=seed,
    )
    return node_part(data, held_out_fraction, spec)


def node_part(data: DataSet, held_out_fraction: float, spec: PartitionSpec, *, positions_only: bool = False) -> DataSet:
    """Return what one node holds, as ``split_held_out`` and ``take_partition`` do, but copy its own examples alone.

    So a small part of a file that is mapped into memory takes little memory. With ``positions_only`` the examples
    hold their positions in place of inputs (`outlined_positions`). Raises as they do.
    """
    outline = replace(data, train=_outline(data.train), held_out=data.held_out and _outline(data.held_out))
    part = take_partition(split_held_out(outline, held_out_fraction, spec.seed), spec)
    if positions_only:
        return part
    source = data.train if data.held_out is None else data.held_out
    held_out = None if part.held_out is None else _take_outlined(source, part.held_out)
    return replace(part, train=_take_outlined(data.train, part.train), held_out=held_out)


def _outline(examples: Examples) -> Examples:
    """Return examples that hold, in place of inputs, the eight bytes of their position."""
    positions = np.arange(len(examples), dtype=np.int64).view(np.uint8).reshape(-1, 8)
    return replace(examples, stored=positions)


def outlined_positions(outline: Examples) -> Positions:
    """Return the positions that examples hold in place of inputs."""
    return np.ascontiguousarray(outline.stored).view(np.int64)[:, 0]


def _take_outlined(examples: Examples, outline: Examples) -> Examples:
    positions = outlined_positions(outline)
    return examples if len(positions) == len(examples) else examples.take(positions)


def take_partition(data: DataSet, spec: PartitionSpec) -> DataSet:
    """Return the part of the data that this node holds; the classes keep their numbers and their count.

    The train parts of all shares are disjoint. Held-out examples follow the node's classes (and, for
    dirichlet, its mix of classes) and are not divided among the nodes; None if the node's classes have none.
    Raises DataError if nothing is left to train on, SettingsError if the data lack the classes asked for.
    """
    _check_has_classes(data, spec)
    train, held_out = _take_share(data, spec)
    if spec.classes is not None:
        _check_classes(spec.classes, data)
        train, held_out = (_keep_classes(examples, spec.classes) for examples in (train, held_out))
    if spec.samples_per_class is not None and train is not None:
        train = _limit_per_class(train, spec.samples_per_class, spec.seed)
    if train is None:
        raise DataError(
            f"{data.name}: nothing to train on is left of {len(data.train)} examples after {_describe(spec)}"
        )
    return replace(data, train=train, held_out=held_out)


def _take_share(data: DataSet, spec: PartitionSpec) -> tuple[Examples | None, Examples | None]:
    if spec.share is None:
        return data.train, data.held_out
    by_class = shuffled_by_class(data.train.labels, spec.seed, Draw.ORDER)
    if spec.split == "even":
        return _take_sorted(data.train, assign_even(by_class, spec.share)), data.held_out
    if spec.split[0] == "classes":
        class_sets = _class_sets(data.name, list(by_class), spec.split[1], spec.share[1], spec.seed)
        train = _take_sorted(data.train, assign_classes(by_class, class_sets, spec.share))
        return train, _keep_classes(data.held_out, class_sets[spec.share[0] - 1])
    train = _take_sorted(data.train, assign_dirichlet(by_class, spec.split[1], spec.share, spec.seed))
    return train, _match_classes(train, data.held_out, spec.seed)


def _class_sets(name: str, present: list[int], count: int, shares: int, seed: int) -> list[list[int]]:
    if count > len(present):
        raise SettingsError(f"split classes:{count}, but {name} has examples of {len(present)} classes; ask for fewer")
    return draw_class_sets(present, count, shares, seed)


def _match_classes(train: Examples | None, held_out: Examples | None, seed: int) -> Examples | None:
    if train is None or held_out is None:
        return None
    by_class = shuffled_by_class(held_out.labels, seed, Draw.HELD_OUT_MIX)
    return _take_sorted(held_out, draw_matching(train.labels, by_class))


def _limit_per_class(examples: Examples, limit: int, seed: int) -> Examples | None:
    by_class = shuffled_by_class(examples.labels, seed, Draw.LIMIT)
    return _take_sorted(examples, np.concatenate([positions[:limit] for positions in by_class.values()]))


def _keep_classes(examples: Examples | None, classes: tuple[int, ...] | list[int]) -> Examples | None:
    return None if examples is None else _take_sorted(examples, np.flatnonzero(np.isin(examples.labels, classes)))


def _take_sorted(examples: Examples, positions: Positions) -> Examples | None:
    """Take examples in the data set's order, so that only the choice depends on the draw; None without positions."""
    return examples.take(np.sort(positions)) if len(positions) else None


def _check_seed(seed: int) -> None:
    if not 0 <= seed < 2**64:
        raise SettingsError(f"seed {seed} is out of range; give a whole number from 0 to 2**64 - 1")


def _check_classes(classes: tuple[int, ...], data: DataSet) -> None:
    unknown = [label for label in classes if not 0 <= label < data.class_count]
    if unknown or not classes:
        raise SettingsError(
            f"classes {','.join(map(str, unknown)) or '(none)'} are not among the classes 0..{data.class_count - 1}"
            f" of {data.name}; correct --classes"
        )


def _check_has_classes(data: DataSet, spec: PartitionSpec) -> None:
    """Raise SettingsError if the spec divides by classes where the task of the data has none."""
    by_classes = [f"--classes {','.join(map(str, spec.classes))}"] if spec.classes is not None else []
    by_classes += [f"--split {format_split(spec.split)}"] if spec.split != "even" else []
    if by_classes and (data.train.values is not None or data.target.task == Task.ANOMALY):
        raise SettingsError(
            f"{' and '.join(by_classes)}: {data.name} is for {data.target.task} and has no classes to divide by;"
            " leave it out, and divide with --share i/n and --split even"
        )


def _describe(spec: PartitionSpec) -> str:
    share = [f"--share {spec.share[0]}/{spec.share[1]} (split {format_split(spec.split)})"] if spec.share else []
    classes = [f"--classes {','.join(map(str, spec.classes))}"] if spec.classes else []
    return " and ".join(share + classes) + "; ask for more, or bring more data"

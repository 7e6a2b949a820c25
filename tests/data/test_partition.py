"""Partitions: shares are disjoint, complete and the same every time."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dslnode.data.dataset import DataSet, Examples
from dslnode.data.partition import (
    PartitionSpec,
    Split,
    format_split,
    parse_share,
    parse_split,
    split_held_out,
    take_partition,
)
from dslnode.data.target import Target
from dslnode.errors import DataError, SettingsError

label_lists = st.lists(st.integers(0, 5), min_size=1, max_size=60)
seeds = st.integers(0, 2**64 - 1)
splits: st.SearchStrategy[Split] = st.one_of(
    st.just("even"),
    st.tuples(st.just("classes"), st.integers(1, 3)),
    st.tuples(st.just("dirichlet"), st.floats(0.001, 100)),
)


def data_set(labels: list[int], held_out: list[int] | None = None, class_count: int = 6) -> DataSet:
    """Make a data set whose only pixel is the number of the example."""

    def examples(values: list[int]) -> Examples:
        return Examples(np.arange(len(values), dtype=np.float32)[:, np.newaxis], np.array(values, dtype=np.int64))

    return DataSet(examples(labels), None if held_out is None else examples(held_out), class_count, "made up")


def identities(examples: Examples | None) -> list[int]:
    return [] if examples is None else [int(value) for value in examples.images[:, 0]]


def counts(examples: Examples | None) -> list[int]:
    return [] if examples is None else [int(count) for count in np.bincount(examples.labels, minlength=6)]


def all_shares(data: DataSet, count: int, split: Split, seed: int) -> list[DataSet | None]:
    """Take every share; None for those without anything to train on."""
    parts: list[DataSet | None] = []
    for number in range(1, count + 1):
        try:
            parts.append(take_partition(data, PartitionSpec(share=(number, count), split=split, seed=seed)))
        except DataError:
            parts.append(None)
    return parts


@settings(max_examples=60, deadline=None)
@given(label_lists, st.integers(1, 8), splits, seeds)
def test_shares_are_disjoint_and_keep_the_right_labels(labels: list[int], count: int, split: Split, seed: int) -> None:
    assume(split == "even" or split[0] == "dirichlet" or split[1] <= len(set(labels)))
    parts = [part for part in all_shares(data_set(labels), count, split, seed) if part is not None]
    assigned = [identity for part in parts for identity in identities(part.train)]
    assert len(assigned) == len(set(assigned))
    for part in parts:
        assert [labels[identity] for identity in identities(part.train)] == list(part.train.labels)
    complete = split == "even" or split[0] == "dirichlet" or count * split[1] >= len(set(labels))
    assert not complete or sorted(assigned) == list(range(len(labels)))


@settings(max_examples=40, deadline=None)
@given(label_lists, st.integers(1, 8), seeds)
def test_even_shares_differ_by_one_at_most_in_each_class(labels: list[int], count: int, seed: int) -> None:
    parts = all_shares(data_set(labels), count, "even", seed)
    table = np.array([counts(part.train) if part else [0] * 6 for part in parts])
    assert (table.max(axis=0) - table.min(axis=0)).max() <= 1
    assert table.sum(axis=1).max() - table.sum(axis=1).min() <= 1


@settings(max_examples=30, deadline=None)
@given(label_lists, splits, seeds, st.integers(1, 5))
def test_the_same_seed_gives_the_same_partition(labels: list[int], split: Split, seed: int, limit: int) -> None:
    part = PartitionSpec(share=(2, 3), split=split, seed=seed, samples_per_class=limit)
    outcomes = []
    for _ in range(2):
        try:
            found = take_partition(data_set(labels, labels), part)
            outcomes.append((identities(found.train), identities(found.held_out)))
        except (DataError, SettingsError):
            outcomes.append(([], []))
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize("split", ["even", ("classes", 2), ("dirichlet", 0.5)])
def test_another_seed_gives_another_partition(split: Split) -> None:
    data = data_set([0, 1, 2, 3, 4, 5] * 20)
    partitions = {
        tuple(identities(take_partition(data, PartitionSpec(share=(1, 3), split=split, seed=seed)).train))
        for seed in range(8)
    }
    assert len(partitions) > 4


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 6), st.integers(1, 12), seeds)
def test_every_class_is_held_about_equally_often(per_node: int, nodes: int, seed: int) -> None:
    data = data_set([0, 1, 2, 3, 4, 5] * 50)
    parts = [part for part in all_shares(data, nodes, ("classes", per_node), seed) if part is not None]
    assert [len(set(part.train.labels)) for part in parts] == [per_node] * nodes
    holders = np.bincount(np.concatenate([np.unique(part.train.labels) for part in parts]), minlength=6)
    assert holders.max() - holders.min() <= 1
    for part in parts:
        for label, count in enumerate(counts(part.train)):
            assert count == 0 or abs(count - 50 / holders[label]) < 1


def test_whole_classes_come_with_all_their_held_out_examples() -> None:
    data = data_set([0, 1, 2, 3, 4, 5] * 10, [0, 1, 2, 3, 4, 5] * 7)
    part = take_partition(data, PartitionSpec(share=(3, 5), split=("classes", 2)))
    own = set(part.train.labels)
    assert counts(part.held_out) == [7 if label in own else 0 for label in range(6)]


@settings(max_examples=40, deadline=None)
@given(st.floats(0.05, 10), st.integers(1, 10), seeds)
def test_dirichlet_held_out_has_the_mix_of_the_training_part(concentration: float, nodes: int, seed: int) -> None:
    data = data_set([0, 1, 2, 3, 4, 5] * 100, [0, 1, 2, 3, 4, 5] * 40)
    for part in all_shares(data, nodes, ("dirichlet", concentration), seed):
        if part is None:
            continue
        train, held_out = np.array(counts(part.train)), np.array(counts(part.held_out))
        assert held_out.max() == 40
        assert np.abs(held_out - train * 40 / train.max()).max() <= 0.5


def test_extreme_proportions_still_hold_everything_once() -> None:
    labels = [0, 1] * 30
    for concentration in (0.001, 1e6):
        parts = all_shares(data_set(labels), 500, ("dirichlet", concentration), 3)
        assigned = [identity for part in parts if part for identity in identities(part.train)]
        assert sorted(assigned) == list(range(60))


def test_chosen_classes_keep_their_numbers_in_both_parts() -> None:
    part = take_partition(data_set([0, 1, 2, 3] * 5, [0, 1, 2, 3] * 2), PartitionSpec(classes=(1, 3)))
    assert counts(part.train) == [0, 5, 0, 5, 0, 0]
    assert counts(part.held_out) == [0, 2, 0, 2, 0, 0]
    assert part.class_count == 6


def test_the_limit_per_class_is_for_training_only() -> None:
    data = data_set([0] * 20 + [1] * 3, [0] * 9)
    parts = [take_partition(data, PartitionSpec(samples_per_class=5, seed=seed)) for seed in range(5)]
    assert all(counts(part.train)[:2] == [5, 3] for part in parts)
    assert len({tuple(identities(part.train)) for part in parts}) > 1
    assert all(counts(part.held_out)[0] == 9 for part in parts)


def test_all_is_kept_by_default() -> None:
    data = data_set([0, 1, 2], [0])
    part = take_partition(data, PartitionSpec())
    assert (identities(part.train), identities(part.held_out)) == ([0, 1, 2], [0])


def test_no_held_out_example_of_the_own_classes_gives_none() -> None:
    assert take_partition(data_set([0, 1], [1]), PartitionSpec(classes=(0,))).held_out is None
    only_other = data_set([0] * 6, [1])
    assert take_partition(only_other, PartitionSpec(share=(1, 1), split=("dirichlet", 1.0))).held_out is None


def test_nothing_left_to_train_on_names_the_cause() -> None:
    with pytest.raises(DataError, match="nothing to train on is left of 2 examples after --classes 5"):
        take_partition(data_set([0, 1]), PartitionSpec(classes=(5,)))
    with pytest.raises(DataError, match=r"after --share 3/3 \(split even\)"):
        take_partition(data_set([0, 1]), PartitionSpec(share=(3, 3)))


def test_classes_that_are_missing_in_the_data() -> None:
    with pytest.raises(SettingsError, match=r"classes 6 are not among the classes 0\.\.5 of made up"):
        take_partition(data_set([0, 1]), PartitionSpec(classes=(0, 6)))
    with pytest.raises(SettingsError, match="classes:3, but made up has examples of 2 classes"):
        take_partition(data_set([0, 1]), PartitionSpec(share=(1, 2), split=("classes", 3)))


@settings(max_examples=60, deadline=None)
@given(label_lists, st.floats(0.01, 0.99), seeds)
def test_held_out_is_a_stratified_part_of_the_data(labels: list[int], fraction: float, seed: int) -> None:
    data = data_set(labels)
    if max(counts(data.train)) < 2:
        with pytest.raises(DataError, match="no class has two examples"):
            split_held_out(data, fraction, seed)
        return
    split, again = split_held_out(data, fraction, seed), split_held_out(data, fraction, seed)
    assert sorted(identities(split.train) + identities(split.held_out)) == list(range(len(labels)))
    assert identities(split.held_out) == identities(again.held_out)
    for whole, part in zip(counts(data.train), counts(split.held_out), strict=True):
        assert part == (min(max(1, round(fraction * whole)), whole - 1) if whole else 0)


def test_an_existing_held_out_part_is_kept() -> None:
    data = data_set([0, 0, 1], [1])
    assert split_held_out(data, 0.5, 0) is data


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, float("nan")])
def test_an_impossible_fraction(fraction: float) -> None:
    with pytest.raises(SettingsError, match="between 0 and 1"):
        split_held_out(data_set([0, 0]), fraction, 0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"share": (0, 3)}, "i/n needs"),
        ({"share": (4, 3)}, "i/n needs"),
        ({"share": (1, 10_001)}, "i/n needs"),
        ({"split": ("classes", 4)}, "split classes:4 needs a share"),
        ({"split": ("dirichlet", 0.3)}, "split dirichlet:0.3 needs a share"),
        ({"samples_per_class": 0}, "at least 1"),
        ({"seed": -1}, "seed -1 is out of range"),
    ],
)
def test_a_specification_that_contradicts_itself(values: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        PartitionSpec(**values)  # type: ignore[arg-type]


def test_shares_and_splits_are_parsed() -> None:
    assert parse_share("2/20") == (2, 20)
    assert [parse_split(text) for text in ("even", "classes:4", "dirichlet:0.3", "dirichlet:1")] == [
        "even",
        ("classes", 4),
        ("dirichlet", 0.3),
        ("dirichlet", 1.0),
    ]
    texts = ["even", "classes:4", "dirichlet:0.3"]
    assert [format_split(parse_split(text)) for text in texts] == texts


@pytest.mark.parametrize("text", ["", "2", "2/", "/3", "0/3", "4/3", "1/2/3", "-1/3", "a/b", "1/10001", "1/9999999999"])
def test_a_malformed_share(text: str) -> None:
    with pytest.raises(SettingsError, match="i/n"):
        parse_share(text)


@pytest.mark.parametrize(
    "text",
    ["", "evn", "even:1", "classes", "classes:0", "classes:x", "classes:-1", "classes:65537", "dirichlet"]
    + [f"dirichlet:{number}" for number in ("0", "nan", "-1", "1e9", "0.0001", "9999999")],
)
def test_a_malformed_split(text: str) -> None:
    with pytest.raises(SettingsError, match="is none of even, classes:C"):
        parse_split(text)


def test_draws_do_not_change_each_other() -> None:
    data = data_set([0, 1, 2] * 20)
    whole, limited = (take_partition(data, PartitionSpec(share=(1, 2), samples_per_class=limit)) for limit in (None, 4))
    assert set(identities(limited.train)) < set(identities(whole.train))
    assert all(first < second for first, second in pairwise(identities(whole.train)))


def numbers(count: int) -> DataSet:
    values = np.arange(count, dtype=np.float32)[:, np.newaxis]
    examples = Examples(values, np.zeros(count, np.int64), values=2 * values)
    return DataSet(examples, None, 2, "numbers", Target(task="regression"))


def test_examples_without_classes_are_divided_evenly_and_keep_their_values() -> None:
    parts = all_shares(split_held_out(numbers(50), 0.2, seed=1), 4, "even", seed=1)
    sizes = [len(part.train) for part in parts if part is not None]
    assert sizes == [10, 10, 10, 10]
    assert len({identity for part in parts if part for identity in identities(part.train)}) == 40
    for part in parts:
        assert part is not None
        assert part.train.values is not None
        assert np.array_equal(part.train.values, 2 * part.train.stored)


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        (PartitionSpec(classes=(0,)), "--classes 0"),
        (PartitionSpec(share=(1, 2), split=("dirichlet", 0.5)), "--split dirichlet:0.5"),
        (PartitionSpec(share=(1, 2), split=("classes", 1)), "--split classes:1"),
    ],
)
def test_what_has_no_classes_is_not_divided_by_them(spec: PartitionSpec, named: str) -> None:
    with pytest.raises(SettingsError, match=f"{named}.*for regression and has no classes.*--split even"):
        take_partition(numbers(10), spec)

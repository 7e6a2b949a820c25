"""Every decoder reads what was meant, and refuses with its own errors whatever was not."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.decoders import DECODERS
from tests.fuzz.mutation import MAX_BYTES, MUTATIONS, mutate

INPUTS = {"range": 200, "ticket": 100}
"""How many mutations a decoder gets that takes its time over each."""

names = pytest.mark.parametrize("name", DECODERS)


@names
def test_what_was_meant_is_read(name: str) -> None:
    assert all(DECODERS[name].survives(content) for content in DECODERS[name].right)


@names
@settings(max_examples=50)
@given(content=st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(name: str, content: bytes) -> None:
    DECODERS[name].survives(content)


@names
def test_what_was_meant_and_mutated_is_read_or_refused(name: str) -> None:
    decoder, chance = DECODERS[name], random.Random(name)
    inputs = [mutate(chance.choice(decoder.right), decoder.right, chance) for _ in range(INPUTS.get(name, 1_000))]
    for content in inputs:
        decoder.survives(content)
    assert set(inputs) - set(decoder.right), "mutations change something"


@pytest.mark.parametrize("mutation", MUTATIONS)
@given(content=st.binary(max_size=40), seed=st.integers(0, 2**32))
def test_a_mutation_changes_bytes_the_same_way_for_the_same_seed(mutation: object, content: bytes, seed: int) -> None:
    assert callable(mutation)
    assert mutation(content, [content], random.Random(seed)) == mutation(content, [content], random.Random(seed))


def test_mutations_do_not_grow_without_bound() -> None:
    content, chance = b"x", random.Random(1)
    for _ in range(2_000):
        content = mutate(content, [content], chance)
        assert len(content) <= MAX_BYTES

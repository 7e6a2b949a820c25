"""What follows ``--data``: the kind, the path, the options."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dslnode.data.dataset import load_data_set
from dslnode.data.spec import KINDS, kind_of, parse_spec
from dslnode.errors import DataError


def test_options_follow_the_first_question_mark_before_a_name() -> None:
    spec = parse_spec("csv:logs/day-?.csv?target=a%2Cb,c&drop=%26&separator=semicolon&header=no")
    assert (spec.kind, str(spec.path)) == ("csv", "logs/day-?.csv")
    assert (spec.options.target, spec.options.drop) == (("a,b", "c"), ("&",))
    assert (spec.options.separator, spec.options.header) == (";", False)


def test_a_query_may_hold_equals_signs() -> None:
    assert parse_spec("sqlite:a.db?query=SELECT a FROM b WHERE c=1").options.query == "SELECT a FROM b WHERE c=1"


@pytest.mark.parametrize(("spec", "kind"), [("csv:a", "csv"), ("module:function", ""), ("digits", ""), ("csv", "")])
def test_kinds(spec: str, kind: str) -> None:
    assert kind_of(spec) == kind


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("csv:", "give a path after the colon"),
        ("csv:?target=a", "give a path after the colon"),
        ("csv:a?tarqet=b", "has no option 'tarqet'; did you mean target"),
        ("idx:a?target=b", "idx has no option 'target'; it takes none"),
        ("csv:a?target=a&target=b", "the option target is given twice; write several names as target=a,b"),
        ("csv:a?separator=x", "separator=x: Input should be"),
        ("images:a?size=big", "size=big: String should match"),
        (f"csv:{'x' * 70_000}", "longer than 65536 characters"),
    ],
)
def test_what_is_wrong_names_the_option(spec: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        parse_spec(spec)


@given(st.sampled_from(sorted(KINDS)), st.text(max_size=40))
def test_whatever_is_given_it_is_taken_apart_or_refused(kind: str, text: str) -> None:
    try:
        spec = parse_spec(f"{kind}:{text}")
    except DataError:
        return
    assert spec.kind == kind


@pytest.mark.parametrize(
    ("spec", "written"),
    [
        ("pump.csv", "csv:pump.csv"),
        ("a/pump.TSV.gz?target=state", "csv:a/pump.TSV.gz?target=state"),
        ("log.ndjson", "jsonl:log.ndjson"),
        ("arrays.npz", "npz:arrays.npz"),
    ],
)
def test_the_name_of_a_file_without_its_kind_is_refused_with_what_to_write(spec: str, written: str) -> None:
    with pytest.raises(DataError) as caught:
        load_data_set(spec)
    assert str(caught.value) == f"--data {spec}: does not say what kind of file it is; write {written}"

"""The exception tree and the exit codes that scripts rely on."""

from __future__ import annotations

import copy
import re

import pytest

from dslnode import errors
from dslnode.errors import DslnodeError, ExitCode, PeerError


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("SettingsError", 2),
        ("DataError", 3),
        ("ModelError", 3),
        ("ListenError", 4),
        ("StateError", 5),
        ("UnreachableError", 6),
    ],
)
def test_each_fault_ends_the_process_with_its_documented_code(name: str, code: int) -> None:
    error = getattr(errors, name)("what, where, what to do")
    assert isinstance(error, DslnodeError)
    assert error.exit_code == code
    assert str(error) == "what, where, what to do"


def test_exit_codes_keep_their_numbers() -> None:
    assert {code.name: code.value for code in ExitCode} == {
        "DONE": 0,
        "INTERNAL": 1,
        "SETTINGS": 2,
        "DATA": 3,
        "LISTEN": 4,
        "STATE": 5,
        "UNREACHABLE": 6,
        "PROBLEM": 7,
        "HANGUP": 129,
        "INTERRUPTED": 130,
        "TERMINATED": 143,
    }


def test_a_neighbours_fault_has_a_reason_for_the_metrics_and_a_message_for_the_log() -> None:
    error = PeerError("unknown_codec", "sent codec 9, which this version does not know")
    assert (error.reason, str(error)) == ("unknown_codec", "sent codec 9, which this version does not know")
    copied = copy.copy(error)
    assert (copied.reason, str(copied)) == (error.reason, str(error))


def test_the_tree_at_the_top_of_the_file_names_every_class() -> None:
    classes = {name for name, value in vars(errors).items() if isinstance(value, type) and name.endswith("Error")}
    assert classes == set(re.findall(r"\w+Error", errors.__doc__ or ""))

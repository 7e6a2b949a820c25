"""Whether others can dial a node, from its settings and from what peers say who tried."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dslnode.cli.doctor.findings import Finding, Level
from dslnode.cli.doctor.reach import DialBack, ReachFacts, check_reach
from tests.cli.doctor.test_host import OK, WARNING, level


@pytest.mark.parametrize(
    ("reach", "expected", "message"),
    [
        (ReachFacts("0.0.0.0:7711", "", ("10.0.0.3:1",), ("10.0.0.2", "fd00::2")), OK, "10.0.0.2:7711, [fd00::2]:7711"),
        (ReachFacts("10.0.0.2:7711", "", (), ("10.0.0.2",)), OK, "10.0.0.2:7711"),
        (ReachFacts("127.0.0.1:7711", "", ("127.0.0.1:7712",), ()), OK, "only this machine"),
        (ReachFacts("[::1]:7711", "", ("10.0.0.3:1",), ("10.0.0.2",)), WARNING, "peers are elsewhere"),
        (ReachFacts("0.0.0.0:7711", "localhost:7711", (), ("10.0.0.2",)), WARNING, "their own machine"),
        (ReachFacts("0.0.0.0:7711", "", (), ()), WARNING, "no address but loopback"),
        (
            ReachFacts("0.0.0.0:7711", "x.invalid:1", (), ("10.0.0.2",), "no such name"),
            WARNING,
            "a name that is not known",
        ),
    ],
)
def test_reach(reach: ReachFacts, expected: Level, message: str) -> None:
    [found] = check_reach(reach)
    assert level(found) == expected
    assert message in found.what


BOARD = ReachFacts("0.0.0.0:7711", "", ("10.0.0.3:7711",), ("10.0.0.2",))
SEEN = DialBack("board-2", reached=True, host="10.0.0.2")
DROPPED = DialBack("board-2", reached=False, host="10.0.0.2", problem="no answer within 3 s")
OLD = DialBack("board-3", reached=None, problem="10.0.0.3:7711 does not know this question: it is an older dslnode")
HERE = DialBack("board-4", reached=True, host="127.0.0.1", same_machine=True)


def checked(reach: ReachFacts, *answers: DialBack, arrived: bool | None = None) -> list[Finding]:
    return check_reach(replace(reach, dial_backs=answers, arrived=arrived))


def test_a_peer_that_reached_us_outweighs_the_settings() -> None:
    [found] = checked(BOARD, SEEN, arrived=True)
    assert (found.level, found.what) == (OK, "board-2 reached us at 10.0.0.2:7711")
    [found] = checked(BOARD, SEEN)
    assert level(found) == OK, "the running node took the connection, so nobody here saw it"


def test_a_peer_that_could_not_dial_back_is_a_warning_with_a_fix() -> None:
    [found] = checked(BOARD, DROPPED, arrived=False)
    assert level(found) == WARNING
    assert found.what == "board-2 could not reach port 7711 at 10.0.0.2: no answer within 3 s"
    for word in ("firewall", "forward", "full neighbour"):
        assert word in found.fix


def test_another_machine_may_answer_at_our_address() -> None:
    """A router with a port of its own open: the peer was let in, and nothing came here."""
    [found] = checked(BOARD, replace(SEEN, host="198.51.100.7"), arrived=False)
    assert level(found) == WARNING
    assert "but not this machine" in found.what
    assert "198.51.100.7" in found.fix


def test_an_older_peer_is_no_problem_and_no_answer() -> None:
    by_settings, found = checked(BOARD, OLD)
    assert (level(found), "older dslnode" in found.what) == (OK, True)
    assert "name a peer on another machine" in by_settings.what


def test_a_peer_on_this_machine_proves_nothing_about_others() -> None:
    by_settings, found = checked(BOARD, HERE, arrived=False)
    assert "unless a firewall is between" in by_settings.what
    assert "of others that says nothing" in found.what
    assert level([by_settings, found]) == OK


def test_an_address_on_which_the_node_does_not_listen_is_no_failure() -> None:
    two_addresses = replace(BOARD, listen="10.0.0.2:7711", own=("10.0.0.2", "10.9.0.2"))
    by_settings, found = checked(two_addresses, replace(DROPPED, host="10.9.0.2"))
    assert "unless a firewall is between" in by_settings.what
    assert (level(found), "not found out" in found.what) == (OK, True)


def test_the_port_is_the_advertised_one() -> None:
    forwarded = replace(BOARD, advertise="board.example:4711")
    assert checked(forwarded, SEEN)[0].what == "board-2 reached us at 10.0.0.2:4711"
    assert "port 4711" in checked(forwarded, DROPPED)[0].what


def test_a_warning_about_settings_stays_even_if_a_peer_got_through() -> None:
    found = checked(replace(BOARD, advertise="127.0.0.1:7711"), SEEN, arrived=True)
    assert [each.level for each in found] == [WARNING, OK]


def test_equal_answers_of_peers_are_one_finding() -> None:
    many = [replace(SEEN, peer=f"board-{number}") for number in range(2, 10)]
    first, second = checked(BOARD, *many, replace(DROPPED, peer="far"), arrived=True)
    assert first.what == "board-2, board-3, board-4, board-5, board-6 and 3 more reached us at 10.0.0.2:7711"
    assert (second.level, second.what.split()[0]) == (Level.WARNING, "far")

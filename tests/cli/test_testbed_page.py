"""The page of a testbed: all nodes with their scores, those that have ended among them."""

from __future__ import annotations

import json
from pathlib import Path

from dslnode.cli.crawler import NetworkSnapshot, crawl
from dslnode.cli.testbed_page import ENDED, STARTING, LastReplies, page_of
from dslnode.cli.testbed_plan import Place, plan_testbed
from dslnode.config.settings import Settings
from dslnode.errors import UnreachableError
from dslnode.simulation.topology import ring
from dslnode.v1 import node_pb2 as pb

PLACES = [Place("127.0.0.1", 20_000 + number, 21_000 + number) for number in range(2)]


def reply(number: int, **fields: object) -> pb.StatusReply:
    node_id = f"{number:032x}"
    return pb.StatusReply(name=f"node-{number}", node_id=node_id, run_id="testbed", phase="training", **fields)  # type: ignore[arg-type]


class Answers:
    """Nodes that answer until they are ended, by address."""

    def __init__(self, **replies: pb.StatusReply) -> None:
        self.replies = replies

    def __call__(self, address: str) -> pb.StatusReply:
        if address not in self.replies:
            raise UnreachableError(f"nobody answers at {address}")
        return self.replies[address]


def test_a_node_that_ended_is_shown_with_what_it_logged_last(tmp_path: Path) -> None:
    [first, second] = plan_testbed(tmp_path, Settings(), ring(2), PLACES)
    answers = Answers()
    last = LastReplies(answers, [first, second])
    address = first.settings.listen
    assert (last.ask(address).phase, last.ask(address).name) == (STARTING, "node-1")
    other = pb.NeighbourStatus(node_id=f"{2:032x}", name="node-2", connected=True)
    answers.replies[address] = reply(1, round=3, score=0.5, score_name="accuracy", neighbours=[other])
    assert last.ask(address).round == 3
    line = {"event": "round", "round": 5, "bits_sent": 4000, "score": 0.75, "score_name": "accuracy"}
    first.log.write_text(json.dumps(line) + "\n")
    answers.replies.clear()
    ended = last.ask(address)
    assert (ended.phase, ended.round, ended.score, ended.payload_bits_sent) == (ENDED, 5, 0.75, 4000)
    assert not ended.neighbours


def test_nodes_that_end_before_they_are_asked_are_shown_as_well(tmp_path: Path) -> None:
    nodes = plan_testbed(tmp_path, Settings(rounds=2), ring(2), PLACES)
    nodes[1].log.write_text('{"event": "round", "round": 2, "bits_sent": 10}\n')
    last = LastReplies(Answers(), nodes)
    page = page_of(crawl(last.addresses, last.ask), {"node-1": (0.0, 0.0), "node-2": (1.0, 1.0)})
    assert "<td>node-1</td><td>starting</td><td>0</td>" in page
    assert "<td>node-2</td><td>finished</td><td>2</td>" in page
    assert "0 of 2 nodes run, 1 starting, 1 finished, 0 links" in page


def test_the_page_has_all_nodes_in_order_and_reads_itself_again() -> None:
    other = pb.NeighbourStatus(node_id=f"{10:032x}", name="node-10", connected=True)
    replies = {
        "a": reply(1, round=3, score=0.5, score_name="accuracy", neighbours=[other]),
        "b": reply(10, round=4, score=0.875, score_name="accuracy"),
        "c": reply(2),
    }
    replies["c"].phase = ENDED
    places = {"node-1": (0.0, 0.0), "node-2": (1.0, 1.0), "node-10": (0.5, 0.5)}
    page = page_of(crawl(replies, Answers(**replies)), places)
    for text in ("2 of 3 nodes run, 1 ended, 1 links, mean accuracy 68.8 %", 'http-equiv="refresh"', "node-10: 0.875"):
        assert text in page
    assert page.index("<td>node-1<") < page.index("<td>node-2<") < page.index("<td>node-10<")


def test_only_nodes_of_the_testbed_are_shown_and_never_as_markup() -> None:
    name = "<script>alert(1)</script>"
    hostile = reply(1)
    hostile.name = name
    snapshot = crawl(["a"], Answers(a=hostile))
    for places in ({}, {name: (0.5, 0.5)}):
        assert "<script>" not in page_of(snapshot, places)


def test_a_page_without_any_node_is_a_page() -> None:
    assert "0 of 0 nodes" in page_of(NetworkSnapshot("testbed", (), frozenset()), {})

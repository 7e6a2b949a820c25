"""Other simulators beside ours: the task that all are given, their figures, and what is said of those left out."""

from __future__ import annotations

import sys
import sysconfig
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import simulation
from benchmarks.report import Row
from benchmarks.simulators import environments, runs
from benchmarks.simulators.environments import FLOWER, P2PFL, TORCH_FROM, Unavailable, made
from benchmarks.simulators.runs import BASE_NODES, Outcome, Runner, last_line, parse_figures, ratios, rows_of
from benchmarks.simulators.task import LOCAL_STEPS, build_mlp, read_task, train
from dslnode.learning.models import mlp
from dslnode.learning.options import TrainingOptions

SAID = '{"seconds_per_round": 2, "edges": 400, "accuracy": 0.5}'
NEED_TORCH = ("torch", "p2pfl", "lightning>", "pytorch")


class TestTask:
    def test_others_get_our_parts_of_the_data_and_our_graph(self, tmp_path: Path) -> None:
        ours = simulation.prepared_simulation(40, 1)
        task = read_task(simulation.shared_task(str(tmp_path), 40))
        count = len(ours.parts)
        assert 1 < count < 40
        for node in (0, count - 1, count):
            inputs, labels = task.part(node)
            part = ours.parts[node % count].train
            np.testing.assert_allclose(inputs, part.stored.reshape(len(part), -1) / part.full_scale)
            np.testing.assert_array_equal(labels, part.labels)
        assert {(one, other) for one, other in task.edges.tolist()} == {
            (one, other) for one, others in enumerate(ours.plan.neighbours) for other in others if one < other
        }

    def test_the_model_and_steps_are_ours(self) -> None:
        theirs, own = build_mlp(), mlp((1, 8, 8), 10)
        assert theirs(torch.zeros(3, 64)).shape == own(torch.zeros(3, 1, 8, 8)).shape
        assert sum(w.numel() for w in theirs.parameters() if w.dim() > 1) == sum(
            w.numel() for w in own.parameters() if w.dim() > 1
        )
        assert TrainingOptions().local_steps == LOCAL_STEPS

    def test_training_learns(self) -> None:
        torch.manual_seed(1)
        model, labels = build_mlp(features=10), torch.arange(10)
        first = train(model, torch.eye(10), labels)
        for _ in range(20):
            last = train(model, torch.eye(10), labels)
        assert last < first / 2


class TestFigures:
    def test_they_are_the_last_line_that_has_them_all(self) -> None:
        found = parse_figures(f'{SAID.replace("2", "9")}\nINFO a word\n{SAID}\n{{"edges": 3}}\nbye\n')
        assert found == {"seconds_per_round": 2.0, "edges": 400.0, "accuracy": 0.5}

    @pytest.mark.parametrize("said", ["", "no figures", "[1, 2]", '{"edges": 3}', SAID.replace("2", '"two"')])
    def test_without_them_there_are_none(self, said: str) -> None:
        assert parse_figures(said) is None

    def test_the_last_word_is_the_reason(self) -> None:
        assert last_line("Traceback\nImportError: no module\n\n") == "ImportError: no module"
        assert last_line("\n") == "ended without a word"


def outcome(nodes: int) -> Outcome:
    figures = {"seconds_per_round": nodes / 100, "edges": 4.0 * nodes, "accuracy": 0.5}
    return Outcome(figures=figures, peak_mb=500 + 2.0 * nodes)


def unexpected(engine: str, reason: str) -> None:
    pytest.fail(f"{engine} is left out: {reason}")


class TestRows:
    def test_memory_is_what_it_grew_by_from_few_nodes(self) -> None:
        few, row, _ = rows_of("flower", outcome, [200, 100], unexpected)
        assert (few["nodes"], few["mb_per_node"]) == (BASE_NODES, None)
        assert (row["engine"], row["nodes"], row["edges"]) == ("flower", 100, 400)
        assert (row["seconds_per_round"], row["edges_per_second"], row["mb_per_node"]) == (1.0, 400.0, 2.0)

    def test_larger_ones_are_left_out_once_one_fails(self) -> None:
        asked, said = list[int](), list[tuple[str, str]]()

        def run(nodes: int) -> Outcome:
            asked.append(nodes)
            if nodes > 100:
                raise Unavailable("was not done after 300 seconds")
            return outcome(nodes)

        rows = rows_of("p2pfl", run, [100, 500, 1000], lambda *what: said.append(what))
        assert [row["nodes"] for row in rows] == [BASE_NODES, 100]
        assert asked == [BASE_NODES, 100, 500]
        assert said == [("p2pfl", "500 nodes: was not done after 300 seconds")]

    def test_ratios_are_those_of_the_same_number_of_nodes(self) -> None:
        few = {"nodes": 16, "seconds_per_round": 1.0}
        rows: list[Row] = [
            {"engine": "local", **few, "mb_per_node": 0.5},
            {"engine": "flower", **few, "mb_per_node": None},
            {"engine": "local", "nodes": 100, "seconds_per_round": 2.0, "mb_per_node": 0.5},
            {"engine": "flower", "nodes": 100, "seconds_per_round": 3.0, "mb_per_node": 1.0},
            {"engine": "flower", "nodes": 1000, "seconds_per_round": 30.0, "mb_per_node": 1.0},
        ]
        assert ratios(rows, "flower") == {
            "seconds_of_flower_to_local_16_nodes": 1.0,
            "seconds_of_flower_to_local_100_nodes": 1.5,
            "memory_of_flower_to_local_100_nodes": 2.0,
        }
        assert ratios(rows, "p2pfl") == {}


class TestEnvironments:
    def test_one_that_stands_there_is_taken(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(environments, "_call", pytest.fail)
        place = Path(sysconfig.get_path("purelib", "posix_prefix", vars={"base": str(tmp_path / "p2pfl")}))
        place.mkdir(parents=True)
        (place / TORCH_FROM).touch()
        assert made(P2PFL, tmp_path) == tmp_path / "p2pfl" / "bin" / "python"

    def test_torch_comes_last_from_here_and_never_from_an_index(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        place = Path(sysconfig.get_path("purelib", "posix_prefix", vars={"base": str(tmp_path / "p2pfl")}))
        place.mkdir(parents=True)
        calls = list[list[str]]()

        def call(command: list[str]) -> None:
            assert not (place / TORCH_FROM).exists()
            calls.append(command)

        monkeypatch.setattr(environments, "_call", call)
        made(P2PFL, tmp_path)
        assert (place / TORCH_FROM).read_text().strip() == str(Path(torch.__file__).parents[1])
        resolved = [command[command.index("install") :] for command in calls[1:] if "--no-deps" not in command]
        assert resolved
        assert not [word for command in resolved for word in command if word.startswith(NEED_TORCH)]

    @pytest.mark.process
    def test_what_cannot_be_made_says_why(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "executable", str(tmp_path / "no-python"))
        with pytest.raises(Unavailable, match=r"cannot be made: .*no-python"):
            made(FLOWER, tmp_path)

    def test_without_a_directory_for_them_others_are_skipped(self) -> None:
        summary: Row = {}
        assert simulation.others(["local", "flower"], [100], Namespace(environments=None), summary) == []
        assert summary == {"skipped_flower": "is measured with --environments DIR only"}


@pytest.mark.process
class TestRunner:
    def test_a_process_tells_its_figures(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(runs, "SAMPLE_EVERY", 0.01)  # the process may be done before half a second is over
        found = self.runner().run(tmp_path, 7)
        assert found.figures == {"seconds_per_round": 0.5, "edges": 7.0, "accuracy": 1.0}
        assert found.peak_mb > 1

    def test_what_fails_says_why(self, tmp_path: Path) -> None:
        with pytest.raises(Unavailable, match=r"^ValueError: this task cannot be run$"):
            self.runner().run(tmp_path, 0)

    def test_what_takes_too_long_is_ended_with_what_it_started(self, tmp_path: Path) -> None:
        with pytest.raises(Unavailable, match="not done after 0 seconds"):
            self.runner(deadline=0.0).run(tmp_path, -1)

    def runner(self, deadline: float = 60.0) -> Runner:
        return Runner(python=Path(sys.executable), module="tests.benchmarks.stub_simulator", deadline=deadline)

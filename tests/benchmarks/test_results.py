"""The tables of the documentation: rows become the right cells, and the committed pages show what was measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest

from benchmarks.report import without_files
from benchmarks.results import __main__ as command
from benchmarks.results import accuracy, others, simulation, wire
from benchmarks.results.markdown import Column, fill, marked, number, stale, table, text


def accuracy_row(method: str, bits: float, case: str = "4-classes-15-each", **more: Any) -> dict[str, Any]:
    row = {"case": case, "method": method, "seed_count": 3, "accuracy": 89.64, "worst_node": 73.0}
    return {**row, "payload_bits": bits, **more}


class TestMarkdown:
    def test_numbers_go_to_the_right_and_what_is_missing_is_empty(self) -> None:
        columns = [text("name", "name", {"a": "first"}), number("value", "value", ".1f")]
        drawn = table(columns, [{"name": "a", "value": 1.25}, {"name": "b"}])
        assert drawn == "| name | value |\n| --- | ---: |\n| first | 1.2 |\n| b | |\n"

    def test_empty_cells_beside_one_another_stay_cells(self) -> None:
        columns = [Column(name, lambda _: "") for name in "abc"]
        assert table(columns, [{}]).splitlines()[-1] == "| | | |"

    def test_only_marked_tables_are_replaced(self) -> None:
        page = f"before\n{marked('one', 'old')}\n| a table |\n{marked('two', 'old')}\nafter\n"
        filled = fill(page, {"one": "1", "two": "2"})
        assert filled == f"before\n{marked('one', '1')}\n| a table |\n{marked('two', '2')}\nafter\n"
        assert fill(filled, {"one": "1", "two": "2"}) == filled

    def test_a_page_is_stale_where_a_table_changed_or_is_unknown(self) -> None:
        page = f"{marked('one', 'same')}\n{marked('two', 'old')}\n{marked('none', '')}"
        assert stale(page, {"one": "same", "two": "new"}) == ["two", "none"]
        with pytest.raises(KeyError, match="none"):
            fill(page, {"one": "same", "two": "new"})


class TestAccuracy:
    def test_bits_are_a_part_of_dpsgds_in_the_same_case(self) -> None:
        rows = [accuracy_row("ours", 1e8), accuracy_row("masks_alone", 0), accuracy_row("dpsgd", 3.71e10)]
        lines = accuracy.by_case({"rows": rows}).splitlines()
        assert lines[2] == "| 4 classes, 15 images per class | ours | 3 | 89.6 | 73.0 | 1e+08 | 1/371 |"
        assert [line.split(" | ")[-1] for line in lines[3:]] == ["0 |", "1 |"]

    def test_the_form_of_the_models_is_said_where_rows_have_one(self) -> None:
        rows = [accuracy_row("ours", 1e8, form="levels"), accuracy_row("dpsgd", 3.71e10)]
        lines = accuracy.by_case({"rows": rows}).splitlines()
        assert lines[0].startswith("| data of a node | method | form | seeds |")
        assert lines[2].startswith("| 4 classes, 15 images per class | ours | levels | 3 |")
        assert lines[3].startswith("| 4 classes, 15 images per class | D-PSGD | | 3 |")

    def test_a_case_is_one_row_with_our_seeds(self) -> None:
        ours = accuracy_row("ours", 1.0, "dirichlet-0.1", of_seeds=[89.0, 90.0])
        lines = accuracy.splits({"rows": [ours, accuracy_row("dpsgd", 2.0, "dirichlet-0.1")]}).splitlines()
        assert lines[2] == "| Dirichlet(0.1), 437 images | 89.6 (89.0, 90.0) | | | | 89.6 | | |"

    def test_the_short_table_ends_with_multiples_of_our_bits(self) -> None:
        bits = {"dense_alone": 0, "ours": 2.0, "ours_binary": 2.2, "dpsgd": 742.0, "dpsgd_finetuned": 742.0}
        rows = [accuracy_row(method, sent) for method, sent in bits.items()]
        last = accuracy.short({"rows": rows}).splitlines()[-1]
        assert last == "| bits sent, as a multiple of ours | 0 | 1 | 1 | 371 | 371 |"


class TestOthers:
    def test_traffic_is_a_mean_over_nodes_and_the_worst_ratio(self) -> None:
        node = {"data": "digits, mlp", "payload_bits": 100, "float32_bits": 3200, "wire_bytes": 20}
        rows = [{**node, "sent_ratio": 0.99, "received_ratio": 1.02}, {**node, "wire_bytes": 30, "sent_ratio": 1.0}]
        assert others.traffic({"rows": rows}).splitlines()[2:] == ["| digits, mlp | 100 | 3,200 | 25 | 1.020 |"]

    def test_losses_are_measured_against_the_row_without_lies(self) -> None:
        row = {"kind": "none", "hostile": 0.0, "off_accuracy": 86.7, "off_loss": 0.0}
        drawn = others.hostile({"rows": [{**row, "clipped_accuracy": 87.4, "clipped_loss": -0.7}]})
        assert drawn.splitlines()[-1] == "| 0 % | | 86.7 | | 87.4 | -0.7 |"

    def test_each_table_of_the_wire_takes_its_own_rows(self) -> None:
        rows = [
            {"what": "wire, messages of 20 bytes", "coded_bytes": 20, "wire_bytes": 30, "wire_over_coded": 1.5},
            {"what": "mesh --exchange keep", "first3_bytes": 14718.2, "settled_bytes": 481, "rounds": 300},
        ]
        assert wire.framing({"rows": rows}).splitlines()[2:] == ["| loopback | 20 | 30 | 1.5 | |"]
        assert wire.ring_and_mesh({"rows": rows}).splitlines()[2:] == ["| mesh, keep masks | 14,718 | 481 | 300 |"]
        assert len(wire.coding({"rows": rows}).splitlines()) == 2

    def test_each_graph_has_a_row_with_the_means_of_its_seeds(self) -> None:
        row = {"what": "ring", "seed": 1, "rounds": 30, "sent": 0.5, "accuracy": 80.0}
        later = {**row, "rounds": 60, "sent": 0.1, "accuracy": 81.0}
        other = {**later, "seed": 2, "sent": 0.3, "accuracy": 83.0}
        lines = wire.settling({"rows": [row, later, {**row, "seed": 2}, other]}).splitlines()
        assert lines[0] == "| graph, data | seeds | 1-30 | 31-60 | accuracy after 30, % | accuracy after 60, % |"
        assert lines[2:] == ["| ring | 2 | 0.50 | 0.20 | 80.0 | 82.0 |"]


class TestSimulation:
    NODES: ClassVar[dict[str, Any]] = {"nodes": 100, "edges": 397, "seconds_per_round": 4.0, "mb_per_node": 1.0}

    def test_our_engines_and_others_have_tables_of_their_own(self) -> None:
        rows = [
            {"engine": "local", **self.NODES},
            {"engine": "ray", **self.NODES},
            {"engine": "flower", **self.NODES, "edges": 100, "seconds_per_round": 1.0, "mb_per_node": None},
            {"engine": "local", **self.NODES, "nodes": 1000},
        ]
        own = simulation.nodes({"rows": rows}).splitlines()[2:]
        assert [line.split(" | ")[:2] for line in own] == [
            ["| `local`", "100"],
            ["| `ray`", "100"],
            ["| `local`", "1,000"],
        ]
        beside = simulation.others({"rows": rows}).splitlines()[2:]
        assert beside == ["| `local` | 100 | 397 | 4.00 | | 1.00 | |", "| Flower | 100 | 100 | 1.00 | 0.25 | | |"]

    def test_scores_differ_in_points_and_all_else_in_parts(self) -> None:
        score = {"figure": "score", "real": 97.9, "simulated": 98.0, "difference": 0.054, "goal": 1.0}
        wire_bytes = {"figure": "wire_bytes", "real": 2670.0, "simulated": 2310.0, "difference": -0.135, "goal": None}
        assert simulation.fidelity({"rows": [score, wire_bytes]}).splitlines()[2:] == [
            "| score, last ten rounds | 97.9 | 98.0 | +0.1 points | 1.0 points |",
            "| wire bytes per round | 2,670.0 | 2,310.0 | -13.5 % | |",
        ]


class TestPages:
    def test_the_committed_pages_show_what_was_measured(self) -> None:
        assert command.main(["--check"]) == 0

    def test_every_marker_of_a_page_has_its_table(self) -> None:
        for page in command.pages(command.ROOT):
            content = page.read_text(encoding="utf-8")
            assert content.count("<!-- table: ") == content.count("<!-- /table -->"), page

    def test_a_stale_table_is_named_and_then_filled(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "docs").mkdir()
        (tmp_path / "README.md").write_text(f"{marked('step', 'old')}\n", encoding="utf-8")
        monkeypatch.setattr(command, "ROOT", tmp_path)
        assert command.main(["--check"]) == 1
        assert "README.md: table step is stale" in capsys.readouterr().err
        assert command.main([]) == 0
        assert command.main(["--check"]) == 0

    def test_the_command_under_a_table_does_not_name_the_files_it_wrote(self) -> None:
        assert without_files(["--quick", "--json", "a.json", "--seeds", "1"]) == ["--quick", "--seeds", "1"]
        assert without_files(["--json=a.json"]) == []
        assert without_files(["--nodes", "8", "--results", "a.jsonl"]) == ["--nodes", "8"]

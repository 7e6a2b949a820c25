"""A simulation goes on from what it saved, as boards do after a power cut."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dslnode.errors import SettingsError, StateError
from dslnode.simulation.checkpoints import Checkpoints, identity_of
from dslnode.simulation.simulation import Simulation
from tests.simulation.networks import nodes_of, simulation

EVERY = 2


def saving(directory: Path, *, resume: bool = False, identity: str = "one", every: int = EVERY) -> Simulation:
    """Return a simulation of six rounds that saves its state in the directory."""
    built = simulation(rounds=6, link="100Mbit/s,1ms", speed_sigma=0.5)
    again = Simulation(built.prepared, Checkpoints(directory, identity, nodes=6, every=every), resume)
    list(again.build())
    return again


def interrupted(directory: Path) -> Simulation:
    """Return one that ended while some nodes were in their sixth round."""
    begun = saving(directory)
    for _ in begun.run():
        if sum(record.round >= 5 for record in begun.records) >= 2:
            break
    return begun


def test_it_goes_on_after_the_newest_round_that_all_nodes_have_saved(tmp_path: Path) -> None:
    begun = interrupted(tmp_path)
    resumed = saving(tmp_path, resume=True)
    kept = list(resumed.records)
    newest = max(record.round for record in kept)
    assert newest % EVERY == 0
    assert newest >= 2
    assert kept == [record for record in begun.records if record.round <= newest]
    list(resumed.run())
    assert sorted((record.node, record.round) for record in resumed.records) == [
        (node, number) for node in range(6) for number in range(1, 7)
    ]
    for node in range(6):
        own = [record for record in resumed.records if record.node == node]
        assert [record.seconds for record in own] == sorted(record.seconds for record in own)
        assert [record.payload_bits for record in own] == sorted(record.payload_bits for record in own)


def test_what_was_learned_is_not_lost(tmp_path: Path) -> None:
    interrupted(tmp_path)
    resumed = saving(tmp_path, resume=True)
    checkpoints = Checkpoints(tmp_path, "one", nodes=6, every=EVERY)
    newest = checkpoints.load_records()[-1].round
    for node in nodes_of(resumed):
        saved = checkpoints.load_node(node.number, newest)
        assert (node.learner.state()["scores"] == saved["scores"]).all()


def test_only_the_newest_complete_round_stays_on_disk(tmp_path: Path) -> None:
    list(saving(tmp_path).run())
    assert sorted(place.name for place in (tmp_path / "state").iterdir()) == ["complete.json", "ended", "round-6"]


def test_after_it_went_on_only_the_newest_complete_round_stays_too(tmp_path: Path) -> None:
    interrupted(tmp_path)
    list(saving(tmp_path, resume=True, every=1).run())
    assert sorted(place.name for place in (tmp_path / "state").iterdir()) == ["complete.json", "ended", "round-6"]


@pytest.mark.parametrize("every", [0, EVERY])
def test_an_unfinished_simulation_is_not_begun_anew_by_accident(tmp_path: Path, every: int) -> None:
    interrupted(tmp_path)
    with pytest.raises(SettingsError, match="unfinished simulation, saved after round 4; add --resume"):
        Checkpoints(tmp_path, "another", nodes=6, every=every).check_free()
    assert saving(tmp_path, resume=True).records[-1].round == 4


def test_one_that_has_ended_gives_way_once_the_next_one_saves(tmp_path: Path) -> None:
    list(saving(tmp_path).run())
    Checkpoints(tmp_path, "another", nodes=6, every=EVERY).check_free()
    assert saving(tmp_path, resume=True).records[-1].round == 6, "the check removes nothing"
    begun = saving(tmp_path, identity="another")
    for _ in begun.run():
        if any(record.round == 2 for record in begun.records):
            break
    assert not (tmp_path / "state" / "round-6").exists()
    with pytest.raises(StateError, match="no saved state to go on from"):
        saving(tmp_path, resume=True)
    Checkpoints(tmp_path, "one", nodes=6, every=EVERY).check_free()


def test_a_simulation_that_saves_nothing_leaves_the_state_of_another_alone(tmp_path: Path) -> None:
    list(saving(tmp_path).run())
    list(saving(tmp_path, every=0, identity="another").run())
    assert saving(tmp_path, resume=True).records[-1].round == 6


@pytest.mark.parametrize("name", ["round-1/notes.txt", "round-1/0.npz", "complete.json", "mine"])
def test_files_of_other_programs_are_never_removed(tmp_path: Path, name: str) -> None:
    file = tmp_path / "state" / name
    file.parent.mkdir(parents=True)
    file.write_text("mine")
    with pytest.raises(SettingsError, match=r"state is not the state of a simulation .* name another --report"):
        Checkpoints(tmp_path, "one", nodes=6, every=EVERY).check_free()
    Checkpoints(tmp_path, "one", nodes=6, every=0).check_free()
    list(saving(tmp_path, every=0).run())
    assert file.read_text() == "mine"


def test_files_of_others_beside_the_own_ones_stay(tmp_path: Path) -> None:
    interrupted(tmp_path)
    strange = [tmp_path / "state" / name for name in ("mine", "round-4/notes.txt", "round-x/1.npz")]
    for file in strange:
        file.parent.mkdir(exist_ok=True)
        file.write_text("mine")
    list(saving(tmp_path, resume=True).run())
    assert [file.read_text() for file in strange] == ["mine"] * 3
    assert not (tmp_path / "state" / "round-4" / "0.npz").exists()


def test_a_round_that_is_complete_is_not_written_again(tmp_path: Path) -> None:
    """After a loss nodes compute again what they had saved: the newest complete round must stay complete."""
    ended = saving(tmp_path)
    list(ended.run())
    checkpoints = ended.checkpoints
    assert checkpoints is not None
    checkpoints.save(0, ended.records[:19], {"scores": np.zeros(1)})
    assert not (tmp_path / "state" / "round-4").exists()
    assert saving(tmp_path, resume=True).records == ended.records


def test_without_a_state_there_is_nothing_to_go_on_from(tmp_path: Path) -> None:
    list(saving(tmp_path, every=0).run())
    with pytest.raises(StateError, match="leave --resume out"):
        saving(tmp_path, resume=True)


def test_the_state_of_another_simulation_is_refused(tmp_path: Path) -> None:
    list(saving(tmp_path).run())
    with pytest.raises(StateError, match="is of another simulation"):
        saving(tmp_path, resume=True, identity="another")


@pytest.mark.parametrize("content", ["", "[]", '{"identity": "one", "records": [{"node": 1}]}', "{"])
def test_a_damaged_state_is_refused(tmp_path: Path, content: str) -> None:
    list(saving(tmp_path).run())
    (tmp_path / "state" / "complete.json").write_text(content)
    with pytest.raises(StateError, match="cannot be read"):
        saving(tmp_path, resume=True)


def test_a_damaged_node_is_refused(tmp_path: Path) -> None:
    list(saving(tmp_path).run())
    (tmp_path / "state" / "round-6" / "3.npz").write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(StateError, match=r"3\.npz: cannot be read"):
        saving(tmp_path, resume=True)


def test_another_end_is_the_same_simulation() -> None:
    prepared = simulation().prepared
    plan, parts = prepared.plan, prepared.positions
    assert identity_of("a", plan, parts) == identity_of("a", replace(plan, until_score=0.9), parts)
    others = [("b", plan, parts), ("a", replace(plan, churn=0.5), parts), ("a", plan, parts[::-1])]
    moved = replace(parts[0], train=parts[0].train[:-1], held_out=np.append(parts[0].train[-1:], parts[0].held_out))
    others.append(("a", plan, [moved, *parts[1:]]))
    assert len({identity_of("a", plan, parts), *(identity_of(*other) for other in others)}) == 5

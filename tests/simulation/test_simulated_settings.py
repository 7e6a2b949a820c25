"""Settings of daemons in a simulation: those of the same network's tickets, as text that a ticket reads again."""

from __future__ import annotations

from dslnode.config.loader import load
from dslnode.config.presets import PRESETS
from dslnode.config.settings import Settings
from dslnode.simulation.simulated_settings import NOT_SIMULATED, chosen_settings, text_of
from dslnode.simulation.simulation import SimulationOptions, prepare_simulation


def test_what_is_of_one_machine_is_not_simulated() -> None:
    assert {"peers", "listen", "ticket", "share"} <= NOT_SIMULATED
    assert {"keep", "shadow_alone"} <= NOT_SIMULATED
    assert not {"data", "model", "rounds", "local_steps", "data_cap", "personal"} & NOT_SIMULATED


def test_settings_are_written_as_a_ticket_reads_them() -> None:
    values = ((1, 2), {"head.*": 0.5}, True, "sign")
    assert [text_of(value) for value in values] == ["1,2", "head.*=0.5", "True", "sign"]


def test_tickets_have_what_the_simulation_chose() -> None:
    loaded = load({"split": "classes:4", "listen": "10.0.0.9:7711"}, {}, None)
    settings = loaded.settings.model_copy(update={"data_cap": "2MB/day", "rounds": 20, "wait_for_peers": 60.0})
    found = chosen_settings(loaded, settings, 7)
    assert found == {"split": "classes:4", "data_cap": "2MB/day", "wait_for_peers": "60.0", "rounds": "7"}


def test_tickets_of_the_authors_form_have_its_settings() -> None:
    options = SimulationOptions(nodes=2, method="authors")
    authors = prepare_simulation(options, Settings(name="simulated")).settings
    again = load(chosen_settings(load({}, {}, None), authors, 200), {}, None).settings
    names = set(PRESETS["authors"]) - {"keep_ratio"}
    assert {name: getattr(again, name) for name in names} == {name: PRESETS["authors"][name] for name in names}

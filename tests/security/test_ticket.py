"""The ticket as a file, and as a layer of settings."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dslnode.config.loader import load
from dslnode.errors import SettingsError
from dslnode.security.secret_files import write_private
from dslnode.security.ticket import Ticket, read_ticket, ticket_text
from tests.networks import Operator

PLAIN = Ticket(
    name="board-7",
    node_id="ab" * 16,
    run_id="greenhouse",
    certificate="C\n",
    key="SECRET\n",
    authority="A\n",
    settings={"alpha": "1.5"},
)


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "board-7.ticket"
    write_private(file, text, replace=True)
    return file


@given(st.dictionaries(st.sampled_from(["data", "alpha", "peers"]), st.text(max_size=40)))
def test_a_ticket_is_read_back_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, more: dict[str, str]
) -> None:
    ticket = PLAIN.model_copy(update={"settings": more})
    assert read_ticket(written(tmp_path_factory.mktemp("ticket"), ticket_text(ticket))) == ticket


@pytest.mark.parametrize(
    ("former", "latter"),
    [
        ("version = 1", "version = 2"),
        ("ab" * 16, "AB" * 16),
        ("greenhouse", "green house"),
        ('name = "board-7"', ""),
        ("alpha =", "[alpha]\nx ="),
        ("fingerprint", "color"),
    ],
)
def test_what_is_no_ticket_of_this_version_is_refused_without_showing_the_key(
    tmp_path: Path, former: str, latter: str
) -> None:
    text = ticket_text(PLAIN)
    assert former in text
    with pytest.raises(SettingsError, match="not a ticket of this version") as refused:
        read_ticket(written(tmp_path, text.replace(former, latter)))
    assert "SECRET" not in str(refused.value)


@pytest.mark.parametrize("text", ["", "SECRET = ", "a" * 100, "[" * 50_000])
def test_what_is_no_ticket_at_all_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError, match="not a ticket") as refused:
        read_ticket(written(tmp_path, text))
    assert "SECRET" not in str(refused.value)


def test_a_key_is_not_shown_by_printing_the_ticket() -> None:
    assert "SECRET" not in repr(PLAIN)


def test_a_tickets_settings_lie_between_the_presets_and_everything_else(tmp_path: Path) -> None:
    file = Operator(tmp_path / "a").ticket("board-7", alpha="1.5", learning_rate="0.5", algorithm="authors", rounds="9")
    toml = tmp_path / "node.toml"
    toml.write_text("learning_rate = 0.25\n")
    loaded = load({"ticket": str(file)}, {"DSLNODE_ROUNDS": "7"}, toml)
    settings, origins = loaded.settings, loaded.origins
    assert (settings.name, settings.run_id, settings.listen) == ("board-7", "run", "0.0.0.0:7711")
    assert (settings.alpha, settings.learning_rate, settings.rounds) == (1.5, 0.25, 7)
    assert (origins["alpha"], origins["learning_rate"], origins["rounds"]) == (str(file), str(toml), "DSLNODE_ROUNDS")
    assert origins["momentum"] == "preset authors"
    assert origins["ticket"] == "--ticket"


@pytest.mark.parametrize("where", ["environment", "file"])
def test_the_ticket_can_be_named_anywhere(tmp_path: Path, where: str) -> None:
    file = Operator(tmp_path / "a").ticket("board-7")
    toml = tmp_path / "node.toml"
    toml.write_text(f'ticket = "{file}"\n' if where == "file" else "")
    environment = {"DSLNODE_TICKET": str(file)} if where == "environment" else {}
    assert load({}, environment, toml).settings.name == "board-7"


def test_an_empty_ticket_is_a_mistake_and_never_no_ticket() -> None:
    """As when a variable that should name it is not set: the node must not start unencrypted then."""
    with pytest.raises(SettingsError, match=r"ticket = '' \(from DSLNODE_TICKET\)"):
        load({}, {"DSLNODE_TICKET": ""}, None)


def test_a_setting_in_a_ticket_that_there_is_not_is_named(tmp_path: Path) -> None:
    file = Operator(tmp_path / "a").ticket("board-7", alhpa="1.5")
    with pytest.raises(SettingsError, match="did you mean alpha"):
        load({"ticket": str(file)}, {}, None)

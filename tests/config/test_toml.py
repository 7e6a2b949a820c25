"""The settings file that ``dslnode config --init`` writes."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from dslnode.config.loader import load
from dslnode.config.settings import SECTIONS, Settings, describe
from dslnode.config.toml import write_template
from dslnode.errors import ExitCode, SettingsError
from tests.cli.test_main import complaint, run


def uncommented(text: str) -> str:
    """Return the file as it would be with every setting that has a default switched on."""
    lines = []
    for line in text.splitlines():
        setting = line.removeprefix("# ")
        name = setting.partition(" = ")[0].strip("[]")
        lines.append(setting if name in Settings.model_fields and not setting.endswith("=") else line)
    return "\n".join(lines)


def test_a_file_just_written_changes_nothing(tmp_path: Path) -> None:
    file = write_template(load({}, {}, None), tmp_path / "node.toml")
    assert tomllib.loads(file.read_text()) == {}
    assert load({}, {}, file).settings == load({}, {}, None).settings


def test_all_settings_are_in_it_with_meaning_default_and_section(tmp_path: Path) -> None:
    text = write_template(load({}, {}, None), tmp_path / "node.toml").read_text()
    given = tomllib.loads(uncommented(text))
    defaults = load({}, {}, None).settings
    for name in Settings.model_fields:
        assert describe(name)[:40] in text
        if getattr(defaults, name) is not None:
            assert name in given
        else:
            assert f"# {name} =" in text
    assert all(f"# ---- {title} " in text for title in SECTIONS.values())
    (tmp_path / "all.toml").write_text(uncommented(text))
    assert load({}, {}, tmp_path / "all.toml").settings == defaults


def test_settings_that_are_set_are_written_uncommented(tmp_path: Path) -> None:
    loaded = load({"alpha": "3", "layer_keep_ratios": "conv*=0.1", "algorithm": "authors"}, {}, None)
    file = write_template(loaded, tmp_path / "node.toml")
    assert load({}, {}, file).settings == loaded.settings
    assert "\nalpha = 3.0\n" in file.read_text()
    assert "\n# threads = 1\n" in file.read_text()


def test_every_text_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    given = {"data": 'idx:/d/"\\ \t\x85\U0001f600', "layer_keep_ratios": 'a."b\\*=0.1'}
    loaded = load(given, {}, None)
    assert load({}, {}, write_template(loaded, tmp_path / "node.toml")).settings == loaded.settings


def test_bytes_that_are_no_text_are_shown_as_question_marks(tmp_path: Path) -> None:
    loaded = load({"data": "idx:/d\udcff"}, {}, None)
    assert 'data = "idx:/d?"' in write_template(loaded, tmp_path / "node.toml").read_text()


def test_a_file_that_is_there_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "node.toml"
    file.write_text("seed = 5\n")
    with pytest.raises(SettingsError, match="exists already and is not changed"):
        write_template(load({}, {}, None), file)
    assert file.read_text() == "seed = 5\n"
    with pytest.raises(SettingsError, match="cannot be written"):
        write_template(load({}, {}, None), tmp_path / "absent" / "node.toml")


@pytest.mark.process
def test_the_command_writes_it(tmp_path: Path) -> None:
    file = tmp_path / "node.toml"
    done = run("config", "--init", str(file), "--alpha", "3")
    assert done.stdout == f"wrote {file}; edit it, then: dslnode start --config {file}\n"
    assert tomllib.loads(file.read_text()) == {"alpha": 3.0}
    assert "exists already" in complaint(ExitCode.SETTINGS, "config", "--init", str(file))
    assert "use --config" in complaint(ExitCode.SETTINGS, "config", str(file))

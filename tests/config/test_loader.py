"""Layers of settings: which one wins, what each value's origin is called, and the messages about mistakes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from dslnode.config.loader import MAX_FILE_BYTES, LoadedSettings, load
from dslnode.config.presets import PRESETS
from dslnode.config.settings import Settings
from dslnode.config.toml import settings_as_toml
from dslnode.errors import SettingsError


def loaded(
    arguments: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
    file: Path | None = None,
) -> LoadedSettings:
    return load(arguments or {}, environment or {}, file)


def file_with(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "node.toml"
    file.write_text(text, encoding="utf-8")
    return file


def complaint(
    arguments: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
    file: Path | None = None,
) -> str:
    with pytest.raises(SettingsError) as caught:
        loaded(arguments, environment, file)
    return str(caught.value)


@pytest.mark.parametrize(
    ("field", "texts", "values"),
    [
        ("rounds", ("1", "2", "3"), (1, 2, 3)),
        ("alpha", ("1.5", "2.5", "3.5"), (1.5, 2.5, 3.5)),
        ("run_id", ("a", "b", '"c"'), ("a", "b", "c")),
        ("peers", ("a:1", "b:2,c:3", '["d:4"]'), (("a:1",), ("b:2", "c:3"), ("d:4",))),
        ("classes", ("1", "2,3", "[4, 5]"), ((1,), (2, 3), (4, 5))),
        ("own_classes", ("False", "1", "false"), (False, True, False)),
        ("layer_keep_ratios", ("a=0.1", "b=0.2", '{"c*" = 0.3}'), ({"a": 0.1}, {"b": 0.2}, {"c*": 0.3})),
        ("state_dir", ("/a", "b", '"/c"'), (Path("/a"), Path("b"), Path("/c"))),
    ],
)
def test_command_line_wins_over_environment_over_file_over_default(
    tmp_path: Path, field: str, texts: tuple[str, str, str], values: tuple[object, ...]
) -> None:
    option, variable = f"--{field.replace('_', '-')}", f"DSLNODE_{field.upper()}"
    arguments, environment = {field: texts[0]}, {variable: texts[1]}
    file = file_with(tmp_path, f"{field} = {texts[2]}\n")
    layers = (
        (loaded(arguments, environment, file), values[0], option),
        (loaded(None, environment, file), values[1], variable),
        (loaded(None, None, file), values[2], str(file)),
        (loaded(), getattr(Settings(), field), "default"),
    )
    for result, value, origin in layers:
        assert (getattr(result.settings, field), result.origins[field]) == (value, origin)


def test_each_setting_has_an_origin_of_its_own(tmp_path: Path) -> None:
    result = loaded({"alpha": "1"}, {"DSLNODE_SEED": "5"}, file_with(tmp_path, "rounds = 7"))
    assert result.origins.keys() == Settings.model_fields.keys()
    assert (result.origins["alpha"], result.origins["seed"]) == ("--alpha", "DSLNODE_SEED")
    assert (result.origins["rounds"], result.origins["model"]) == (str(tmp_path / "node.toml"), "default")


@pytest.mark.parametrize("where", ["arguments", "environment", "file"])
def test_the_authors_preset_can_be_chosen_anywhere_and_sets_its_defaults(tmp_path: Path, where: str) -> None:
    result = {
        "arguments": lambda: loaded({"algorithm": "authors"}),
        "environment": lambda: loaded(None, {"DSLNODE_ALGORITHM": "authors"}),
        "file": lambda: loaded(file=file_with(tmp_path, 'algorithm = "authors"')),
    }[where]()
    preset = PRESETS["authors"]
    assert preset
    assert {field: getattr(result.settings, field) for field in preset} == preset
    assert {result.origins[field] for field in preset} == {"preset authors"}
    others = Settings.model_fields.keys() - preset.keys() - {"algorithm"}
    assert {field: getattr(result.settings, field) for field in others} == {
        field: getattr(Settings(), field) for field in others
    }


def test_every_layer_overrides_the_preset(tmp_path: Path) -> None:
    file = file_with(tmp_path, "learning_rate = 0.25\nmomentum = 0.5\n")
    result = loaded({"algorithm": "authors", "alpha": "7"}, {"DSLNODE_MOMENTUM": "0.75"}, file)
    settings = result.settings
    assert (settings.alpha, settings.momentum, settings.learning_rate) == (7.0, 0.75, 0.25)
    assert settings.local_steps == PRESETS["authors"]["local_steps"]
    assert result.origins["alpha"] == "--alpha"


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("1", True), ("yes", True), ("0", False), ("False", False)]
)
def test_switches_are_read_from_the_environment(text: str, value: bool) -> None:
    assert loaded(None, {"DSLNODE_OWN_CLASSES": text}).settings.own_classes is value


def test_the_rest_of_the_environment_and_the_name_of_the_file_are_left_alone() -> None:
    environment = {"PATH": "/bin", "ALPHA": "no", "DSLNODE_CONFIG": "node.toml", "XDSLNODE_ALPHA": "no"}
    assert loaded(None, environment).settings == loaded().settings


def test_a_misspelt_name_in_the_file_is_answered_with_the_nearest(tmp_path: Path) -> None:
    file = file_with(tmp_path, "keep_rato = 0.3")
    assert complaint(file=file) == f"{file}: there is no setting keep_rato; did you mean keep_ratio?"


def test_a_misspelt_name_in_the_environment_is_answered_with_the_nearest() -> None:
    message = complaint(None, {"DSLNODE_LOCAL_STEP": "3"})
    assert message == "the environment: there is no setting DSLNODE_LOCAL_STEP; did you mean DSLNODE_LOCAL_STEPS?"


def test_a_name_like_no_other_is_answered_with_where_all_are_listed(tmp_path: Path) -> None:
    message = complaint(file=file_with(tmp_path, "zzzzzz = 1"))
    assert message.endswith("there is no setting zzzzzz; `dslnode config --show` lists all settings")


def test_a_section_of_the_file_is_no_setting(tmp_path: Path) -> None:
    assert "there is no setting node" in complaint(file=file_with(tmp_path, "[node]\nalpha = 1\n"))


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("keep_ratio", "1.5"),
        ("rounds", "many"),
        ("listen", "7711"),
        ("metrics", "on"),
        ("share", "4/3"),
        ("peers", "a:1,b"),
        ("classes", "0,x"),
        ("layer_keep_ratios", "abc"),
        ("layer_keep_ratios", "=0.3"),
        ("layer_keep_ratios", "conv*=2"),
        ("shared_scores", "perhaps"),
        ("fine_tuning", "on"),
        ("state_dir", ""),
        ("algorithm", "authrs"),
        ("learning_rate", "inf"),
    ],
)
def test_a_wrong_value_is_named_with_its_setting_and_where_it_was_set(tmp_path: Path, field: str, text: str) -> None:
    option, variable = f"--{field.replace('_', '-')}", f"DSLNODE_{field.upper()}"
    file = file_with(tmp_path, f'{field} = "{text}"')
    for message, origin in (
        (complaint({field: text}), option),
        (complaint(None, {variable: text}), variable),
        (complaint(None, None, file), str(file)),
    ):
        assert message.startswith(f"{field} = {text!r} (from {origin}): ")
        assert "\n" not in message


def test_each_of_several_wrong_values_has_its_line() -> None:
    lines = complaint({"alpha": "-1", "rounds": "x"}, {"DSLNODE_SEED": "-3"}).splitlines()
    assert {line.split(" = ")[0] for line in lines} == {"alpha", "rounds", "seed"}


def test_settings_that_contradict_each_other_are_explained() -> None:
    assert complaint({"shared_scores": "False"}).startswith("sign masks need signed_scores and shared_scores")


def test_a_host_name_that_cannot_be_a_nodes_name_asks_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "größe")
    message = complaint()
    assert message.startswith("name (default): ")
    assert message.endswith("set it with --name")


@pytest.mark.parametrize(
    "content",
    [
        b"alpha",
        b"alpha = ",
        b"alpha = 1\nalpha = 2",
        b'{"alpha": 1}',
        b"a = " + b"[" * 100_000,
        b"seed = " + b"9" * 5_000,
    ],
    ids=["no value", "empty value", "twice", "JSON", "endless brackets", "endless digits"],
)
def test_a_file_that_is_not_toml_is_named(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "node.toml"
    file.write_bytes(content)
    assert complaint(file=file).startswith(f"{file}: is not TOML: ")


@pytest.mark.parametrize(("content", "reason"), [(b"\xff\xfea\x00", "UTF-16"), (b"a = '\xe4'", "not UTF-8")])
def test_a_file_that_is_not_utf_8_is_named(tmp_path: Path, content: bytes, reason: str) -> None:
    file = tmp_path / "node.toml"
    file.write_bytes(content)
    message = complaint(file=file)
    assert message.startswith(f"{file}: ")
    assert reason in message


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    message = complaint(file=tmp_path / "absent.toml")
    assert message == (
        f"{tmp_path / 'absent.toml'}: cannot be read (No such file or directory); give a settings file to --config"
    )
    assert "cannot be read (it is a directory, no regular file)" in complaint(file=tmp_path)


def test_a_file_too_large_to_be_settings_is_not_read_whole(tmp_path: Path) -> None:
    file = tmp_path / "node.toml"
    with file.open("wb") as stream:
        stream.truncate(1 << 40)  # sparse: takes no room on the disk, but would not fit into memory
    assert "it is larger than 1 MiB" in complaint(file=file)
    file.write_bytes(b"#" * (MAX_FILE_BYTES - 10) + b"\nrounds=3\n")
    assert loaded(file=file).settings.rounds == 3


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"algorithm": "authors"},
        {"peers": "a:1,[::1]:2", "classes": "0,3", "state_dir": "/var/lib/x y", "samples_per_class": "5"},
        {"layer_keep_ratios": 'conv*=0.1,a"b\\=1', "learning_rate": "1e-7", "metrics": "off"},
        {"data": 'npz:/x/"quoted" \\ tab\t line\n bell\x07 del\x7f größe 数 😀 \U000e0001.npz'},
    ],
    ids=["defaults", "authors", "lists", "table", "odd text"],
)
def test_printed_settings_are_read_back_the_same(tmp_path: Path, arguments: dict[str, str]) -> None:
    first = loaded(arguments)
    file = file_with(tmp_path, settings_as_toml(first))
    again = loaded(file=file)
    assert again.settings == first.settings
    unset = {name for name, value in first.settings if value is None}
    assert {name for name, origin in again.origins.items() if origin != str(file)} == unset


def test_printed_settings_say_what_each_means_and_where_it_came_from() -> None:
    text = settings_as_toml(loaded({"alpha": "2"}, {"DSLNODE_SEED": "3"}))
    assert "# from: --alpha\nalpha = 2.0\n" in text
    assert "# from: DSLNODE_SEED\nseed = 3\n" in text
    assert "# from: default\n# state_dir =\n" in text
    assert "# Minibatches per round." in text

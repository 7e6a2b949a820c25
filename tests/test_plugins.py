"""Finding models and data sets by name or as `module:function`."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from torch import nn

from dslnode import plugins
from dslnode.errors import DataError, ModelError, SettingsError
from dslnode.plugins import data_factory, load_object, model_factory

WriteModule = Callable[[str], str]


@pytest.fixture
def write_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WriteModule:
    """Write a module into the working directory; return its name, which no other test has used."""
    numbers = itertools.count()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])  # as the command line does

    def write(source: str) -> str:
        name = f"users_{tmp_path.name}_{next(numbers)}"
        (tmp_path / f"{name}.py").write_text(source)
        return name

    return write


def test_a_function_of_a_module_in_the_working_directory(write_module: WriteModule) -> None:
    name = write_module("def five(): return 5\nclass Box:\n    @staticmethod\n    def six(): return 6\n")
    assert load_object(f"{name}:five")() == 5
    assert load_object(f"{name}:Box.six")() == 6


@pytest.mark.parametrize("spec", ["", ":", "a:", ":b", "a b:c", "../a:b", ".a:b", "a:b:c", "a:b c", "no-colon"])
def test_a_malformed_spec(spec: str) -> None:
    with pytest.raises(SettingsError, match="not of the form module:function"):
        load_object(spec)


def test_a_missing_module() -> None:
    with pytest.raises(DataError, match="there is no module 'no_such_module'"):
        load_object("no_such_module:load", DataError)
    with pytest.raises(DataError, match=r"there is no module 'os\.nothing'|there is no module"):
        load_object("os.nothing:load", DataError)


def test_a_module_that_needs_a_missing_one(write_module: WriteModule) -> None:
    name = write_module("import not_installed_anywhere")
    with pytest.raises(SettingsError, match="needs not_installed_anywhere, which is not installed"):
        load_object(f"{name}:load")


@pytest.mark.parametrize("source", ["1 / 0", "def broken(:", "raise OSError('disk')"])
def test_a_module_that_fails_to_import(write_module: WriteModule, source: str) -> None:
    name = write_module(source)
    with pytest.raises(SettingsError, match=f"importing {name} failed"):
        load_object(f"{name}:load")


def test_a_missing_function_suggests_the_nearest(write_module: WriteModule) -> None:
    name = write_module("def load_sensor(): ...\nlimit = 3\n")
    with pytest.raises(SettingsError, match=r"has no 'load_senser'; did you mean 'load_sensor'\?"):
        load_object(f"{name}:load_senser")
    with pytest.raises(SettingsError, match="limit is of type int, not a function"):
        load_object(f"{name}:limit")


@pytest.mark.parametrize("name", plugins.BUILT_IN_MODELS)
@pytest.mark.parametrize("installed", [True, False])
def test_built_in_models(name: str, installed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not installed:
        monkeypatch.setattr(plugins, "entry_points", lambda **_: ())
    shape = (28, 28) if name in {"cnn1d", "gru"} else (1, 28, 28)
    assert isinstance(model_factory(name)(shape, 10), nn.Module)


def test_an_unknown_model_lists_the_known_and_suggests_the_nearest() -> None:
    with pytest.raises(
        ModelError,
        match=r"unknown model 'mpl'; did you mean 'mlp'\?; known are alexnet, auto, .*, gru, mlp",
    ):
        model_factory("mpl")


def test_plug_ins_of_other_packages(write_module: WriteModule, monkeypatch: pytest.MonkeyPatch) -> None:
    name = write_module("from torch import nn\ndef build(): return nn.Linear(1, 1)\ndef load(): return 'data'\n")
    entries = {
        "dslnode.models": [
            EntryPoint("tiny", f"{name}:build", "dslnode.models"),
            EntryPoint("mlp", "evil:mlp", "dslnode.models"),
        ],
        "dslnode.datasets": [EntryPoint("sensor", f"{name}:load", "dslnode.datasets")],
    }
    monkeypatch.setattr(plugins, "entry_points", lambda group: entries[group])
    assert isinstance(model_factory("tiny")((1,), 2), nn.Linear)
    assert isinstance(model_factory("mlp")((1,), 2), nn.Sequential)
    assert data_factory("sensor")() == "data"


@pytest.mark.parametrize(
    ("signature", "width"),
    [("", "0"), ("class_count", "class_count"), ("*, input_shape", "input_shape[0]"), ("**all", "len(all)")],
)
def test_a_users_model_gets_the_keywords_it_accepts(write_module: WriteModule, signature: str, width: str) -> None:
    name = write_module(f"from torch import nn\ndef build({signature}): return nn.Linear(2, {width} + 1)\n")
    model = model_factory(f"{name}:build")((4, 8), 9)
    expected = {"": 1, "class_count": 10, "*, input_shape": 5, "**all": 3}
    assert isinstance(model, nn.Linear)
    assert model.out_features == expected[signature]


def test_a_users_class_is_a_factory_too(write_module: WriteModule) -> None:
    name = write_module(
        "from torch import nn\n"
        "class Net(nn.Module):\n"
        "    def __init__(self, class_count):\n"
        "        super().__init__()\n"
        "        self.layer = nn.Linear(3, class_count)\n"
    )
    assert model_factory(f"{name}:Net")((3,), 2).get_parameter("layer.weight").shape == (2, 3)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def build(): return 3", "returned an object of type int; it must return a torch.nn.Module"),
        ("def build(): return 1 / 0", "failed: ZeroDivisionError"),
        ("def build(width): return width", "missing 1 required positional argument: 'width'"),
        ("def build(class_count, /): return 1", "missing 1 required positional argument"),
    ],
)
def test_a_users_model_that_fails(write_module: WriteModule, source: str, message: str) -> None:
    factory = model_factory(f"{write_module(source)}:build")
    with pytest.raises(ModelError, match=message):
        factory((1,), 2)


def test_an_unknown_data_set_lists_the_known_and_suggests_the_nearest() -> None:
    known = ("digits", "images:PATH")
    with pytest.raises(DataError, match=r"unknown data set 'digit'; did you mean 'digits'\?; known are digits, images"):
        data_factory("digit", known)
    with pytest.raises(DataError, match=r"no module 'imges'.*did you mean 'images:PATH'\?"):
        data_factory("imges:folder", known)
    with pytest.raises(DataError, match=r"not of the form module:function; did you mean 'images:PATH'\?"):
        data_factory("Images:/data", known)

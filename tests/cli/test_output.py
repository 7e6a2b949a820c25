"""Files that users ask for: whole or not at all, and a full disk is no fault of dslnode."""

from __future__ import annotations

from pathlib import Path

import pytest

from dslnode.cli.export import export_model
from dslnode.cli.formats import ModelFormat
from dslnode.cli.output import write_file
from dslnode.config.loader import load
from dslnode.config.toml import write_template
from dslnode.errors import ExitCode, SettingsError
from dslnode.runtime.checkpoint import StateDirectory
from tests.full_disk import full_after
from tests.runtime.test_saved_models import snapshot


def test_a_full_disk_leaves_the_file_that_was_there(tmp_path: Path) -> None:
    file = tmp_path / "model.dslm"
    write_file(b"good", file)
    with (
        full_after(100),
        pytest.raises(SettingsError, match=r"model\.dslm: cannot be written \(File too large\)") as caught,
    ):
        write_file(bytes(200), file)
    assert caught.value.exit_code is ExitCode.SETTINGS
    assert [each.read_bytes() for each in tmp_path.iterdir()] == [b"good"]


@pytest.mark.parametrize("form", [ModelFormat.DSLM, ModelFormat.SAFETENSORS, ModelFormat.C])
def test_an_export_that_does_not_fit_leaves_the_one_before(tmp_path: Path, form: ModelFormat) -> None:
    output = tmp_path / "model"
    StateDirectory(tmp_path).save(snapshot(1, 1))

    def export() -> None:
        export_model(
            output, state_dir=tmp_path, address=None, which="last", form=form, data=None, ticket=None, timeout=1
        )

    def written() -> dict[str, bytes]:
        files = output.iterdir() if output.is_dir() else [output]
        return {file.name: file.read_bytes() for file in files}

    export()
    before = written()
    StateDirectory(tmp_path).save(snapshot(2, 2))
    with full_after(100), pytest.raises(SettingsError, match="cannot be written"):
        export()
    assert written() == before


def test_a_template_that_does_not_fit_is_not_in_the_way_of_the_next(tmp_path: Path) -> None:
    file = tmp_path / "node.toml"
    with full_after(100), pytest.raises(SettingsError, match="cannot be written"):
        write_template(load({}, {}, None), file)
    assert not list(tmp_path.iterdir())
    assert write_template(load({}, {}, None), file).stat().st_size > 100

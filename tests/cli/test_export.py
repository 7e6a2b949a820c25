"""What ``dslnode export`` refuses before it asks for a model."""

from __future__ import annotations

from pathlib import Path

import pytest

from dslnode.cli.export import export_model
from dslnode.cli.formats import ModelFormat
from dslnode.errors import SettingsError, StateError


@pytest.mark.parametrize(("name", "wanted"), [("m.torch", "m.pt2"), ("m", "m.pt2"), ("m.PT2", "m.pt2")])
def test_a_program_of_torch_is_written_under_no_name_that_torch_complains_of(name: str, wanted: str) -> None:
    with pytest.raises(SettingsError, match=rf"{name}: torch.export.load wants files that end in .pt2; .*{wanted}$"):
        export(Path(name), ModelFormat.TORCH)


@pytest.mark.parametrize("form", ModelFormat)
def test_other_formats_go_by_any_name(form: ModelFormat) -> None:
    name = "m.pt2" if form is ModelFormat.TORCH else "m.torch"
    with pytest.raises(StateError, match="there is no such directory"):
        export(Path(name), form)


def export(output: Path, form: ModelFormat) -> None:
    export_model(
        output,
        state_dir=Path("/nowhere"),
        address=None,
        which="best",
        form=form,
        data=None,
        ticket=None,
        timeout=1.0,
    )

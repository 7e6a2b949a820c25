"""What ``dslnode model show`` says of a model, for people and as JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dslnode.cli.model_view import show_model
from dslnode.inference.model_file import pack
from dslnode.inference.operations import ANSWER_UNITS
from dslnode.inference.personal_model import PersonalModelFile
from tests.inference.test_model_file import DESCRIPTION, described, example

IN_ANSWERS = "in the answers: classes are as frequent as in the node's own data"


def with_prior() -> PersonalModelFile:
    own = {ANSWER_UNITS.gain: np.ones(3, np.float32), ANSWER_UNITS.shift: np.arange(3, dtype=np.float32)}
    description = described(operations=(*DESCRIPTION.operations, ANSWER_UNITS))
    return replace(example(), description=description, tensors={**example().tensors, **own})


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (with_prior(), IN_ANSWERS),
        (example(), "not in the answers"),
        (replace(example(), description=described(task="regression")), None),
    ],
)
def test_it_says_whether_the_class_prior_is_in_the_answers(
    model: PersonalModelFile, said: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "m.dslm"
    file.write_bytes(pack(model))
    show_model(file, as_json=False)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("class prior")]
    assert lines == ([] if said is None else [f"class prior    {said}"])
    show_model(file, as_json=True)
    assert json.loads(capsys.readouterr().out).get("class prior") == said

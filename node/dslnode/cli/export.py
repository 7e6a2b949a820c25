"""Writes a personal model to a file, from a node's state directory or from a running node: ``dslnode export``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dslnode.cli.formats import ModelFormat
from dslnode.cli.output import write_file, write_files
from dslnode.errors import SettingsError
from dslnode.inference.model_file import pack, unpack_named
from dslnode.inference.personal_model import PersonalModelFile
from dslnode.runtime.saved_models import BEST, LAST, saved_model

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Rows = NDArray[np.float32]


def export_model(
    output: Path,
    *,
    state_dir: Path | None,
    address: str | None,
    which: str,
    form: ModelFormat,
    data: str | None,
    ticket: Path | None,
    timeout: float,
    seal: Path | None = None,
) -> str:
    """Write the model; return a line about it. Raises ``DslnodeError`` that says what is wrong and what to do."""
    if (state_dir is None) == (address is None):
        raise SettingsError("give either --state-dir DIRECTORY or --address HOST:PORT: where the model is")
    if seal is not None and form is not ModelFormat.DSLM:
        raise SettingsError(f"--seal goes with --format dslm; a {form} file has no place for a seal")
    if form is ModelFormat.TORCH and output.suffix != PROGRAM_SUFFIX:
        raise SettingsError(
            f"{output}: torch.export.load wants files that end in {PROGRAM_SUFFIX}; give --output"
            f" {output.with_suffix(PROGRAM_SUFFIX)}"
        )
    if state_dir is not None:
        model = saved_model(state_dir, which)
    else:
        assert address is not None
        model = _asked(address, which, ticket, timeout)
    checked = ""
    if form is ModelFormat.C:
        size = _write_source(model, data, output)
    elif form in CHECKED:
        size, checked = _write_checked(model, data, output, form)
    else:
        size = write_file(_sealed(WRITERS[form](model), seal), output)
    score = "" if model.score is None else f", {model.score.name} {model.score.value:.4f}"
    return f"wrote {output}: {size:,} bytes, the model of round {model.round}{score}{checked}"


def _sealed(content: bytes, seal: Path | None) -> bytes:
    if seal is None:
        return content
    from dslnode.inference.model_seal import with_seal

    return with_seal(content, seal)


def _write_source(model: PersonalModelFile, data: str | None, directory: Path) -> int:
    """Write the C source of a model into a directory; return its bytes."""
    from dslnode.inference.c_source import c_source
    from dslnode.inference.rows import trial_rows

    texts = c_source(model, trial_rows(model.description, data, TRIED_ROWS))
    try:
        directory.mkdir(exist_ok=True)
    except OSError as error:
        raise SettingsError(
            f"{directory}: is not a directory, and cannot be made one ({error.strerror}); give another --output"
        ) from error
    return write_files({directory / name: text.encode() for name, text in texts.items()})


def _write_checked(model: PersonalModelFile, data: str | None, output: Path, form: ModelFormat) -> tuple[int, str]:
    """Write a model that another runtime was tried on; return its bytes, and what came out."""
    from dslnode.inference.rows import trial_rows

    rows = trial_rows(model.description, data, CHECKED_ROWS)
    runtime, convert = CHECKED[form]
    content, difference = convert(model, rows)
    kind = "random rows" if data is None else "rows"
    return write_file(content, output), f"; {runtime} answers {len(rows)} {kind} alike, outputs within {difference:.1g}"


def _onnx(model: PersonalModelFile, rows: Rows) -> tuple[bytes, float]:
    from dslnode.inference.onnx_model import onnx_model

    return onnx_model(model, rows)


def _onnx_int8(model: PersonalModelFile, rows: Rows) -> tuple[bytes, float]:
    from dslnode.inference.onnx_model import onnx_model

    return onnx_model(model, rows, int8=True)


def _torch(model: PersonalModelFile, rows: Rows) -> tuple[bytes, float]:
    from dslnode.inference.torch_model import torch_program

    return torch_program(model, rows)


def _asked(address: str, which: str, ticket: Path | None, timeout: float) -> PersonalModelFile:
    if which not in {BEST, LAST}:
        raise SettingsError(f"--round {which}: a running node has its best and its last model; others are on its disk")
    from dslnode.transport.client import ask_model

    return unpack_named(ask_model(address, timeout, ticket, last=which == LAST), address)


def _safetensors(model: PersonalModelFile) -> bytes:
    from safetensors.numpy import save

    description = model.description
    about = {"model": description.model, "task": description.task, "names": ",".join(description.names)}
    return save(dict(sorted(model.weights().items())), metadata=about)


PROGRAM_SUFFIX = ".pt2"
"""What a program of torch must end in: without it torch says that it is unable to load the file."""
TRIED_ROWS = 10
"""How many rows a C model's test program tries."""
CHECKED_ROWS = 256
"""How many rows another runtime is tried on."""
CHECKED = {
    ModelFormat.ONNX: ("onnxruntime", _onnx),
    ModelFormat.ONNX_INT8: ("onnxruntime", _onnx_int8),
    ModelFormat.TORCH: ("torch", _torch),
}
"""By format, the runtime that is tried before a file is written, and what makes the file."""
WRITERS = {ModelFormat.DSLM: pack, ModelFormat.SAFETENSORS: _safetensors}

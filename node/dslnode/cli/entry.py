"""The process of ``dslnode``: where it begins, and how it ends.

``dslnode predict`` is answered here without the command-line library, which takes longer to load, and more memory, than
the answers. Whatever is not plainly right is left to it, so that there is one place of help and complaints.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dslnode.cli.formats import AnswerFormat
from dslnode.cli.output import until_reader_leaves
from dslnode.errors import DslnodeError, ExitCode

FLAGS = {"--score"}
VALUES = {"--data", "--format"}
"""The options of ``dslnode predict``: those without a value, and those with one."""


@dataclass(frozen=True, kw_only=True)
class PredictArguments:
    """What follows ``dslnode predict``."""

    model: Path
    data: str
    form: AnswerFormat = AnswerFormat.TABLE
    score: bool = False


def main() -> None:
    """Run the command line."""
    arguments = predict_arguments(sys.argv[1:])
    if arguments is None:
        from dslnode.cli.main import main as run_any

        run_any()
        return
    with process():
        from dslnode.cli.predict import predict

        with until_reader_leaves():
            predict(arguments.model, data=arguments.data, form=arguments.form, score=arguments.score)


@contextlib.contextmanager
def process() -> Iterator[None]:
    """Prepare the process for a command; errors that a user can fix end it with one line, and without a stack trace."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # read at import; what matters of the network is in our own log
    # Read by numpy when it loads. By default it takes all processors, and its threads wait for each other in a loop:
    # beside other work the prediction of a cnn takes 30 ms instead of 1. Training multiplies with torch, not with numpy
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    for variable in ("PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir"):  # read at import; of other programs
        os.environ.pop(variable, None)
    if os.getcwd() not in sys.path:  # at the end, so that no stray file there replaces an installed module
        sys.path.append(os.getcwd())
    try:
        yield
    except DslnodeError as error:
        print(f"dslnode: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED)


def predict_arguments(words: Sequence[str]) -> PredictArguments | None:
    """Return what a command line asks of ``predict``; None if it is another command, or not plainly right."""
    if not words or words[0] != "predict":
        return None
    given = _parsed(words[1:])
    form = given.get("--format", AnswerFormat.TABLE)
    if "model" not in given or "--data" not in given or form not in set(AnswerFormat):
        return None
    return PredictArguments(
        model=Path(given["model"]), data=given["--data"], form=AnswerFormat(form), score="--score" in given
    )


def _parsed(words: Sequence[str]) -> dict[str, str]:
    """Return options and the model by name; nothing if there is any doubt."""
    given: dict[str, str] = {}
    rest = iter(words)
    for word in rest:
        name, equals, value = word.partition("=")
        if name in VALUES and not equals:
            value = next(rest, "--")
        elif word in FLAGS:
            value = "yes"
        elif not word.startswith("-"):
            name, value = "model", word
        elif name not in VALUES:
            return {}
        if name in given or value.startswith("--"):
            return {}
        given[name] = value
    return given

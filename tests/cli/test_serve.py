"""``dslnode serve`` as a user runs it: it answers, ends in good order, and says why it cannot start."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from dslnode.cli.daemon_process import clean_environment, command_line
from dslnode.errors import ExitCode, SettingsError
from dslnode.inference.model_file import pack
from dslnode.serving.service import check_package
from tests.cli.test_main import complaint, taken_address
from tests.serving.clients import table_model

__all__ = ["taken_address"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "pump.dslm"
    file.write_bytes(pack(table_model()))
    return file


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, ExitCode.TERMINATED), (signal.SIGINT, ExitCode.INTERRUPTED), (signal.SIGHUP, ExitCode.HANGUP)],
)
def test_it_answers_until_a_signal_ends_it(file: Path, number: signal.Signals, code: ExitCode) -> None:
    with subprocess.Popen(
        command_line("serve", str(file), "--address", "127.0.0.1:0"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean_environment(),
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("serving the model of round 12 at http://127.0.0.1:")
        url = line.split()[-1]
        rows = b"heat,state,load\n30,on,1\n"
        request = urllib.request.Request(f"{url}predict", rows, {"Content-Type": "text/csv"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert len(json.load(answer)["answers"]) == 1
        with urllib.request.urlopen(f"{url}metrics", timeout=30) as answer:
            assert b"dslnode_predict_rows_total 1.0" in answer.read()
        process.send_signal(number)
        _, complaints = process.communicate(timeout=30)
        assert (process.returncode, complaints) == (code, "")


def test_what_cannot_start_is_explained(file: Path, tmp_path: Path, taken_address: str) -> None:
    assert "cannot be read" in complaint(ExitCode.DATA, "serve", str(tmp_path / "absent.dslm"))
    assert "choose another address" in complaint(ExitCode.LISTEN, "serve", str(file), "--address", taken_address)
    said = complaint(ExitCode.SETTINGS, "serve", str(file), "--address", "0.0.0.0:0")
    assert "would answer any host that reaches this port; give --token-file FILE, or --ticket FILE" in said
    assert "is not HOST:PORT" in complaint(ExitCode.SETTINGS, "serve", str(file), "--address", "8711")


def test_neither_torch_nor_grpc_is_loaded() -> None:
    code = (
        "import sys, dslnode.cli.serve, dslnode.serving.server;"
        "print([name for name in ('torch', 'grpc', 'cryptography') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h11", None)
    with pytest.raises(SettingsError, match=r"needs the package h11; install it with: pip install 'dslnode\[serve\]'"):
        check_package()


def test_a_node_that_serves_nothing_loads_nothing_of_it() -> None:
    code = (
        "import sys, dslnode.runtime.node;"
        "print([name for name in sys.modules if name == 'h11' or name.startswith('dslnode.serving')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"

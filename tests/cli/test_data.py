"""`dslnode data`: a schema on standard output, and problems line by line with an exit code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dslnode.data.schema_file import read_schema
from tests.data.tables.files import rows

TEXT = "speed,load,state\n" + rows(30)


def run(*arguments: str, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "dslnode", "data", *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


def test_describe_and_check(tmp_path: Path) -> None:
    table, schema = tmp_path / "pump, 1.csv", tmp_path / "pump.schema.toml"
    table.write_text(TEXT)
    schema.write_text(run("describe", str(table), "--target", "load"))
    assert read_schema(str(schema)).target == ("load",)
    assert read_schema(str(schema)).scaling == "run"
    assert "fits" in run("check", str(table), "--schema", str(schema))
    table.write_text(TEXT.replace("worn", "melted"))
    assert "line 3, column 'state': 'melted' is not one of" in run("check", str(table), "--schema", str(schema), code=3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["describe", "absent.csv"], "absent.csv: there is no such file"),
        (["describe", "a.csv", "--target", "c"], "target=c: there is no such column"),
        (["describe", "a.csv", "--scaling", "own"], "--scaling own: it takes run or local"),
        (["check", "a.csv"], "name the schema to check by"),
    ],
)
def test_what_is_wrong_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").write_text("a,b\n1.5,2\n2,3\n")
    assert message in run(*arguments, code=3)

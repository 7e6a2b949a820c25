"""The page about predictions: its commands run, in their order, as a user types them."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from dslnode.cli.daemon_process import clean_environment
from tests.cluster.processes import free_port
from tests.examples import ROOT, program

PAGE = "docs/serving.md"
STANDARD = "127.0.0.1:8711"
ELSEWHERE = ("--listen", "127.0.0.1:0", "--metrics", "off")


def lines() -> Iterator[list[str]]:
    for block in re.findall(r"^```sh\n(.*?)^```", (ROOT / PAGE).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
        yield from (shlex.split(line) for line in block.splitlines())


def write_data(directory: Path) -> None:
    subprocess.run([sys.executable, "-c", program("docs/data/tables.md")], cwd=directory, check=True, timeout=60)


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_the_examples_run(tmp_path: Path) -> None:
    write_data(tmp_path)
    address, answers = f"127.0.0.1:{free_port()}", []
    with ExitStack() as running:
        for words in lines():
            line = [word.replace(STANDARD, address) for word in words]
            if line[1] == "serve":
                server = subprocess.Popen(
                    [sys.executable, "-m", *line, "--address", address],
                    cwd=tmp_path,
                    env=clean_environment(),
                    stdout=subprocess.PIPE,
                )
                running.callback(server.wait, 30)
                running.callback(server.terminate)
                assert server.stdout is not None
                assert server.stdout.readline().startswith(b"serving")
                continue
            target = ""
            if ">" in line:
                line, target = line[: line.index(">")], line[-1]
            more = {"start": ELSEWHERE}.get(line[1], ("--silent", "--fail-with-body") if line[0] == "curl" else ())
            command = [sys.executable, "-m", *line] if line[0] == "dslnode" else line
            done = subprocess.run(
                [*command, *more],
                cwd=tmp_path,
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
                env=clean_environment(),
            )
            assert done.returncode == 0, (line, done.stdout, done.stderr)
            if target:
                (tmp_path / target).write_text(done.stdout)
            answers += [done.stdout] if line[0] == "curl" and done.stdout else []
        code = program(PAGE).replace(STANDARD, address)
        subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    of_csv, of_json, facts, metadata = map(json.loads, answers)
    assert [answer["class"] for answer in of_csv["answers"]] == ["worn", "ok"]
    assert len(of_json["answers"]) == 1
    assert [column["name"] for column in facts["columns"]] == ["temperature", "rpm"]
    assert metadata["name"] == facts["model"] == "default"

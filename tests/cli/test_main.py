"""The command as a user runs it: a real process, its output and its exit code."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dslnode import __version__
from dslnode.cli.daemon_process import clean_environment
from dslnode.config.loader import load
from dslnode.config.settings import Settings
from dslnode.errors import ExitCode

SECONDS = 60


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run dslnode with no settings but those given."""
    clean = clean_environment()
    return subprocess.run(
        [sys.executable, "-m", "dslnode", *arguments],
        env={**clean, "COLUMNS": "200", **environment},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def complaint(code: ExitCode, *arguments: str, **environment: str) -> str:
    """Return the one line that the command ends with, after a check of its exit code."""
    done = run(*arguments, **environment)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("dslnode: ") == 1, "one line says why"
    assert done.stdout == ""
    return done.stderr.removeprefix("dslnode: ").rstrip("\n")


@pytest.fixture
def taken_address() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        yield f"127.0.0.1:{holder.getsockname()[1]}"


@pytest.fixture
def dead_address() -> Iterator[str]:
    """Bound, so that nobody else takes it, but not listened to."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{holder.getsockname()[1]}"


def test_help_names_the_commands_and_every_exit_code() -> None:
    done = run("--help")
    assert done.returncode == 0
    assert all(command in done.stdout for command in ("start", "config", "status", "demo"))
    codes = " ".join(done.stdout.split()).partition("Exit codes: ")[2]
    assert all(f"{code.value} " in codes for code in ExitCode)


def test_help_of_start_has_every_setting_with_its_description() -> None:
    text = " ".join(run("start", "--help").stdout.split())
    for name, field in Settings.model_fields.items():
        assert f"--{name.replace('_', '-')}" in text
        assert (field.description or "").split(". ")[0][:40] in text


def test_version_is_printed() -> None:
    done = run("--version")
    assert (done.returncode, done.stdout) == (0, f"dslnode {__version__}\n")


@pytest.mark.parametrize(
    "arguments", [["--nonsense"], ["start", "--alhpa", "1"], ["status", "--timeout", "soon"], ["fly"]]
)
def test_what_the_command_line_does_not_know_ends_with_2(arguments: list[str]) -> None:
    done = run(*arguments)
    assert done.returncode == ExitCode.SETTINGS
    assert "Traceback" not in done.stderr
    assert arguments[-1] in done.stderr or arguments[-2] in done.stderr


def test_printed_settings_read_back_are_the_same_settings(tmp_path: Path) -> None:
    options = ["--peers", "10.0.0.2:7711,[::1]:7711", "--classes", "0,3", "--layer-keep-ratios", "conv*=0.1,head=0.9"]
    first = run("config", "--show", *options, "--no-mask-novelty", "--state-dir", "/tmp/größe 😀", DSLNODE_ROUNDS="7")
    file = tmp_path / "node.toml"
    file.write_text(first.stdout, encoding="utf-8")
    second = run("config", "--show", "--config", str(file))
    third = run("config", DSLNODE_CONFIG=str(file))
    assert [done.returncode for done in (first, second, third)] == [0, 0, 0]
    assert second.stdout == third.stdout

    def without_origins(text: str) -> list[str]:
        return [line for line in text.splitlines() if not line.startswith("# from: ")]

    assert without_origins(second.stdout) == without_origins(first.stdout)
    assert load({}, {}, file).settings.layer_keep_ratios == {"conv*": 0.1, "head": 0.9}


def test_printed_settings_show_where_each_came_from(tmp_path: Path) -> None:
    file = tmp_path / "node.toml"
    file.write_text("seed = 5\n")
    text = run(
        "config", "--show", "--config", str(file), "--alpha", "2", "--algorithm", "authors", DSLNODE_ROUNDS="7"
    ).stdout
    for entry in (
        f"# from: {file}\nseed = 5\n",
        "# from: --alpha\nalpha = 2.0\n",
        "# from: DSLNODE_ROUNDS\nrounds = 7\n",
        "# from: preset authors\nbatch_size = 128\n",
        '# from: default\nmodel = "auto"\n',
    ):
        assert entry in text


@pytest.mark.parametrize("arguments", [["--help"], ["config"], ["start", "--help"]], ids=" ".join)
def test_commands_that_do_not_learn_import_neither_torch_nor_grpc(arguments: list[str]) -> None:
    probe = f"""if True:
        import atexit, sys
        from dslnode.cli.main import main
        atexit.register(lambda: print(sorted({{"torch", "grpc", "numpy"}} & sys.modules.keys()), file=sys.stderr))
        sys.argv[1:] = {arguments!r}
        main()
    """
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, timeout=SECONDS, check=True)
    assert done.stdout
    assert done.stderr == "[]\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--keep-ratio", "1.5"], "keep_ratio = '1.5' (from --keep-ratio): Input should be less than or equal to 1"),
        (["--peers", "10.0.0.2"], "'10.0.0.2' is not HOST:PORT"),
        (["--share", "4/3"], "share = '4/3' (from --share): the first number goes from 1 to the second"),
        (
            ["--share", "half"],
            "share = 'half' (from --share): it takes two whole numbers, as 2/3; it means: Take the i-th",
        ),
        (
            ["--name", "grün"],
            "it takes 1 to 64 of A-Z, a-z, 0-9, dot, underscore and hyphen; it means: Name of this node",
        ),
        (["--alpha", "three"], "unable to parse string as a number; it means: Aggregation strength"),
        (["--peers", "10.0.0.2:99999"], "is not HOST:PORT, such as 10.0.0.2:7711 or [fd00::2]:7711"),
        (["--config", __file__], "is not TOML: "),
        (["--config", __file__], "; fix it there, or start from the file that `dslnode config --init` writes"),
        (["--layer-keep-ratios", "abc"], "is not of the form PATTERN=RATIO"),
        (["--config", "/absent.toml"], "/absent.toml: cannot be read (No such file or directory)"),
    ],
)
def test_a_wrong_setting_ends_with_2_and_is_named(arguments: list[str], message: str) -> None:
    assert message in complaint(ExitCode.SETTINGS, "start", *arguments)


def test_a_misspelt_setting_in_the_environment_ends_with_2() -> None:
    assert "did you mean DSLNODE_ALPHA?" in complaint(ExitCode.SETTINGS, "start", DSLNODE_ALHPA="1")


@pytest.mark.parametrize(
    ("code", "arguments", "message"),
    [
        (ExitCode.DATA, ["--data", "digts"], "did you mean 'digits'?"),
        (ExitCode.DATA, ["--data", "idx:/absent"], "/absent: there is no such directory"),
        (ExitCode.DATA, ["--class-count", "5"], "is not one of the classes 0..4"),
        (ExitCode.DATA, ["--model", "mpl"], "did you mean 'mlp'?"),
        (ExitCode.SETTINGS, ["--classes", "3,12"], "classes 12 are not among the classes 0..9 of digits"),
        (ExitCode.SETTINGS, ["--layer-keep-ratios", "head=0.1"], "no layer matches 'head'; the layers are"),
    ],
)
def test_data_and_models_that_cannot_be_used_end_with_a_word_on_the_remedy(
    code: ExitCode, arguments: list[str], message: str
) -> None:
    assert message in complaint(code, "start", "--listen", "127.0.0.1:0", "--metrics", "off", *arguments)


def test_a_state_directory_that_is_a_file_ends_with_5(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    message = complaint(ExitCode.STATE, "start", "--state-dir", str(tmp_path / "file"))
    assert message.startswith(f"{tmp_path / 'file'}: cannot be used as state directory (File exists)")


@pytest.mark.parametrize("option", ["--listen", "--metrics"])
def test_a_taken_port_ends_with_4_and_is_named(taken_address: str, option: str) -> None:
    addresses = {"--listen": "127.0.0.1:0", "--metrics": "off", option: taken_address}
    done = run("start", *(word for pair in addresses.items() for word in pair))
    assert done.returncode == ExitCode.LISTEN
    assert "Traceback" not in done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("dslnode: ")
    assert taken_address in last
    assert option in last


def test_an_address_of_another_machine_ends_with_4_and_one_line() -> None:
    message = complaint(
        ExitCode.LISTEN, "start", "--listen", "192.0.2.1:7711", "--insecure", "--metrics", "off", "--log-level", "error"
    )
    assert message.startswith(
        "cannot listen on 192.0.2.1:7711: the port is taken or the address is not this machine's; "
    )


def test_the_status_of_a_dead_address_ends_with_6(dead_address: str) -> None:
    message = complaint(ExitCode.UNREACHABLE, "status", "--address", dead_address, "--timeout", "5", "--json")
    assert message.startswith(f"no dslnode answers at {dead_address} (unavailable); is it running")


def test_the_status_of_no_address_at_all_ends_with_2() -> None:
    assert "'nowhere' is not HOST:PORT" in complaint(ExitCode.SETTINGS, "status", "--address", "nowhere")


def test_a_reader_that_leaves_early_is_no_error() -> None:
    """As in `dslnode config | head -1`."""
    read, write = os.pipe()
    with os.fdopen(write, "wb") as end:
        os.close(read)
        done = subprocess.run(
            [sys.executable, "-m", "dslnode", "config"],
            stdout=end,
            stderr=subprocess.PIPE,
            timeout=SECONDS,
            check=False,
        )
    assert (done.returncode, done.stderr) == (ExitCode.DONE, b"")


def test_a_node_does_its_rounds_and_ends_with_0(tmp_path: Path) -> None:
    """The log is one JSON object a line on standard error, nothing on standard output."""
    options = ["--rounds", "2", "--local-steps", "1", "--listen", "127.0.0.1:0", "--metrics", "off"]
    done = run("start", *options, "--state-dir", str(tmp_path / "state"), "--log-format", "json")
    assert (done.returncode, done.stdout) == (ExitCode.DONE, "")
    events = [json.loads(line) for line in done.stderr.splitlines()]
    assert [event["round"] for event in events if event["event"] == "round"] == [1, 2]
    assert events[-1]["event"] == "stopped"
    assert (tmp_path / "state" / "state").is_file()


def test_a_ledger_without_node_or_in_two_formats_is_refused(dead_address: str, tmp_path: Path) -> None:
    assert dead_address in complaint(ExitCode.UNREACHABLE, "ledger", "--address", dead_address)
    assert "there is no ledger in" in complaint(ExitCode.SETTINGS, "ledger", "--state-dir", str(tmp_path))
    assert "exclude each other" in complaint(ExitCode.SETTINGS, "ledger", "--csv", "--json")


def test_a_data_cap_that_is_none_is_refused_with_an_example() -> None:
    assert "is not of the form 50MB/day" in complaint(ExitCode.SETTINGS, "config", "--data-cap", "50 megs")
    assert "that one idle link may cost" in complaint(ExitCode.SETTINGS, "config", "--data-cap", "10kB/day")

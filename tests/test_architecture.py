"""The rules of the house that a reader of the code cannot see in one file, beside those that import-linter holds."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture import MODULES, PACKAGES, diagram, top_level_imports, tree_of

ROOT = Path(__file__).parents[1]
GENERATED = ROOT / "node" / "dslnode" / "v1"
PAGE = ROOT / "docs" / "architecture.md"
PURE = [
    *(name for name in MODULES if name.startswith("dslnode.protocol.")),
    *(f"dslnode.security.{name}" for name in ("identity", "handshake_limiter")),
    *(f"dslnode.transport.{name}" for name in ("handshake", "peer_bans", "rate_limit")),
    *(f"dslnode.accounting.{name}" for name in ("ledger", "data_plan")),
    *("dslnode.config.quantities", "dslnode.runtime.training_limits"),
    *(f"dslnode.simulation.{name}" for name in ("boards", "event_queue", "link_model", "plan", "records")),
]
"""Modules that only decide: what they are told is all they know."""
READS_THE_CLOCK = ("time.", "datetime.now", "random.", "secrets.", "os.", "socket.")
SETTINGS = "dslnode.config.settings"
READS_ITS_OWN_SNAPSHOTS = "dslnode.simulation.snapshot"
"""It unpickles what the same run has written, by the digest that this run remembers, and nothing else."""
HAS_ITS_PROCESS_ALONE = "dslnode.simulation.shard_host"
"""It is all that its process is for, so it says how many threads torch has there."""
READERS_OF_SETTINGS = {
    "dslnode",  # the public API, which has them as one of its names
    *(name for name in MODULES if name.startswith(("dslnode.config.", "dslnode.cli."))),
    "dslnode.telemetry.node_status",
    *(f"dslnode.simulation.{name}" for name in ("build", "grid", "grid_directory", "simulated_settings", "simulation")),
    *(
        f"dslnode.runtime.{name}"
        for name in (
            "node",
            "prepare",
            "command_runner",
            "build",
            "resume",
            "training_gate",
            "traffic_accounting",
            "predictions",
        )
    ),
}


def imports(tree: ast.AST) -> Iterator[tuple[str, frozenset[str]]]:
    """Yield every import, wherever it stands: the module's full name, and the names taken from it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, frozenset[str]()) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports name the whole path"
            yield node.module or "", frozenset(alias.name for alias in node.names)


def roots(tree: ast.AST) -> set[str]:
    return {name.partition(".")[0] for name, _ in imports(tree)}


def calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def test_there_is_something_to_look_at() -> None:
    assert {"dslnode.protocol.round_machine", "dslnode.learning.learner", "dslnode.cli.main"} <= MODULES.keys()
    assert len(PACKAGES) == 14
    assert "torch" in roots(tree_of("dslnode.learning.learner"))


def test_no_module_lies_flat_but_those_that_all_packages_share() -> None:
    flat = {name.removeprefix("dslnode.") for name in MODULES if name.count(".") == 1}
    assert flat - set(PACKAGES) <= {
        "__main__",
        "addresses",
        "atomic_file",
        "errors",
        "input_files",
        "name_lookup",
        "plugins",
        "text_files",
    }


def test_the_package_diagram_shows_the_real_imports() -> None:
    between = PAGE.read_text(encoding="utf-8").partition("<!-- packages -->")[2].partition("<!-- /packages -->")[0]
    assert between.strip() == diagram().strip(), "write it anew with: python -m tests.architecture"


@pytest.mark.parametrize("module", PURE)
def test_decisions_read_no_clock_chance_or_file(module: str) -> None:
    found = [ast.unparse(call.func) for call in calls(tree_of(module))]
    assert not [name for name in found if name.startswith(READS_THE_CLOCK) or name in {"open", "print", "input"}]


def test_the_command_line_imports_torch_and_grpc_only_when_needed() -> None:
    heavy = {"torch", "grpc", "numpy", "rich", "cryptography", "textual", "structlog"}
    waiting, seen = ["dslnode.cli.main"], set[str]()
    while waiting:
        seen.add(module := waiting.pop())
        found = top_level_imports(module)
        assert {name.partition(".")[0] for name in found}.isdisjoint(heavy), module
        waiting += [name for name in found if name in MODULES and name not in seen]


@pytest.mark.parametrize("module", [name for name in MODULES if name not in READERS_OF_SETTINGS])
def test_settings_never_travel_below_the_runtime(module: str) -> None:
    tree = tree_of(module)
    assert SETTINGS not in {name for name, _ in imports(tree)}


@pytest.mark.parametrize("module", [name for name in MODULES if name != READS_ITS_OWN_SNAPSHOTS])
def test_nothing_read_from_outside_can_run_code(module: str) -> None:
    tree = tree_of(module)
    assert roots(tree).isdisjoint(
        {"pickle", "cPickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}
    )
    for call in calls(tree):
        name, options = ast.unparse(call.func), {word.arg: ast.unparse(word.value) for word in call.keywords}
        assert name not in {"eval", "exec", "compile", "__import__"}, ast.unparse(call)
        assert name not in {"os.system", "yaml.load", "torch.jit.load"}, ast.unparse(call)
        assert options.get("shell", "False") == "False", ast.unparse(call)
        assert options.get("allow_pickle", "False") == "False", ast.unparse(call)
        if name == "torch.load":
            assert options.get("weights_only") == "True", ast.unparse(call)
        if name in {"np.load", "numpy.load"}:
            assert options.get("allow_pickle") == "False", "says so, whatever numpy's default"
        if name in {"np.fromfile", "np.memmap"}:
            assert "dtype" in options, ast.unparse(call)


@pytest.mark.parametrize("module", [name for name in MODULES if not name.startswith("dslnode.cli.")])
def test_global_effects_live_in_the_command_line_only(module: str) -> None:
    """A program that embeds a node must notice none: logging, signals, exits, paths, torch's threads and seed."""
    tree = tree_of(module)
    forbidden = {
        *("os._exit", "sys.exit", "signal.signal", "structlog.configure", "logging.basicConfig"),
        *("torch.set_num_threads", "torch.manual_seed", "torch.use_deterministic_algorithms"),
        *("sys.path.append", "sys.path.insert", "os.chdir", "os.putenv", "os.umask"),
    }
    found = {ast.unparse(call.func) for call in calls(tree)}
    if module == HAS_ITS_PROCESS_ALONE:
        forbidden.remove("torch.set_num_threads")
    assert not {name for name in found if name in forbidden or name.endswith("add_signal_handler")}
    assigned = [t for node in ast.walk(tree) if isinstance(node, ast.Assign) for t in node.targets]
    assert not [ast.unparse(t) for t in assigned if ast.unparse(t).startswith(("traceback.", "sys.", "os.environ"))]


@pytest.mark.parametrize("module", MODULES)
def test_every_module_says_in_its_first_sentence_what_it_is_for(module: str) -> None:
    text = ast.get_docstring(tree_of(module))
    assert text
    assert text.splitlines()[0].endswith((".", ":")) or "." in text


def test_generated_code_is_what_the_protocol_says_today(tmp_path: Path) -> None:
    subprocess.run(
        [
            *(sys.executable, "-m", "grpc_tools.protoc", "-Iproto"),
            *(f"--{kind}_out={tmp_path}" for kind in ("python", "grpc_python", "pyi")),
            *(str(path.relative_to(ROOT)) for path in sorted((ROOT / "proto").rglob("*.proto"))),
        ],
        cwd=ROOT,
        check=True,
        timeout=60,
    )
    made = {path.name: path.read_text() for path in (tmp_path / "dslnode" / "v1").iterdir()}
    committed = {path.name: path.read_text() for path in GENERATED.glob("*_pb2*")}
    assert {name for name in made if name.endswith(".py")} <= committed.keys()
    stale = {name for name, text in committed.items() if made.get(name) != text}
    assert not stale, "generate it again with make protocol"

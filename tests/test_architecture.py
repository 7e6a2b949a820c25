"""The rules of the house that a reader of the code cannot see in one file: who imports whom, and what nobody calls."""

from __future__ import annotations

import ast
import itertools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "node" / "dslnode"
GENERATED = PACKAGE / "v1"
MODULES = {
    str(path.relative_to(PACKAGE).with_suffix("")): path
    for path in sorted(PACKAGE.rglob("*.py"))
    if GENERATED not in path.parents
}
MAX_LINES = 250


def tree_of(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"), module)


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


def own_modules(tree: ast.AST) -> set[str]:
    """Return the modules of this package that are imported, in either way of writing it."""
    found = set()
    for name, taken in imports(tree):
        candidates = {name, *(f"{name}.{part}" for part in taken)}
        found |= {c.removeprefix("dslnode.").replace(".", "/") for c in candidates if c.startswith("dslnode.")}
    return found & MODULES.keys()


def reachable(module: str) -> set[str]:
    """Return the module and all that importing it imports, of this package, at the top level."""
    found, waiting = set(), [module]
    while waiting:
        found.add(now := waiting.pop())
        waiting += own_modules(top_level(tree_of(now))) - found
    return found


def top_level(tree: ast.Module) -> ast.Module:
    """Return the tree without what stands in functions and below ``if TYPE_CHECKING``."""
    kept = [
        node
        for node in tree.body
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
        and not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    ]
    return ast.Module(body=kept, type_ignores=[])


DOCTOR = [name for name in MODULES if name.startswith("doctor/") and name != "doctor/learning_facts"]
TRANSPORT = [name for name in MODULES if name.startswith("transport/")]
CODING = [name for name in MODULES if name.startswith("coding/")]
ACCOUNTS = [name for name in MODULES if name.startswith("accounts/")]
TORCHLESS = [
    *("rounds", *CODING, "mask", "config", "sources", "settings_text", "errors"),
    *("status_view", "status_json", "ready", "pages", "history", "crawl", "network_rows", "top"),
    *("membership", "neighbourhood", "deadlines"),
    *("yielding", "host_state"),
    *ACCOUNTS,
    *("bookkeeper", "pacing", "ledger_metrics", "ledger_view"),
    *DOCTOR,
    *TRANSPORT,
]


def test_there_is_something_to_look_at() -> None:
    assert {"rounds", "coding/codec", "learner", "cli", "transport/network"} <= MODULES.keys()
    assert own_modules(tree_of("learner")) >= {"masking", "training", "mask", "errors"}
    assert "torch" in roots(tree_of("learner"))


@pytest.mark.parametrize("module", TORCHLESS)
def test_torch_stays_out_of_what_does_not_learn(module: str) -> None:
    """Neither here nor in what it imports, so that a status or a test of the rounds needs no torch at all."""
    assert "torch" not in roots(tree_of(module))
    assert not {name for name in reachable(module) if "torch" in roots(top_level(tree_of(name)))}


def test_the_command_line_imports_torch_and_grpc_only_when_needed() -> None:
    for name in reachable("cli"):
        assert roots(top_level(tree_of(name))).isdisjoint({"torch", "grpc", "numpy", "rich", "cryptography"}), name


@pytest.mark.parametrize("module", [name for name in MODULES if name not in TRANSPORT])
def test_grpc_stays_inside_the_transport(module: str) -> None:
    assert not {root for root in roots(tree_of(module)) if root.startswith("grpc")}


@pytest.mark.parametrize("module", MODULES)
def test_cryptography_is_asked_for_in_three_modules_alone(module: str) -> None:
    """So that whoever reviews what is signed and believed has read all of it; TLS itself is ssl's."""
    asking = {f"trust/{name}" for name in ("authority", "certificates", "signing")}
    assert ("cryptography" in roots(tree_of(module))) == (module in asking)
    if "ssl" in roots(tree_of(module)):
        assert module in {f"transport/{name}" for name in ("credentials", "rehearsal", "tls", "tls_errors", "ways")}


def test_who_is_believed_is_decided_without_clock_or_input() -> None:
    allowed = {"__future__", "dataclasses", "datetime", "dslnode"}
    tree = tree_of("trust/identity")
    assert roots(tree) <= allowed
    assert not any(".now(" in ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Call))
    assert roots(tree_of("transport/screening")) <= {"__future__", "collections", "dataclasses", "ipaddress", "dslnode"}


def test_the_round_machine_has_no_clock_no_chance_and_no_input() -> None:
    allowed = {"__future__", "collections", "dataclasses", "enum", "dslnode"}
    assert roots(tree_of("rounds")) <= allowed
    assert own_modules(tree_of("rounds")) == {"events", "mask", "messages", "neighbour"}


@pytest.mark.parametrize("module", ["mask", "rounds", "events", "neighbour", *CODING])
def test_pure_modules_import_only_pure_modules(module: str) -> None:
    assert reachable(module) <= {"mask", "messages", "rounds", "events", "neighbour", "errors", *CODING}


def test_packages_import_each_other_one_way_only() -> None:
    """Through modules beside them, too: what a package imports must not import it."""
    below: dict[str, set[str]] = {}
    for name in MODULES:
        if "/" in name:
            package = name.partition("/")[0]
            below.setdefault(package, set()).update(found.partition("/")[0] for found in reachable(name))
    pairs = itertools.combinations(below, 2)
    assert not [(one, other) for one, other in pairs if one in below[other] and other in below[one]]


@pytest.mark.parametrize("module", ["yielding", "transport/quarantine", "transport/allowance"])
def test_limits_are_decided_without_clock_file_or_input(module: str) -> None:
    assert roots(tree_of(module)) <= {"__future__", "collections", "dataclasses", "re"}


@pytest.mark.parametrize("module", ["accounts/ledger", "accounts/data_plan"])
def test_the_ledger_and_the_plan_have_no_clock_no_file_and_no_input(module: str) -> None:
    allowed = {"__future__", "collections", "dataclasses", "datetime", "enum", "math", "re", "dslnode"}
    assert roots(tree_of(module)) <= allowed
    assert reachable(module) <= {"accounts/ledger", "accounts/data_plan"}


def test_deadlines_are_told_the_time_and_ask_for_none() -> None:
    assert roots(tree_of("deadlines")) <= {"__future__", "collections", "statistics"}


def test_whom_a_node_is_linked_with_is_decided_without_clock_chance_or_input() -> None:
    allowed = {"__future__", "bisect", "collections", "dataclasses", "hashlib", "math"}
    assert roots(tree_of("membership")) <= allowed


READERS_OF_SETTINGS = {
    "cli_authority",
    "accounting",
    "cli",
    "setting_options",
    "sources",
    "settings_text",
    "daemon",
    "start",
    "assembly",
    "resting",
    "resume",
    "status",
    "demo",
    "testbed",
    "choices",
    "doctor/examination",
    "doctor/learning_facts",
}
ADDRESSES_ONLY = {
    "pages": {"ADDRESS"},
    "status_view": {"check_address"},
    "crawl": {"check_address"},
    "ledger_view": {"check_address"},
}


@pytest.mark.parametrize("module", [name for name in MODULES if name != "config" and name not in READERS_OF_SETTINGS])
def test_settings_never_travel_below_the_daemon(module: str) -> None:
    tree = tree_of(module)
    taken = {part for name, names in imports(tree) if name == "dslnode.config.settings" for part in names}
    assert taken <= ADDRESSES_ONLY.get(module, set())
    if not taken:
        assert "config" not in own_modules(tree)
    assert "Settings" not in {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert "sources" not in own_modules(tree)


@pytest.mark.parametrize("module", MODULES)
def test_nothing_read_from_outside_can_run_code(module: str) -> None:
    tree = tree_of(module)
    assert roots(tree).isdisjoint(
        {"pickle", "cPickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}
    )
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
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


@pytest.mark.parametrize("module", MODULES)
def test_a_module_fits_on_a_few_pages(module: str) -> None:
    lines = len(MODULES[module].read_text(encoding="utf-8").splitlines())
    assert lines <= MAX_LINES


@pytest.mark.parametrize("module", MODULES)
def test_every_module_says_in_its_docstring_what_it_is_for(module: str) -> None:
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

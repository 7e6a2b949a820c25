"""The packages of dslnode and their imports as a diagram: ``python -m tests.architecture`` writes it into the docs."""

from __future__ import annotations

import ast
import tomllib
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "node"
PAGE = ROOT / "docs" / "architecture.md"
MODULES = {
    ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((SOURCE / "dslnode").rglob("*.py"))
    if "v1" not in path.parts
}
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
PACKAGES = [
    layer.removeprefix("dslnode.")
    for contract in CONTRACTS
    if contract["type"] == "layers"
    for layer in contract["layers"]
    if (SOURCE / layer.replace(".", "/")).is_dir()
]
"""From the top, as the layers of import-linter have them."""


@cache
def tree_of(module: str) -> ast.Module:
    """Return a module's syntax tree."""
    return ast.parse(MODULES[module].read_text(encoding="utf-8"), module)


def top_level_imports(module: str) -> set[str]:
    """Return what importing a module imports, full names, without what stands in functions or below TYPE_CHECKING."""
    kept = [
        node
        for node in tree_of(module).body
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
        and not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    ]
    return imported(ast.Module(body=kept, type_ignores=[]))


def imported(tree: ast.AST) -> set[str]:
    """Return the full names of all modules that a tree imports; of this package also those taken as names."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {name for name in found if not name.startswith("dslnode") or name in MODULES or name.endswith("_pb2")}


def arrows() -> set[tuple[str, str]]:
    """Return which package imports which, by name."""
    found = set()
    for module in MODULES:
        for name in imported(tree_of(module)):
            pair = (_package(module), _package(name))
            if pair[0] != pair[1] and all(package in PACKAGES for package in pair):
                found.add(pair)
    return found


def implied(pair: tuple[str, str], all_arrows: set[tuple[str, str]]) -> bool:
    """Return whether an arrow follows from a path of others."""
    start, end = pair
    waiting = [to for at, to in all_arrows if at == start and to != end]
    seen: set[str] = set()
    while waiting:
        seen.add(now := waiting.pop())
        waiting += [to for at, to in all_arrows if at == now and to not in seen]
    return end in seen


def diagram() -> str:
    """Return the package diagram; arrows that follow from others are left out."""
    found = arrows()
    lines = [
        f"    {at} --> {to}" for at in PACKAGES for to in PACKAGES if (at, to) in found and not implied((at, to), found)
    ]
    return "\n".join(["```mermaid", "flowchart TD", *lines, "```"])


def _package(module: str) -> str:
    return module.split(".")[1] if module.count(".") and module.startswith("dslnode.") else ""


if __name__ == "__main__":
    text = PAGE.read_text(encoding="utf-8")
    head, mark, rest = text.partition("<!-- packages -->")
    end = rest[rest.index("<!-- /packages -->") :]
    PAGE.write_text(f"{head}{mark}\n{diagram()}\n{end}", encoding="utf-8")

"""Finds the files of a folder sorted by class: DIR/<class>/*, or DIR/train/<class>/* and DIR/test/<class>/*.

One rule says at every level what is no data: names that begin with a dot, and what archives and file managers leave
behind. What is left out is counted. Every node of a run must number the classes alike: by the schema or, without one,
by the names of the folders, so that a class without files on this node still needs its empty folder. Folders that are
all named by numbers are the labels themselves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dslnode.data.readers.raw import MAX_CLASSES, existing_directory
from dslnode.errors import DataError

DEBRIS = frozenset({"__macosx", "thumbs.db", "desktop.ini", "@eadir", "$recycle.bin", "lost+found"})
MAX_FILES = 2**24
NAMES_SHOWN = 5


def is_debris(name: str) -> bool:
    """Return whether a file or folder is hidden, or was left behind by an archive or a file manager."""
    return name.startswith(".") or name.lower() in DEBRIS


@dataclass
class Skipped:
    """What was left out, by reason, with the first names of each."""

    counts: Counter[str] = field(default_factory=Counter)
    names: dict[str, list[str]] = field(default_factory=dict)

    def add(self, reason: str, path: Path) -> None:
        """Count a file or folder that is left out."""
        self.counts[reason] += 1
        if self.counts[reason] <= NAMES_SHOWN:
            self.names.setdefault(reason, []).append(f"{path.parent.name}/{path.name}")

    def notes(self) -> tuple[str, ...]:
        """Return what was left out, in words."""
        return tuple(
            f"left out: {count} {reason} ({', '.join(self.names[reason])}{', ...' if count > NAMES_SHOWN else ''})"
            for reason, count in self.counts.items()
        )


@dataclass(frozen=True, kw_only=True)
class LabelledFiles:
    """Files of a root with their labels, in the order of classes and names."""

    root: Path
    files: tuple[tuple[Path, int], ...]


@dataclass(frozen=True, kw_only=True)
class ClassFolders:
    """The files to train on, those to hold out if they are apart, and the names of the classes by number."""

    train: LabelledFiles
    held_out: LabelledFiles | None
    classes: tuple[str, ...]


def find_files(directory: Path, suffixes: Collection[str], classes: Sequence[str], skipped: Skipped) -> ClassFolders:
    """Return all files with one of the ``suffixes`` by class; ``classes`` are those of the schema, if there is one.

    Raises ``DataError`` if there is no class folder, a folder is none of the classes, or none holds a file.
    """
    existing_directory(directory)
    has_parts = (directory / "train").is_dir()
    root = directory / "train" if has_parts else directory
    names = _class_names(root, skipped)
    labels = {name: label for label, name in enumerate(classes)} if classes else _number_classes(names, root)
    train = _labelled_files(root, names, labels, suffixes, skipped)
    held_out = None
    if has_parts and (directory / "test").is_dir():
        tests = directory / "test"
        held_out = _labelled_files(tests, _class_names(tests, skipped), labels, suffixes, skipped)
    by_label = {label: name for name, label in labels.items()}
    named = tuple(by_label.get(label, str(label)) for label in range(max(labels.values()) + 1))
    return ClassFolders(train=train, held_out=held_out, classes=named)


def _class_names(root: Path, skipped: Skipped) -> list[str]:
    names = []
    for entry in sorted(root.iterdir()):
        if is_debris(entry.name):
            skipped.add("hidden or left over", entry)
        elif entry.is_dir():
            names.append(entry.name)
    if not names:
        raise DataError(f"{root}: no class folders; put the files into {root}/<class>/")
    if len(names) > MAX_CLASSES:
        raise DataError(f"{root}: {len(names)} class folders, over the limit of {MAX_CLASSES}")
    return names


def _number_classes(names: list[str], root: Path) -> dict[str, int]:
    numbers = {int(name) for name in names if name.isascii() and name.isdigit() and len(name) < 10}
    if len(numbers) < len(names):
        return {name: label for label, name in enumerate(names)}
    if max(numbers) >= MAX_CLASSES:
        raise DataError(f"{root}/{max(numbers)}: a folder's number is its label, and must be below {MAX_CLASSES}")
    return {name: int(name) for name in names}


def _labelled_files(
    root: Path, names: Sequence[str], labels: dict[str, int], suffixes: Collection[str], skipped: Skipped
) -> LabelledFiles:
    files = []
    for name in names:
        if name not in labels:
            raise DataError(
                f"{root / name}: is none of the classes {', '.join(labels)}; add a training folder of that name,"
                " even if it is empty, or the class to the schema"
            )
        files += [(path, labels[name]) for path in _files_in(root / name, suffixes, skipped)]
    if not files:
        raise DataError(f"{root}: no {', '.join(sorted(suffixes))} files in its class folders; the data set is empty")
    return LabelledFiles(root=root, files=tuple(files))


def _files_in(folder: Path, suffixes: Collection[str], skipped: Skipped) -> list[Path]:
    found = []
    for entry in sorted(folder.iterdir()):
        if is_debris(entry.name):
            skipped.add("hidden or left over", entry)
        elif entry.is_file() and entry.suffix.lower() in suffixes:
            found.append(entry)
        else:
            skipped.add("of another kind", entry)
        if len(found) > MAX_FILES:
            raise DataError(f"{folder}: over {MAX_FILES} files; use fewer")
    return found

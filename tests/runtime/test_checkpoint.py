"""State on disk: whole or not at all, checked when read, owned by one, and explained when it cannot be used."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from dslnode.errors import StateError
from dslnode.runtime import checkpoint
from dslnode.runtime.checkpoint import FIRST_MAGIC, MAGIC, Snapshot, StateDirectory, pack, unpack
from dslnode.runtime.snapshot_metadata import KnownPeer, SavedFlow, SavedTraffic, SnapshotMetadata
from tests.full_disk import full_after


def metadata(number: int, run_id: str = "run") -> SnapshotMetadata:
    return SnapshotMetadata(round=number, run_id=run_id, fingerprint="00")


SNAPSHOT = Snapshot(metadata(3, "größe"), {"scores": np.arange(5, dtype=np.float32), "steps": np.array(7)})
LATER = Snapshot(metadata(4), {"scores": np.ones(2)})

names = st.text("abc.xyz_019", min_size=1, max_size=12).map("local.{}".format)
flows = st.builds(SavedFlow, masks=st.integers(0, 2**70), link_bytes=st.integers(0, 2**70))
peers = st.builds(KnownPeer, node_id=st.just("ab"), name=st.text(max_size=8), advertise=st.text(max_size=8))
some_metadata = st.builds(
    SnapshotMetadata,
    round=st.integers(0, 2**40),
    run_id=st.text(max_size=8),
    fingerprint=st.text(max_size=8),
    neighbours=st.lists(peers, max_size=3),
    members=st.lists(peers, max_size=3),
    traffic=st.dictionaries(st.text(max_size=5), st.builds(SavedTraffic, sent=flows, received=flows), max_size=3),
)
some_arrays = arrays_of.arrays(
    st.sampled_from(["<f4", "<f8", "<i8", "|u1", "|b1"]), arrays_of.array_shapes(min_dims=0, min_side=0, max_side=4)
)


def same(one: Snapshot, other: Snapshot) -> bool:
    return (
        one.metadata == other.metadata
        and one.arrays.keys() == other.arrays.keys()
        and all(
            (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
            for a, b in ((array, other.arrays[name]) for name, array in one.arrays.items())
        )
    )


def loaded(directory: StateDirectory) -> Snapshot:
    snapshot = directory.load()
    assert snapshot is not None
    return snapshot


@given(some_metadata, st.dictionaries(names, some_arrays, max_size=3))
def test_what_is_packed_is_unpacked_the_same(saved: SnapshotMetadata, arrays: dict[str, np.ndarray]) -> None:
    snapshot = Snapshot(saved, arrays)
    assert same(unpack(pack(snapshot)), snapshot)


def test_what_is_saved_is_loaded_the_same_and_the_newest_wins(tmp_path: Path) -> None:
    directory = StateDirectory(tmp_path)
    assert directory.load() is None
    assert directory.save(SNAPSHOT) == (tmp_path / "state").stat().st_size
    assert same(loaded(directory), SNAPSHOT)
    directory.save(LATER)
    assert same(loaded(StateDirectory(tmp_path)), LATER)


def test_python_objects_are_never_written() -> None:
    with pytest.raises(ValueError, match="allow_pickle"):
        pack(Snapshot(metadata(0), {"scores": np.array([{}])}))


def test_a_state_cut_short_anywhere_is_refused_by_name(tmp_path: Path) -> None:
    content, file = pack(SNAPSHOT), tmp_path / "state"
    for length in range(len(content)):
        file.write_bytes(content[:length])
        with pytest.raises(StateError, match=f"{file}: is (damaged|not a state file).*remove it to start from round 0"):
            StateDirectory(tmp_path).load()


def test_a_flipped_bit_anywhere_is_noticed() -> None:
    content = pack(SNAPSHOT)
    for position in range(len(content)):
        damaged = bytearray(content)
        damaged[position] ^= 1 << position % 8
        with pytest.raises(ValueError, match=r"is (damaged|not a state file)"):
            unpack(bytes(damaged))


@given(st.binary(max_size=80))
def test_bytes_after_the_end_or_in_place_of_a_state_are_refused(extra: bytes) -> None:
    for content in (extra, MAGIC + extra, pack(LATER) + b"x" + extra):
        with pytest.raises(ValueError, match=r"is (damaged|not a state file)"):
            unpack(content)


@pytest.mark.parametrize("body", [b"", b"\0", struct.pack("<I", 9) + b"{}", struct.pack("<I", 2) + b"{}", b"\xff" * 40])
def test_a_body_with_the_right_checksum_that_is_no_state_is_refused(tmp_path: Path, body: bytes) -> None:
    (tmp_path / "state").write_bytes(MAGIC + checkpoint._digest(body) + body)
    with pytest.raises(
        StateError,
        match=f"{tmp_path}/state: is (not what dslnode writes|of another version) .*remove it to start from round 0",
    ):
        StateDirectory(tmp_path).load()


def test_a_state_of_another_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").write_bytes(pack(SNAPSHOT).replace(b"state 2\n", b"state 3\n", 1))
    with pytest.raises(StateError, match="is not a state file of this version"):
        StateDirectory(tmp_path).load()


def test_an_absurdly_large_state_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "state").open("wb") as stream:
        stream.truncate(checkpoint.MAX_BYTES + 1)  # sparse: takes no room on the disk
    with pytest.raises(StateError, match="too large to be a node's state"):
        StateDirectory(tmp_path).load()


def test_what_a_crash_left_beside_the_state_is_ignored_and_overwritten(tmp_path: Path) -> None:
    directory = StateDirectory(tmp_path)
    directory.save(SNAPSHOT)
    (tmp_path / "state.new").write_bytes(pack(LATER)[:50])
    assert same(loaded(directory), SNAPSHOT)
    directory.save(LATER)
    assert same(loaded(directory), LATER)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["state", "state.old"]


class Crash(BaseException):
    """The process dies here: nothing may catch this."""


@pytest.mark.parametrize("step", ["os.fsync", "pathlib.Path.replace"])
def test_a_crash_before_the_rename_keeps_the_old_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    directory = StateDirectory(tmp_path)
    directory.save(SNAPSHOT)

    def crash(*_: object) -> None:
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(step, crash)
        with pytest.raises(Crash):
            directory.save(LATER)
    assert same(loaded(directory), SNAPSHOT)


def test_a_state_reaches_the_disk_before_it_gets_its_name_and_the_name_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    sync, rename = os.fsync, Path.replace

    def fsync(descriptor: int) -> None:
        order.append(f"flush {Path(os.readlink(f'/proc/self/fd/{descriptor}')).name}")
        sync(descriptor)

    def replace(path: Path, target: Path) -> Path:
        order.append(f"rename {path.name} to {target.name}")
        return rename(path, target)

    monkeypatch.setattr("os.fsync", fsync)
    monkeypatch.setattr("pathlib.Path.replace", replace)
    StateDirectory(tmp_path).save(SNAPSHOT)
    assert order == ["flush state.new", "rename state.new to state", f"flush {tmp_path.name}"]


def test_a_directory_has_one_owner_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "state"
    with StateDirectory(path).owned():
        with pytest.raises(StateError, match=f"{path}: another dslnode is using .* give each node its own --state-dir"):
            StateDirectory(path).owned().__enter__()
        with StateDirectory(tmp_path / "other").owned():
            pass
    with StateDirectory(path).owned():
        pass


def test_an_error_of_the_owner_is_not_taken_for_one_of_the_directory(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="mine"), StateDirectory(tmp_path).owned():
        raise OSError("mine")
    with StateDirectory(tmp_path).owned():
        pass


def test_a_node_id_is_drawn_once(tmp_path: Path) -> None:
    first = StateDirectory(tmp_path).node_id()
    assert len(first) == checkpoint.NODE_ID_BYTES
    assert StateDirectory(tmp_path).node_id() == first
    (tmp_path / "other").mkdir()
    assert StateDirectory(tmp_path / "other").node_id() != first


@pytest.mark.parametrize("content", [b"", b"abc", b"xy" * 16, b"ab" * 15, b"ab" * 17, b"\xff" * 16])
def test_a_damaged_node_id_is_explained(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "node-id").write_bytes(content)
    with pytest.raises(StateError, match="node-id: holds no node id; remove the file and the node draws a new one"):
        StateDirectory(tmp_path).node_id()


def test_a_path_that_is_no_directory_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path, why in ((tmp_path / "file", "File exists"), (tmp_path / "file" / "below", "Not a directory")):
        with pytest.raises(StateError, match=f"{path}: cannot be used as state directory .{why}.; check its perm"):
            StateDirectory(path).owned().__enter__()


def refuses_writing(code: int) -> Callable[..., int]:
    """Return an os.open whose files cannot be opened for writing (EROFS, EACCES) or take no byte (ENOSPC)."""
    real = os.open

    def opened(path: Path, flags: int, mode: int = 0o777) -> int:
        if not flags & os.O_WRONLY:
            return real(path, flags, mode)
        if code != errno.ENOSPC:
            raise OSError(code, os.strerror(code), str(path))
        return real("/dev/full", os.O_WRONLY)

    return opened


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_disk_that_takes_nothing_is_explained_and_the_old_state_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    directory = StateDirectory(tmp_path)
    directory.save(SNAPSHOT)
    with monkeypatch.context() as patch:
        patch.setattr("os.open", refuses_writing(code))
        for attempt in (lambda: directory.save(LATER), directory.node_id):
            with pytest.raises(StateError) as caught:
                attempt()
            assert str(caught.value) == (
                f"{tmp_path}: cannot be used as state directory ({os.strerror(code)}); "
                "check its permissions and free space, or choose another with --state-dir"
            )
    assert same(loaded(directory), SNAPSHOT)
    assert not (tmp_path / "node-id").exists()


def test_a_file_of_the_first_version_loads_and_its_average_begins_at_the_scores() -> None:
    """As version 1 wrote it before it averaged scores, and after."""
    arrays = {"scores": np.arange(5, dtype=np.float32)}
    before = pack(Snapshot(metadata(3), arrays)).replace(MAGIC, FIRST_MAGIC, 1)
    assert same(unpack(before), Snapshot(metadata(3), {**arrays, "average": arrays["scores"]}))
    whole = Snapshot(metadata(3), {**arrays, "average": np.ones(5)})
    assert same(unpack(pack(whole).replace(MAGIC, FIRST_MAGIC, 1)), whole)


def damage(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def test_the_older_state_is_taken_when_the_newest_is_damaged_and_the_next_save_keeps_it(tmp_path: Path) -> None:
    writing = StateDirectory(tmp_path)
    writing.save(SNAPSHOT)
    writing.save(LATER)
    damage(tmp_path / "state")
    reading = StateDirectory(tmp_path)
    assert same(loaded(reading), SNAPSHOT)
    assert "state: is damaged (its checksum does not match)" in reading.fell_back
    assert not (tmp_path / "state.damaged").exists(), "a node may still refuse the state it has read"
    reading.set_damaged_aside()
    assert (tmp_path / "state.damaged").exists()
    reading.save(LATER)
    assert same(loaded(StateDirectory(tmp_path)), LATER)
    damage(tmp_path / "state")
    assert same(loaded(StateDirectory(tmp_path)), SNAPSHOT), "the whole one was not pushed out by the damaged one"


def test_a_whole_newest_state_is_taken_without_a_word_whatever_the_older_is(tmp_path: Path) -> None:
    directory = StateDirectory(tmp_path)
    directory.save(SNAPSHOT)
    directory.save(LATER)
    damage(tmp_path / "state.old")
    assert same(loaded(directory), LATER)
    assert not directory.fell_back


def test_a_damaged_older_state_is_not_taken_for_none_when_the_newest_is_missing(tmp_path: Path) -> None:
    directory = StateDirectory(tmp_path)
    directory.save(SNAPSHOT)
    directory.save(LATER)
    (tmp_path / "state").unlink()
    damage(tmp_path / "state.old")
    with pytest.raises(StateError, match=f"{tmp_path}/state.old: is damaged"):
        directory.load()


def test_two_damaged_states_are_refused_by_the_newest(tmp_path: Path) -> None:
    directory = StateDirectory(tmp_path)
    directory.save(SNAPSHOT)
    directory.save(LATER)
    for name in ("state", "state.old"):
        damage(tmp_path / name)
    with pytest.raises(StateError, match=f"{tmp_path}/state: is damaged"):
        directory.load()
    assert (tmp_path / "state").exists()


@pytest.mark.parametrize("renames", [0, 1, 2])
def test_a_crash_at_any_rename_goes_back_by_one_state_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, renames: int
) -> None:
    directory, left = StateDirectory(tmp_path), [renames]
    directory.save(SNAPSHOT)
    rename = Path.replace

    def crash(path: Path, target: Path) -> Path:
        if not left[0]:
            raise Crash
        left[0] -= 1
        return rename(path, target)

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.replace", crash)
        with contextlib.suppress(Crash):
            directory.save(LATER)
    restarted = StateDirectory(tmp_path)
    assert same(loaded(restarted), LATER if renames == 2 else SNAPSHOT)
    assert ("is missing, after a crash" in restarted.fell_back) == (renames == 1)


def test_a_state_that_did_not_fit_leaves_no_bytes_behind(tmp_path: Path) -> None:
    directory = StateDirectory(tmp_path)
    directory.save(SNAPSHOT)
    with full_after(100), pytest.raises(StateError, match="File too large"):
        directory.save(LATER)
    assert [path.name for path in tmp_path.iterdir()] == ["state"]
    assert same(loaded(directory), SNAPSHOT)


def test_a_state_of_another_version_is_a_state_error_that_says_so(tmp_path: Path) -> None:
    """Never a KeyError later on."""
    content = pack(SNAPSHOT)
    body = content[len(MAGIC) + 16 :]
    size = struct.unpack_from("<I", body)[0]
    lacking = json.dumps({"round": "three"}).encode()
    body = struct.pack("<I", len(lacking)) + lacking + body[4 + size :]
    (tmp_path / "state").write_bytes(MAGIC + hashlib.blake2b(body, digest_size=16).digest() + body)
    with pytest.raises(StateError, match=r"state: is of another version of dslnode \(round: .*restore it or remove it"):
        StateDirectory(tmp_path).load()


@pytest.mark.parametrize("name", ["lock", "node-id", "state"])
@pytest.mark.parametrize("plant", ["link", "dangling", "directory", "pipe"])
def test_what_is_no_file_under_a_files_name_is_named_and_not_written_through(
    tmp_path: Path, name: str, plant: str
) -> None:
    victim, planted = tmp_path / "victim", tmp_path / "own" / name
    planted.parent.mkdir()
    if plant == "directory":
        planted.mkdir()
    elif plant == "pipe":
        os.mkfifo(planted)
    else:
        planted.symlink_to(victim)
        if plant == "link":
            victim.write_text("theirs")
    directory = StateDirectory(planted.parent)

    def start() -> None:
        with directory.owned():
            directory.node_id()
            directory.load()

    with pytest.raises(StateError, match=f"{planted}: is (a symbolic link|a directory|a pipe) where .* remove it"):
        start()
    assert victim.read_text() == "theirs" if plant == "link" else not victim.exists()


def test_a_link_in_the_place_of_the_new_state_is_removed_and_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("theirs")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "state.new").symlink_to(victim)
    StateDirectory(tmp_path / "own").save(SNAPSHOT)
    assert victim.read_text() == "theirs"
    assert same(loaded(StateDirectory(tmp_path / "own")), SNAPSHOT)


def test_a_link_to_the_directory_itself_is_followed(tmp_path: Path) -> None:
    """As service managers make one."""
    (tmp_path / "private").mkdir(mode=0o700)
    (tmp_path / "own").symlink_to(tmp_path / "private")
    directory = StateDirectory(tmp_path / "own")
    with directory.owned():
        directory.save(SNAPSHOT)
    assert same(loaded(directory), SNAPSHOT)


def test_what_is_saved_is_listed_and_can_be_gone_back_to(tmp_path: Path) -> None:
    directory = StateDirectory(tmp_path)
    directory.save_best(SNAPSHOT)
    directory.save(LATER)
    assert [(each.name, each.metadata and each.metadata.round) for each in directory.generations()] == [
        ("state", 4),
        ("best", 3),
    ]
    assert directory.roll_back("best").round == 3
    back, older = directory.load(), directory._read(directory._older)
    assert back is not None
    assert older is not None
    assert (back.metadata.round, older.metadata.round) == (3, 4)
    assert np.array_equal(back.arrays["scores"], SNAPSHOT.arrays["scores"])


def test_the_best_model_has_two_generations(tmp_path: Path) -> None:
    directory = StateDirectory(tmp_path)
    directory.save_best(SNAPSHOT)
    directory.save_best(LATER)
    (tmp_path / "best").write_bytes(b"rubbish")
    found = directory.load_best()
    assert found is not None
    assert found.metadata.round == 3
    [best, older] = directory.generations()
    assert (best.metadata, older.metadata and older.metadata.round) == (None, 3)
    assert "not a state file" in best.problem


def test_the_older_best_model_is_loaded_where_the_newest_one_is_not_taken(tmp_path: Path) -> None:
    directory = StateDirectory(tmp_path)
    directory.save_best(SNAPSHOT)
    directory.save_best(LATER)

    def take(saved: Snapshot, *refused: int) -> None:
        if saved.metadata.round in refused:
            raise StateError(f"refused {saved.metadata.round}")

    newest = directory.load_best(take)
    assert newest is not None
    assert (newest.metadata.round, directory.best_fell_back) == (4, "")
    older = directory.load_best(lambda saved: take(saved, 4))
    assert older is not None
    assert (older.metadata.round, directory.best_fell_back) == (3, "refused 4")
    with pytest.raises(StateError, match="refused 4"):
        directory.load_best(lambda saved: take(saved, 3, 4))


def test_there_is_nothing_to_go_back_to_but_what_is_listed(tmp_path: Path) -> None:
    directory = StateDirectory(tmp_path)
    directory.save(LATER)
    for name in ("best", "../state", "node-id"):
        with pytest.raises(StateError, match=r"it holds state \(dslnode rounds lists them\)"):
            directory.roll_back(name)

"""The Unix sockets of a node's tunnels: paths, and a directory that vanishes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dslnode.errors import SettingsError
from dslnode.security.credentials import Credentials
from dslnode.security.tls_tunnels import TlsTunnels
from tests.networks import Operator


@pytest.fixture
def tunnels(tmp_path: Path) -> TlsTunnels:
    return TlsTunnels(Credentials(Operator(tmp_path / "authority").ticket("one"), None))


def test_a_directory_that_vanished_is_made_again(tunnels: TlsTunnels) -> None:
    first = tunnels.path()
    assert tunnels.path().parent == first.parent
    shutil.rmtree(first.parent)
    second = tunnels.path()
    assert second.parent.is_dir()
    assert second != first
    tunnels.remove()
    assert not second.parent.exists()


def test_without_any_directory_the_setting_is_at_fault(tunnels: TlsTunnels, tmp_path: Path) -> None:
    tunnels.parents = [tmp_path / ("a" * 100)]
    with pytest.raises(SettingsError, match="TMPDIR"):
        tunnels.open_directory()
    with pytest.raises(OSError, match="TMPDIR"):
        tunnels.path()

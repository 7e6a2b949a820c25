"""Clients for tests of the page: a plain one, and headless Chromium with a profile of its own."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import urllib.request
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--hide-scrollbars"),
    "--virtual-time-budget=1500",
)
SECONDS = 90

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no browser here (Debian: chromium)")


def get(address: str, path: str) -> tuple[str, dict[str, str]]:
    """Return what is served at a path, and the headers, without a browser."""
    with urllib.request.urlopen(f"http://{address}{path}", timeout=10) as answer:
        return answer.read().decode(), dict(answer.headers)


def look_at(url: str, *options: str) -> str:
    """Return the page's document as it stands after its script has run for a while."""
    assert CHROMIUM is not None
    with tempfile.TemporaryDirectory() as profile:
        done = subprocess.run(
            [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", *options, "--dump-dom", url],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=True,
        )
    return done.stdout


def photograph(url: str, file: Path, width: int, height: int, *options: str) -> None:
    """Save what the page looks like as a PNG file."""
    assert CHROMIUM is not None
    with tempfile.TemporaryDirectory() as profile:
        subprocess.run(
            [
                *(CHROMIUM, *FLAGS, f"--user-data-dir={profile}", *options),
                *(f"--window-size={width},{height}", f"--screenshot={file}", url),
            ],
            capture_output=True,
            timeout=SECONDS,
            check=True,
        )

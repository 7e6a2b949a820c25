"""A client that asks a node for predictions again and again, so that there are figures about them."""

from __future__ import annotations

import contextlib
import json
import threading
import urllib.request

PAUSE = 0.3
ROWS = json.dumps([[0] * 64, [8] * 64]).encode()


class Asker:
    """Sends two rows of digits to ``POST /predict`` of an address, until left."""

    def __init__(self, address: str) -> None:
        self._request = urllib.request.Request(f"http://{address}/predict", ROWS, {"Content-Type": "application/json"})
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._go_on)

    def __enter__(self) -> Asker:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._left.set()
        self._thread.join()

    def _go_on(self) -> None:
        while not self._left.wait(PAUSE):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(self._request, timeout=10).close()

"""Accepts TCP connections, each in a thread of its own, up to a number; alive without file descriptors.

With more connections than that, some are closed to make room. Where the process has no file descriptor left, one that
is kept in reserve takes the connection in, to close it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from socketserver import TCPServer, ThreadingMixIn
from typing import Any

POLL_SECONDS = 0.1
NO_DESCRIPTOR = {errno.EMFILE, errno.ENFILE}


class BoundedServer(ThreadingMixIn, TCPServer):
    """Closes the oldest connections when there are too many.

    ``count_closed`` is called with the reason of each connection that is closed early, from threads of the server:
    ``full``, ``deadline``, ``descriptors`` or ``error``.
    """

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64
    block_on_close = False  # a stop waits for no client
    max_connections: int
    count_closed: Callable[[str], None]

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.begun: dict[socket.socket, float] = {}  # when each open connection began, oldest first
        self.lock = threading.Lock()
        self.changed = threading.Condition(self.lock)
        self._reserve: int | None = os.open(os.devnull, os.O_RDONLY)
        super().__init__(*arguments, **options)

    def start(self, name: str) -> Callable[[], None]:
        """Serve in a thread of this name; return a function that ends it and closes the address."""
        thread = threading.Thread(target=partial(self.serve_forever, POLL_SECONDS), name=name, daemon=True)
        thread.start()

        def stop() -> None:
            self.shutdown()
            self.server_close()
            thread.join()

        return stop

    def server_close(self) -> None:
        """Close the address, and every connection that is still open."""
        super().server_close()
        with self.lock:
            still_open = list(self.begun)
        for connection in still_open:
            shut(connection)
        self._free_reserve()

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection; with no descriptor left, one from the reserve takes it in to close it."""
        try:
            return super().get_request()
        except OSError as error:
            if error.errno in NO_DESCRIPTOR:
                self._drop_with_reserve()
            raise  # the loop goes on to the next connection

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer a connection in a thread of its own, once there is room."""
        with self.lock:
            self.begun[request] = time.monotonic()
            surplus = list(self.begun)[: max(len(self.begun) - self.max_connections, 0)]
        for connection in surplus:
            self.close_early(connection, "full")
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget a connection that is answered, and close it."""
        with self.lock:
            self.begun.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Take back the reserve; called each ``POLL_SECONDS`` and after each connection."""
        if self._reserve is None:
            self._take_reserve()

    def handle_error(self, _request: Any, _client_address: Any) -> None:
        """Count what a client's broken connection raised: it is no fault of the node."""
        self.count_closed("error")

    def close_early(self, connection: socket.socket, reason: str) -> None:
        """End a connection that is not answered, and count it."""
        with self.lock:
            if self.begun.pop(connection, None) is None:
                return  # answered meanwhile
        self.count_closed(reason)
        shut(connection)

    def _drop_with_reserve(self) -> None:
        self.count_closed("descriptors")
        self._free_reserve()
        with contextlib.suppress(OSError):
            self.socket.accept()[0].close()
        self._take_reserve()
        if self._reserve is None:
            time.sleep(POLL_SECONDS)  # another thread took the descriptor: do not spin

    def _take_reserve(self) -> None:
        with contextlib.suppress(OSError):
            self._reserve = os.open(os.devnull, os.O_RDONLY)

    def _free_reserve(self) -> None:
        if self._reserve is not None:
            os.close(self._reserve)
            self._reserve = None


def shut(connection: socket.socket) -> None:
    """End both directions: the thread that serves the connection sees its end, and closes it."""
    with contextlib.suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_RDWR)  # that of a TLS socket would send on without TLS

"""Asks the node on this machine whether it is ready: the health check of containers, every half minute.

``python -m dslnode.cli.healthcheck`` asks ``/ready`` at the metrics address (``DSLNODE_METRICS``), by a process that
imports almost nothing. Where nothing is served there, as with ``--metrics off``, it becomes ``dslnode status``, which
asks the node's own address and takes about twenty times the processor time. Ends with 0 if the node is ready.
"""

from __future__ import annotations

import os
import socket
import sys

DEFAULT = "127.0.0.1:9464"
REQUEST = b"GET /ready HTTP/1.0\r\n\r\n"
TIMEOUT_SECONDS = 20.0
"""Timeout of the request; a node that is only busy answers within 5 s."""


def main() -> None:
    """End the process with 0 or 1, or replace it by ``dslnode status``."""
    try:
        answer = ask(os.environ.get("DSLNODE_METRICS", DEFAULT))
    except (ConnectionRefusedError, ValueError):
        os.execv(sys.executable, [sys.executable, "-m", "dslnode", "status", "--timeout", f"{TIMEOUT_SECONDS:g}"])
    except OSError as error:
        answer = f"no answer: {error}"
    print(answer)
    sys.exit(" 200 " not in answer)


def ask(address: str) -> str:
    """Return the first line of the answer; ``ValueError`` if ``address`` is ``off``, ``OSError`` if none comes."""
    host, _, port = address.rpartition(":")  # 0.0.0.0 and [::] lead to this machine, too
    with socket.create_connection((host.strip("[]"), int(port)), TIMEOUT_SECONDS) as connection:
        connection.sendall(REQUEST)
        with connection.makefile("rb") as answer:
            return answer.readline(200).decode("latin-1").strip()


if __name__ == "__main__":
    main()

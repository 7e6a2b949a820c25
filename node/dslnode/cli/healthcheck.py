"""Asks the node on this machine whether it is ready, as the health check of a container does every half minute.

``python -m dslnode.cli.healthcheck`` asks ``/ready`` at the metrics address (``DSLNODE_METRICS``), by a process that
imports next to nothing. Where nothing is served there, as with ``--metrics off``, it becomes ``dslnode status``. That
asks the node's own address and takes some twenty times the processor time. Ends with 0 if the node is ready.
"""

from __future__ import annotations

import os
import socket
import sys

DEFAULT = "127.0.0.1:9464"
QUESTION = b"GET /ready HTTP/1.0\r\n\r\n"
SECONDS = 20.0
"""How long to wait for an answer; a node that is only busy gives one after 5 s."""


def main() -> None:
    """End the process with 0 or 1, or put ``dslnode status`` in its place."""
    try:
        answer = ask(os.environ.get("DSLNODE_METRICS", DEFAULT))
    except (ConnectionRefusedError, ValueError):
        os.execv(sys.executable, [sys.executable, "-m", "dslnode", "status", "--timeout", f"{SECONDS:g}"])
    except OSError as error:
        answer = f"no answer: {error}"
    print(answer)
    sys.exit(" 200 " not in answer)


def ask(address: str) -> str:
    """Return the first line of the answer; ``ValueError`` if ``address`` is ``off``, ``OSError`` if none comes."""
    host, _, port = address.rpartition(":")  # where a node listens on all addresses, theirs lead here, too
    with socket.create_connection((host.strip("[]"), int(port)), SECONDS) as connection:
        connection.sendall(QUESTION)
        with connection.makefile("rb") as answer:
            return answer.readline(200).decode("latin-1").strip()


if __name__ == "__main__":
    main()

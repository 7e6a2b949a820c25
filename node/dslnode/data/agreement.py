"""What two nodes compare of their data: a digest, and what it stands for, so that a difference has words."""

from __future__ import annotations

import hashlib
import json
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dslnode.data.schema import FINGERPRINT_BYTES, difference

if TYPE_CHECKING:
    from dslnode.data.dataset import DataSet

MAX_PACKED_BYTES = 8_192
"""Upper bound of what is sent; a longer agreement travels as its fingerprint alone."""
MAX_TEXT_BYTES = 2**18
REMEDY = "make one with `dslnode data describe`, and start all nodes with it (--schema)"


@dataclass(frozen=True)
class DataAgreement:
    """A digest of 16 bytes, equal exactly if the agreements are, and the agreement as packed JSON, or nothing."""

    fingerprint: bytes
    packed: bytes = b""

    @classmethod
    def of(cls, data: DataSet) -> DataAgreement:
        """Return what a node that learns from this data must agree on: its schema or, without one, the task alone."""
        agreed = {**({} if data.schema is None else data.schema.agreement()), "task": data.target.task}
        text = json.dumps(agreed, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        content = text.encode("utf-8", "surrogatepass")
        packed = zlib.compress(content, 9)
        is_short = len(packed) <= MAX_PACKED_BYTES and len(content) <= MAX_TEXT_BYTES
        fingerprint = hashlib.blake2b(content, digest_size=FINGERPRINT_BYTES).digest()
        return cls(fingerprint, packed if is_short else b"")

    def disagreement(self, theirs: DataAgreement) -> str:
        """Return in words why nodes of these agreements may not learn together; empty if they may.

        A node without a schema agrees with any other of its task: its shapes are compared with the model.
        """
        if self.fingerprint == theirs.fingerprint:
            return ""
        own, other = _unpacked(self.packed), _unpacked(theirs.packed)
        if own is None or other is None:
            return f"reads its data by another schema than this node; {REMEDY}"
        if "inputs" not in own or "inputs" not in other:
            own, other = ({"task": agreed.get("task")} for agreed in (own, other))
            words = difference(own, other)
            return f"learns another {words}; start both with data of one task" if words else ""
        return f"reads its data by another schema: {difference(own, other) or 'it differs'}; {REMEDY}"


def _unpacked(packed: bytes) -> dict[str, Any] | None:
    """Return the agreement that a node sent, or None if it sent none that can be read."""
    try:
        value = json.loads(zlib.decompressobj().decompress(packed, MAX_TEXT_BYTES))
    except (zlib.error, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None

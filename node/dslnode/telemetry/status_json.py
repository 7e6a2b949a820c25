"""A node's status as JSON: what ``dslnode status --json`` prints and the node's page reads."""

from __future__ import annotations

from typing import Any

from google.protobuf.json_format import MessageToDict

from dslnode.v1 import node_pb2 as pb


def as_dict(reply: pb.StatusReply) -> dict[str, Any]:
    """Return the reply with JSON numbers; unknown and non-finite values are null."""
    fields = MessageToDict(reply, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
    return _plain(reply.DESCRIPTOR, fields)


def _plain(descriptor: Any, fields: dict[str, Any]) -> dict[str, Any]:
    """Undo what protobuf's JSON does: 64-bit integers and NaN as text, fields that are not set left out."""
    plain: dict[str, Any] = {}
    for field in descriptor.fields:
        value = fields.get(field.name)
        if isinstance(value, list):
            message = field.message_type
            plain[field.name] = value if message is None else [_plain(message, item) for item in value]
        elif isinstance(value, dict):
            plain[field.name] = _plain(field.message_type, value)
        else:
            plain[field.name] = _number(value) if isinstance(value, str) and field.type != field.TYPE_STRING else value
    return plain


def _number(text: str) -> int | None:
    return int(text) if text.isdigit() else None

"""Every decoder of bytes from outside, with the errors that it may raise and inputs that it reads without one."""

from __future__ import annotations

import base64
import contextlib
import functools
import io
import ssl
import tempfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from bitarray import frozenbitarray
from google.protobuf.message import DecodeError

from dslnode.accounting import ledger_file
from dslnode.accounting.ledger import EARLIEST_HOUR, Amounts, Direction, Ledger
from dslnode.data.agreement import DataAgreement
from dslnode.data.dataset import DataSet, Examples
from dslnode.data.schema import Column, ColumnKind, Schema
from dslnode.data.schema_file import read_schema, schema_text
from dslnode.errors import DataError, PeerError, SettingsError
from dslnode.inference.model_file import CHECKSUM_BYTES, checksum, pack, unpack
from dslnode.inference.personal_model import PersonalModelFile
from dslnode.overlay.mdns import read_announcement
from dslnode.protocol.codec import delta, positions
from dslnode.protocol.codec.delta import Reference, ReferenceChoice
from dslnode.protocol.codec.mask_codec import READABLE, Codec, encode_for
from dslnode.protocol.codec.reference import MaskReferences
from dslnode.protocol.mask import Mask, MaskLayer, MaskLayout
from dslnode.protocol.membership import MemberRecord, MembershipUpdate
from dslnode.protocol.messages import MaskKind, MaskMessage
from dslnode.runtime import checkpoint
from dslnode.runtime.snapshot_metadata import SnapshotMetadata
from dslnode.security.authority import Authority
from dslnode.security.certificates import identity_from_der, read_revocations
from dslnode.security.credentials import Credentials
from dslnode.security.identity import Revocations
from dslnode.security.member_signature import MemberSignatures
from dslnode.security.secret_files import write_private
from dslnode.security.ticket import Ticket, read_ticket, ticket_text
from dslnode.transport.frame_codec import FrameDecoder, LinkParameters
from dslnode.transport.handshake import NetworkFingerprint, NodeInfo, read_hello
from dslnode.transport.member_frames import members_frame, read_members
from dslnode.v1 import node_pb2 as pb
from tests.inference.test_model_file import example as model_example

LAYOUT = MaskLayout((MaskLayer("first", (11, 7)), MaskLayer("last", (300,))))
LAYOUTS = dict.fromkeys(MaskKind, LAYOUT)
SCHEMA = Schema(
    target=("state",),
    classes=("ok", "worn"),
    columns=(Column(name="speed", kind=ColumnKind.NUMBER), Column(name="state", kind=ColumnKind.LABEL)),
)


@dataclass(frozen=True)
class Decoder:
    """A decoder of bytes. It may raise one of ``errors``, and nothing else. ``right`` are bytes that it accepts."""

    read: Callable[[bytes], object]
    errors: tuple[type[Exception], ...]
    right: tuple[bytes, ...]

    def survives(self, content: bytes) -> bool:
        """Decode; return whether the bytes were accepted."""
        try:
            self.read(content)
        except self.errors:
            return False
        return True


def mask(number: int, density: float = 0.3) -> Mask:
    """Return a mask that depends on the number only."""
    bits = np.random.default_rng(number).random(LAYOUT.size) < density
    return Mask(LAYOUT, frozenbitarray(bitarray_of(bits)))


def bitarray_of(bits: np.ndarray) -> frozenbitarray:
    """Return bits as masks hold them."""
    return frozenbitarray(buffer=np.packbits(bits, bitorder="little").tobytes(), endian="little")[: len(bits)]


START = Reference(mask(1))
LATER = delta.next_reference(mask(2), START)


def read_frames(content: bytes) -> None:
    """Read a conversation: each frame with its length before it, as gRPC has them."""
    references = MaskReferences.from_start(START).for_new_link(same_start=True)
    references.incoming.last = LATER
    decoder = FrameDecoder(LAYOUTS, references, LinkParameters(READABLE, keep_masks=True))
    stream = io.BytesIO(content)
    while head := stream.read(2):
        frame = pb.Frame.FromString(stream.read(int.from_bytes(head, "little")))
        decoder.payload(frame)
        decoder.decode(frame)


def frames(*some: pb.Frame) -> bytes:
    """Return a conversation as ``read_frames`` reads it."""
    parts = [frame.SerializeToString() for frame in some]
    return b"".join(len(part).to_bytes(2, "little") + part for part in parts)


def mask_frames(codec: Codec, choice: ReferenceChoice, base: Reference | None) -> bytes:
    """Return a conversation with one keep mask."""
    coded, _ = encode_for({codec}, MaskMessage(3, MaskKind.KEEP, mask(3)), choice, base)
    half = len(coded.data) // 2
    header = pb.MaskHeader(
        round=3,
        kind=pb.MaskKind.MASK_KIND_KEEP,
        codec=pb.Codec.Name(coded.codec),
        coded_bytes=len(coded.data),
        checksum=coded.checksum,
        base=pb.Base.Name(choice),
        data=coded.data[:half],
    )
    chunk = pb.MaskChunk(data=coded.data[half:])
    return frames(pb.Frame(holding=pb.Holding(base=START.digest)), pb.Frame(mask=header), pb.Frame(chunk=chunk))


def sign_frames() -> bytes:
    """Return a conversation with a greeting, a pace, an unchanged and a sign mask."""
    coded, _ = encode_for((), MaskMessage(3, MaskKind.KEEP, mask(3)), ReferenceChoice.NONE, None)
    step = pb.ReplicaStep(epoch=1, sequence=2, acknowledged=1, scales=[0.5, 1.0], counts=[7, 30], checksum=bytes(8))
    header = pb.MaskHeader(
        round=3,
        kind=pb.MaskKind.MASK_KIND_SIGN,
        codec=pb.Codec.CODEC_RAW,
        coded_bytes=len(coded.data),
        checksum=coded.checksum,
        step=step,
        data=coded.data,
    )
    greeting = pb.Frame(greeting=pb.Greeting(opening=True, epoch=1, held=2, checksum=bytes(8)))
    pace, unchanged = pb.Frame(pace=pb.Pace(seconds=5)), pb.Frame(unchanged=pb.Unchanged(round=4))
    return frames(greeting, pace, unchanged, pb.Frame(mask=header))


def member_frames() -> bytes:
    """Return a conversation with member records."""
    record = MemberRecord("ab" * 16, 7, "board", "10.0.0.1:7711", frozenset({"cd" * 16, "ef" * 16}))
    return frames(
        pb.Frame(members=members_frame(MembershipUpdate((record, MemberRecord("cd" * 16, 1, "", "", left=True)))))
    )


def hello() -> bytes:
    """Return the first frame of a neighbour."""
    facts = NetworkFingerprint(
        fingerprint=bytes(16), layout=LAYOUT.digest, layers=2, weights=LAYOUT.size, seed=1, scores=LAYOUT.size
    )
    me = NodeInfo(
        run_id="run",
        node_id=bytes(16),
        incarnation=bytes(8),
        name="name",
        advertise="10.0.0.1:7711",
        model=facts,
        exchange="sign",
        codecs=frozenset({1, 2, 3}),
        start=bytes(8),
        data=DataAgreement(bytes(16), zlib.compress(b'{"task":"classification"}')),
    )
    return pb.Frame(hello=me.to_proto(5)).SerializeToString()


def agreement() -> DataAgreement:
    examples = Examples(np.ones((1, 1), np.float32), np.zeros(1, np.int64))
    return DataAgreement.of(DataSet(examples, None, 2, "pump", schema=SCHEMA))


def disagreement(content: bytes) -> str:
    """Say in what a neighbour's data differ from ours."""
    words = agreement().disagreement(DataAgreement(bytes(16), content))
    assert words.isprintable()
    return words


def checksummed_state(body: bytes) -> checkpoint.Snapshot:
    """Read a state whose checksum is right, so that what lies behind it is reached."""
    return checkpoint.unpack(checkpoint.MAGIC + checkpoint._digest(body) + body)


def checksummed_ledger(body: bytes) -> ledger_file.LedgerState:
    """Read a ledger whose checksum is right."""
    return ledger_file.unpack(ledger_file.MAGIC + ledger_file._digest(body) + b"\n" + body)


def checksummed_model(body: bytes) -> PersonalModelFile:
    """Read a model's file whose checksum is right."""
    return unpack(body + checksum(body))


def state() -> bytes:
    """Return a node's state."""
    metadata = SnapshotMetadata(round=3, run_id="r", fingerprint="ab")
    return checkpoint.pack(
        checkpoint.Snapshot(metadata, {"scores": np.arange(5, dtype=np.float32), "steps": np.array(7)})
    )


def ledger() -> bytes:
    """Return a node's ledger."""
    one = Ledger()
    one.book(EARLIEST_HOUR, "ab", Direction.SENT, Amounts(control=7))
    return ledger_file.pack(
        ledger_file.LedgerState(one, {"ab": "board"}, {("ab", Direction.SENT): Amounts(control=7)}, 5, 6)
    )


def ticket() -> bytes:
    """Return a ticket's text."""
    settings = {"peers": "10.0.0.1:7711", "alpha": "1.5"}
    return ticket_text(
        Ticket(
            name="b", node_id="ab" * 16, run_id="r", certificate="C\n", key="K\n", authority="A\n", settings=settings
        )
    ).encode()


@functools.cache
def _ticket_file() -> Path:
    directory = tempfile.TemporaryDirectory()
    file = Path(directory.name) / "a.ticket"
    write_private(file, "", replace=True)
    _kept.callback(directory.cleanup)
    return file


PEM_BEGIN, PEM_END = b"-----BEGIN X509 CRL-----\n", b"-----END X509 CRL-----\n"
_kept = contextlib.ExitStack()


@dataclass(frozen=True)
class Signed:
    """What an authority has signed: a certificate as TLS hands it over, and its revocation lists."""

    directory: Path
    authority: str
    certificate: bytes
    signatures: MemberSignatures
    no_revocations: bytes
    revocations: bytes


@functools.cache
def _operator() -> Signed:
    directory = tempfile.TemporaryDirectory()
    _kept.callback(directory.cleanup)
    made = datetime(2026, 1, 1, tzinfo=UTC)
    authority = Authority.create(Path(directory.name) / "authority", "run", made)
    ticket = authority.issue("board", made, 90, settings={})
    before = authority.revocation_file.read_bytes()
    file = Path(directory.name) / "board.ticket"
    write_private(file, ticket_text(ticket), replace=True)
    credentials = Credentials(file, None, lambda: made)
    authority.revoke("board", made)
    after = authority.revocation_file.read_bytes()
    der = ssl.PEM_cert_to_DER_cert(ticket.certificate)
    signatures = MemberSignatures(credentials, "run")
    return Signed(Path(directory.name), ticket.authority, der, signatures, before, after)


def signed_records() -> bytes:
    """Return member records as they travel in a network with tickets."""
    signatures, who = _operator().signatures, identity_from_der(_operator().certificate)
    record = signatures.sign(MemberRecord(who.key, 7, who.name, "10.0.0.1:7711", frozenset({"cd" * 16})))
    return members_frame(MembershipUpdate((record,))).SerializeToString()


def read_signed_records(content: bytes) -> MembershipUpdate:
    """Read member records and check their signatures; what is known of earlier ones is forgotten."""
    signatures = MemberSignatures(_operator().signatures._credentials, "run")
    return read_members(pb.Members.FromString(content), signatures.check)


def read_as_revocations(content: bytes) -> Revocations:
    """Read bytes as a revocation list's file."""
    file = _operator().directory / "revoked.pem"
    file.write_bytes(content)
    return read_revocations(file, _operator().authority)


def read_in_pem(content: bytes) -> Revocations:
    """Read bytes as a revocation list in a file whose PEM is right."""
    return read_as_revocations(PEM_BEGIN + base64.encodebytes(content) + PEM_END)


def without_pem(content: bytes) -> bytes:
    """Return what a PEM file holds."""
    return base64.decodebytes(content.removeprefix(PEM_BEGIN).partition(PEM_END)[0])


def announcement() -> bytes:
    """Return the fields of an announcement by multicast, a line each, as ``read_as_announcement`` reads it."""
    return b"\n".join((b"run", b"0f" * 16, b"board", b"10.0.0.7:7711"))


def read_as_announcement(content: bytes) -> MemberRecord | None:
    """Read what another node announces."""
    values = [*content.split(b"\n"), b"", b"", b"", b""]
    me, _ = read_hello(pb.Frame.FromString(hello()))
    fields = dict(zip((b"run", b"id", b"name", b"at"), values, strict=False))
    return read_announcement(fields, [values[4].decode(errors="replace")], len(content), me)


def read_as_ticket(content: bytes) -> Ticket:
    """Read bytes as a ticket's file."""
    _ticket_file().write_bytes(content)
    return read_ticket(_ticket_file())


_BODY = len(checkpoint.MAGIC) + checkpoint.DIGEST_BYTES
DECODERS: Mapping[str, Decoder] = {
    "range": Decoder(
        lambda content: delta.decode(LAYOUT, content, LATER),
        (ValueError,),
        (delta.encode(mask(3), LATER)[0], delta.encode(mask(3), None)[0]),
    ),
    "sparse": Decoder(
        lambda content: positions.decode(LAYOUT, content, LATER.mask),
        (ValueError,),
        (positions.encode(mask(3), LATER.mask),),
    ),
    "raw": Decoder(lambda content: Mask.from_bytes(LAYOUT, content), (ValueError,), (mask(3).to_bytes(),)),
    "conversation": Decoder(
        read_frames,
        (PeerError, DecodeError),
        (
            mask_frames(Codec.RANGE, ReferenceChoice.LAST, LATER),
            mask_frames(Codec.SPARSE, ReferenceChoice.START, START),
            mask_frames(Codec.RAW, ReferenceChoice.NONE, None),
            sign_frames(),
            member_frames(),
        ),
    ),
    "hello": Decoder(lambda content: read_hello(pb.Frame.FromString(content)), (PeerError, DecodeError), (hello(),)),
    "agreement": Decoder(disagreement, (), (agreement().packed, zlib.compress(b'{"task":"regression"}'))),
    "schema": Decoder(
        lambda content: read_schema("\n" + content.decode("utf-8", "replace")),
        (DataError,),
        (schema_text(SCHEMA).encode(),),
    ),
    "state": Decoder(checkpoint.unpack, (ValueError,), (state(),)),
    "state behind its checksum": Decoder(checksummed_state, (ValueError,), (state()[_BODY:],)),
    "ledger": Decoder(ledger_file.unpack, (ValueError,), (ledger(),)),
    "ledger behind its checksum": Decoder(checksummed_ledger, (ValueError,), (ledger().partition(b"\n")[2],)),
    "ticket": Decoder(read_as_ticket, (SettingsError,), (ticket(),)),
    "certificate": Decoder(identity_from_der, (ValueError,), (_operator().certificate,)),
    "revocation list": Decoder(
        read_as_revocations, (SettingsError,), (_operator().revocations, _operator().no_revocations)
    ),
    "revocation list behind its PEM": Decoder(read_in_pem, (SettingsError,), (without_pem(_operator().revocations),)),
    "model": Decoder(unpack, (ValueError,), (pack(model_example()),)),
    "model behind its checksum": Decoder(checksummed_model, (ValueError,), (pack(model_example())[:-CHECKSUM_BYTES],)),
    "signed member records": Decoder(read_signed_records, (PeerError, DecodeError), (signed_records(),)),
    "announcement": Decoder(read_as_announcement, (), (announcement(),)),
}

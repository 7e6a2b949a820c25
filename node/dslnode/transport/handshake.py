"""The handshake: which nodes may link, and which of two links between the same nodes stays. Pure decisions."""

from __future__ import annotations

from dataclasses import dataclass, field

from dslnode.addresses import announceable
from dslnode.data.agreement import MAX_PACKED_BYTES, DataAgreement
from dslnode.data.schema import FINGERPRINT_BYTES
from dslnode.errors import PeerError
from dslnode.protocol.codec.mask_codec import CHECKSUM_BYTES, MAX_ROUND, Codec
from dslnode.v1 import node_pb2 as pb

PROTOCOL = 1
NODE_ID_BYTES = 16
INCARNATION_BYTES = 8
MAX_TEXT = 255
MAX_CODECS = 32
MAX_DISAGREEMENT = 500
REASONS = frozenset(
    "bad_hello bad_holding bad_members bad_step banned checksum chunk_size codec duplicate enough exchange "  # noqa: SIM905
    "expired far_future flood forged full garbage identity leaving mask_bits mask_kind mask_size model "
    "no_certificate no_hello not_yet_valid protocol revoked run schema self silent slow surplus "
    "too_many unexpected_chunk unexpected_frame unexpected_header".split()
)
"""Reasons for which this version ends a conversation. Any other, sent by a peer, counts as ``refused``."""

ORDERLY = frozenset(
    f"{side}{reason}" for side in ("", "peer_") for reason in ("duplicate", "enough", "leaving", "surplus")
)
"""Reasons for which honest nodes end conversations every day."""


@dataclass(frozen=True, kw_only=True)
class NetworkFingerprint:
    """What two nodes compare of their frozen networks."""

    fingerprint: bytes  # 16 bytes, equal exactly if the frozen networks are; the rest only says what differs
    layout: bytes  # 16 bytes, digest of names and shapes
    layers: int
    weights: int
    seed: int
    scores: int

    def to_proto(self) -> pb.Model:
        """Return it as it travels in a hello."""
        return pb.Model(
            fingerprint=self.fingerprint,
            layout=self.layout,
            layers=self.layers,
            weights=self.weights,
            seed=self.seed,
            scores=self.scores,
        )

    @classmethod
    def from_proto(cls, model: pb.Model) -> NetworkFingerprint:
        """Return what a hello says. Its bounds must have been checked."""
        return cls(
            fingerprint=model.fingerprint,
            layout=model.layout,
            layers=model.layers,
            weights=model.weights,
            seed=model.seed,
            scores=model.scores,
        )


@dataclass(frozen=True, kw_only=True)
class NodeInfo:
    """A node's description of itself in its hello."""

    run_id: str
    node_id: bytes  # 16 bytes
    incarnation: bytes  # 8 random bytes, drawn at process start
    name: str
    advertise: str  # HOST:PORT at which it can be dialled, or empty
    model: NetworkFingerprint
    exchange: str
    codecs: frozenset[int] = frozenset()  # numbers of the codecs that it can read; a later release may have more
    start: bytes = b""  # checksum of the keep mask that it started from
    essential: bool = field(default=False, compare=False)  # of this link: the network may fall apart without it
    members: bool = False  # it reads member records
    data: DataAgreement | None = None  # what its data are; a node of an earlier release does not say

    @property
    def key(self) -> str:
        """The node id in hex: the key of this node everywhere else in the daemon."""
        return self.node_id.hex()

    def to_proto(self, round_number: int, *, essential: bool = False) -> pb.Hello:
        """Return the hello of this node in a round."""
        return pb.Hello(
            protocol=PROTOCOL,
            run_id=self.run_id,
            node_id=self.node_id,
            incarnation=self.incarnation,
            name=self.name,
            advertise=announceable(self.advertise),
            round=round_number,
            model=self.model.to_proto(),
            exchange=self.exchange,
            codecs=sorted(self.codecs),
            start=self.start,
            essential=essential,
            members=self.members,
            data=None
            if self.data is None
            else pb.DataAgreement(fingerprint=self.data.fingerprint, packed=self.data.packed),
        )

    @classmethod
    def from_proto(cls, hello: pb.Hello) -> NodeInfo:
        """Return what a hello says. Its bounds must have been checked."""
        return cls(
            run_id=hello.run_id,
            node_id=hello.node_id,
            incarnation=hello.incarnation,
            name=hello.name,
            advertise=hello.advertise,
            model=NetworkFingerprint.from_proto(hello.model),
            exchange=hello.exchange,
            codecs=frozenset(hello.codecs),
            start=hello.start,
            essential=hello.essential,
            members=hello.members,
            data=DataAgreement(hello.data.fingerprint, hello.data.packed) if hello.HasField("data") else None,
        )

    def common_codecs(self, other: NodeInfo) -> frozenset[Codec]:
        """Return the codecs that both can read, RAW apart, which all can."""
        return frozenset(codec for codec in Codec if codec in self.codecs & other.codecs) - {Codec.RAW}

    def has_same_start(self, other: NodeInfo) -> bool:
        """Return whether both started from the same keep mask."""
        return bool(self.start) and self.start == other.start


def read_hello(frame: pb.Frame) -> tuple[NodeInfo, int]:
    """Return the sender of a hello and the round that it is in.

    Raises ``PeerError`` if the frame is a refusal, no hello, of another protocol version, or out of bounds.
    """
    if frame.HasField("refusal"):
        raise PeerError(*read_refusal(frame.refusal))
    if not frame.HasField("hello"):
        raise PeerError("no_hello", "did not begin with a hello")
    hello = frame.hello
    if hello.protocol != PROTOCOL:
        raise PeerError(
            "protocol",
            f"speaks protocol version {hello.protocol}, this node {PROTOCOL}; run the same release on both",
        )
    _check_bounds(hello)
    return NodeInfo.from_proto(hello), hello.round


def read_refusal(refusal: pb.Refusal) -> tuple[str, str]:
    """Return the reason as a bounded label with the prefix ``peer_``, and the message, cut and cleaned."""
    reason = refusal.reason if refusal.reason in REASONS else "refused"
    return f"peer_{reason}", f"refused: {clean(refusal.message, 500) or 'no reason given'}"


def clean(text: str, longest: int) -> str:
    """Return text from a peer, cut, and without characters that would change a log or a terminal."""
    return "".join(c if c.isprintable() else " " for c in text[:longest])


def refusal(error: PeerError) -> pb.Frame:
    """Return the frame that says why the conversation ends."""
    return pb.Frame(refusal=pb.Refusal(reason=error.reason, message=str(error)))


def check_match(mine: NodeInfo, theirs: NodeInfo) -> None:
    """Raise ``PeerError``, saying what differs, unless the two nodes may learn together."""
    if theirs.node_id == mine.node_id:
        raise PeerError("self", "this address leads back to the node itself (or two nodes share a copied --state-dir)")
    if theirs.run_id != mine.run_id:
        raise PeerError("run", f"belongs to run {theirs.run_id!r}, this node to {mine.run_id!r} (see --run-id)")
    if mine.data is not None and theirs.data is not None and (words := mine.data.disagreement(theirs.data)):
        raise PeerError("schema", clean(words, MAX_DISAGREEMENT))
    if theirs.model.fingerprint != mine.model.fingerprint:
        raise PeerError("model", _model_difference(mine.model, theirs.model))
    if theirs.exchange != mine.exchange:
        raise PeerError("exchange", f"exchanges {theirs.exchange!r}, this node {mine.exchange!r} (see --exchange)")


def replaces(me: bytes, old: tuple[NodeInfo, bool], new: tuple[NodeInfo, bool]) -> bool:
    """Return whether a new link to a neighbour replaces the old one. Each comes with whether this node dialled it.

    It does if the neighbour has restarted, or if the same side dialled both. Otherwise both sides dialled, and both
    keep the link that the node with the smaller id dialled.
    """
    (old_info, we_dialled_old), (new_info, we_dialled_new) = old, new
    if new_info.incarnation != old_info.incarnation or we_dialled_new == we_dialled_old:
        return True
    return we_dialled_new == (me < new_info.node_id)


def _model_difference(mine: NetworkFingerprint, theirs: NetworkFingerprint) -> str:
    if mine.layout != theirs.layout:
        return (
            f"runs another model: {theirs.layers} maskable layers with {theirs.weights:,} weights, this node "
            f"{mine.layers} with {mine.weights:,}; start both with the same --model and data of the same shape"
        )
    if mine.seed != theirs.seed:
        return f"froze its network from seed {theirs.seed}, this node from {mine.seed}; start both with the same --seed"
    if mine.scores != theirs.scores:
        return (
            f"learns {theirs.scores:,} scores, this node {mine.scores:,}; start both with the same --weights-per-score"
        )
    return "froze another network from the same model and seed; run the same release on both"


def _check_bounds(hello: pb.Hello) -> None:
    lengths = {
        "node_id": (len(hello.node_id), NODE_ID_BYTES),
        "incarnation": (len(hello.incarnation), INCARNATION_BYTES),
        "model.fingerprint": (len(hello.model.fingerprint), 16),
        "model.layout": (len(hello.model.layout), 16),
    }
    for name, (length, expected) in lengths.items():
        if length != expected:
            raise PeerError("bad_hello", f"sent a hello whose {name} has {length} bytes instead of {expected}")
    for name, text in {
        "run_id": hello.run_id,
        "name": hello.name,
        "advertise": hello.advertise,
        "exchange": hello.exchange,
    }.items():
        if len(text) > MAX_TEXT or not text.isprintable():
            raise PeerError("bad_hello", f"sent a hello whose {name} is too long or not printable")
    if len(hello.codecs) > MAX_CODECS or len(hello.start) not in {0, CHECKSUM_BYTES}:
        raise PeerError("bad_hello", "sent a hello with too many codecs, or a start that is no checksum")
    if hello.HasField("data"):
        sizes = len(hello.data.fingerprint), len(hello.data.packed)
        if sizes[0] != FINGERPRINT_BYTES or sizes[1] > MAX_PACKED_BYTES:
            raise PeerError("bad_hello", f"sent a hello whose data have {sizes[0]} and {sizes[1]} bytes")
    if hello.round >= MAX_ROUND:
        raise PeerError("far_future", f"says it is in round {hello.round}; rounds end at {MAX_ROUND}")

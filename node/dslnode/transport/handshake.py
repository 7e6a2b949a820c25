"""The handshake: who may talk with whom, and which of two links between the same nodes stays. Pure decisions."""

from __future__ import annotations

from dataclasses import dataclass, field

from dslnode.errors import PeerError
from dslnode.protocol.codec.mask_codec import CHECKSUM_BYTES, MAX_ROUND, Codec
from dslnode.v1 import node_pb2 as pb

PROTOCOL = 1
NODE_ID_BYTES = 16
INCARNATION_BYTES = 8
MAX_TEXT = 255
MAX_CODECS = 32
REASONS = frozenset(
    "bad_hello bad_holding bad_members bad_step checksum chunk_size codec duplicate enough exchange "  # noqa: SIM905
    "expired far_future flood full garbage identity leaving mask_bits mask_kind mask_size model "
    "no_certificate no_hello not_yet_valid protocol quarantined revoked run self silent slow surplus "
    "too_many unexpected_chunk unexpected_frame unexpected_header".split()
)
"""Why this version refuses a peer or ends a conversation; another reason, made up by a peer, counts as ``refused``."""

ORDERLY = frozenset(f"{who}{why}" for who in ("", "peer_") for why in ("duplicate", "enough", "leaving", "surplus"))
"""Reasons for which honest nodes end conversations every day: nobody's fault."""


@dataclass(frozen=True)
class NetworkFingerprint:
    """What two nodes compare of their frozen networks: equal fingerprints mean equal networks."""

    fingerprint: bytes
    layout: bytes
    layers: int
    weights: int
    seed: int
    scores: int


@dataclass(frozen=True)
class NodeInfo:
    """What a node says of itself when a link opens."""

    run_id: str
    node_id: bytes
    incarnation: bytes
    name: str
    advertise: str
    model: NetworkFingerprint
    exchange: str
    codecs: frozenset[int] = frozenset()  # numbers of those that it can read; one of another release may know more
    start: bytes = b""  # checksum of the keep mask that it started from
    essential: bool = field(default=False, compare=False)  # of this link alone: the network may fall apart without it
    members: bool = False  # it takes in what is known of other nodes

    @property
    def key(self) -> str:
        """The node id as text: what the rest of the daemon calls this neighbour."""
        return self.node_id.hex()

    def hello(self, round_number: int, *, essential: bool = False) -> pb.Frame:
        """Return the first frame of a conversation."""
        return pb.Frame(
            hello=pb.Hello(
                protocol=PROTOCOL,
                run_id=self.run_id,
                node_id=self.node_id,
                incarnation=self.incarnation,
                name=self.name,
                advertise=self.advertise,
                round=round_number,
                model=pb.Model(
                    fingerprint=self.model.fingerprint,
                    layout=self.model.layout,
                    layers=self.model.layers,
                    weights=self.model.weights,
                    seed=self.model.seed,
                    scores=self.model.scores,
                ),
                exchange=self.exchange,
                codecs=sorted(self.codecs),
                start=self.start,
                essential=essential,
                members=self.members,
            )
        )

    def common_codecs(self, other: NodeInfo) -> frozenset[Codec]:
        """Return the codecs that both can read, plain masks apart."""
        return frozenset(codec for codec in Codec if codec in self.codecs & other.codecs) - {Codec.RAW}

    def starts_like(self, other: NodeInfo) -> bool:
        """Return whether both started from the same keep mask."""
        return bool(self.start) and self.start == other.start


def read_hello(frame: pb.Frame) -> tuple[NodeInfo, int]:
    """Return who introduces itself and the round it is in.

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
    model = hello.model
    facts = NetworkFingerprint(model.fingerprint, model.layout, model.layers, model.weights, model.seed, model.scores)
    introduction = NodeInfo(
        hello.run_id,
        hello.node_id,
        hello.incarnation,
        hello.name,
        hello.advertise,
        facts,
        hello.exchange,
        frozenset(hello.codecs),
        hello.start,
        hello.essential,
        hello.members,
    )
    return introduction, hello.round


def read_refusal(refusal: pb.Refusal) -> tuple[str, str]:
    """Return a refusal's reason, one of few (it becomes a metric's label), and its message, cut and cleaned."""
    reason = refusal.reason if refusal.reason in REASONS else "refused"
    return f"peer_{reason}", f"refused: {clean(refusal.message, 500) or 'no reason given'}"


def clean(text: str, longest: int) -> str:
    """Return text from outside, cut, and without characters that would change a log or a terminal."""
    return "".join(c if c.isprintable() else " " for c in text[:longest])


def refusal(error: PeerError) -> pb.Frame:
    """Return the frame that tells a peer why the conversation ends."""
    return pb.Frame(refusal=pb.Refusal(reason=error.reason, message=str(error)))


def check_match(mine: NodeInfo, theirs: NodeInfo) -> None:
    """Raise ``PeerError``, saying what differs, unless both may learn together."""
    if theirs.node_id == mine.node_id:
        raise PeerError("self", "this address leads back to the node itself (or two nodes share a copied --state-dir)")
    if theirs.run_id != mine.run_id:
        raise PeerError("run", f"belongs to run {theirs.run_id!r}, this node to {mine.run_id!r} (see --run-id)")
    if theirs.model.fingerprint != mine.model.fingerprint:
        raise PeerError("model", _model_difference(mine.model, theirs.model))
    if theirs.exchange != mine.exchange:
        raise PeerError("exchange", f"exchanges {theirs.exchange!r}, this node {mine.exchange!r} (see --exchange)")


def replaces(me: bytes, old: tuple[NodeInfo, bool], new: tuple[NodeInfo, bool]) -> bool:
    """Return whether a new link to a neighbour takes the place of the old one (each with: did we dial it).

    A restarted neighbour's link replaces the one to its former life, and a link dialled again by the same side
    replaces the one before. When both sides dialled, both keep the one that the smaller node id dialled.
    """
    (former, we_dialled_old), (neighbour, we_dialled_new) = old, new
    if neighbour.incarnation != former.incarnation or we_dialled_new == we_dialled_old:
        return True
    return we_dialled_new == (me < neighbour.node_id)


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
    if hello.round >= MAX_ROUND:
        raise PeerError("far_future", f"says it is in round {hello.round}; rounds end at {MAX_ROUND}")

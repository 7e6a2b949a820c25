from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class MaskKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MASK_KIND_UNSPECIFIED: _ClassVar[MaskKind]
    MASK_KIND_KEEP: _ClassVar[MaskKind]
    MASK_KIND_SIGN: _ClassVar[MaskKind]

class Codec(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CODEC_UNSPECIFIED: _ClassVar[Codec]
    CODEC_RAW: _ClassVar[Codec]
    CODEC_SPARSE: _ClassVar[Codec]
    CODEC_RANGE: _ClassVar[Codec]

class Base(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    BASE_LAST: _ClassVar[Base]
    BASE_START: _ClassVar[Base]
    BASE_NONE: _ClassVar[Base]
MASK_KIND_UNSPECIFIED: MaskKind
MASK_KIND_KEEP: MaskKind
MASK_KIND_SIGN: MaskKind
CODEC_UNSPECIFIED: Codec
CODEC_RAW: Codec
CODEC_SPARSE: Codec
CODEC_RANGE: Codec
BASE_LAST: Base
BASE_START: Base
BASE_NONE: Base

class Frame(_message.Message):
    __slots__ = ("hello", "refusal", "mask", "chunk", "greeting", "holding", "unchanged", "pace", "members")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    MASK_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    GREETING_FIELD_NUMBER: _ClassVar[int]
    HOLDING_FIELD_NUMBER: _ClassVar[int]
    UNCHANGED_FIELD_NUMBER: _ClassVar[int]
    PACE_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    refusal: Refusal
    mask: MaskHeader
    chunk: MaskChunk
    greeting: Greeting
    holding: Holding
    unchanged: Unchanged
    pace: Pace
    members: Members
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., refusal: _Optional[_Union[Refusal, _Mapping]] = ..., mask: _Optional[_Union[MaskHeader, _Mapping]] = ..., chunk: _Optional[_Union[MaskChunk, _Mapping]] = ..., greeting: _Optional[_Union[Greeting, _Mapping]] = ..., holding: _Optional[_Union[Holding, _Mapping]] = ..., unchanged: _Optional[_Union[Unchanged, _Mapping]] = ..., pace: _Optional[_Union[Pace, _Mapping]] = ..., members: _Optional[_Union[Members, _Mapping]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("protocol", "run_id", "node_id", "incarnation", "name", "advertise", "round", "model", "exchange", "codecs", "start", "essential", "members", "data")
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ADVERTISE_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    EXCHANGE_FIELD_NUMBER: _ClassVar[int]
    CODECS_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    ESSENTIAL_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    run_id: str
    node_id: bytes
    incarnation: bytes
    name: str
    advertise: str
    round: int
    model: Model
    exchange: str
    codecs: _containers.RepeatedScalarFieldContainer[int]
    start: bytes
    essential: bool
    members: bool
    data: DataAgreement
    def __init__(self, protocol: _Optional[int] = ..., run_id: _Optional[str] = ..., node_id: _Optional[bytes] = ..., incarnation: _Optional[bytes] = ..., name: _Optional[str] = ..., advertise: _Optional[str] = ..., round: _Optional[int] = ..., model: _Optional[_Union[Model, _Mapping]] = ..., exchange: _Optional[str] = ..., codecs: _Optional[_Iterable[int]] = ..., start: _Optional[bytes] = ..., essential: _Optional[bool] = ..., members: _Optional[bool] = ..., data: _Optional[_Union[DataAgreement, _Mapping]] = ...) -> None: ...

class DataAgreement(_message.Message):
    __slots__ = ("fingerprint", "packed")
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    PACKED_FIELD_NUMBER: _ClassVar[int]
    fingerprint: bytes
    packed: bytes
    def __init__(self, fingerprint: _Optional[bytes] = ..., packed: _Optional[bytes] = ...) -> None: ...

class Members(_message.Message):
    __slots__ = ("nodes",)
    NODES_FIELD_NUMBER: _ClassVar[int]
    nodes: _containers.RepeatedCompositeFieldContainer[Member]
    def __init__(self, nodes: _Optional[_Iterable[_Union[Member, _Mapping]]] = ...) -> None: ...

class Member(_message.Message):
    __slots__ = ("node_id", "version", "name", "advertise", "links", "left", "proven", "signature", "certificate")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ADVERTISE_FIELD_NUMBER: _ClassVar[int]
    LINKS_FIELD_NUMBER: _ClassVar[int]
    LEFT_FIELD_NUMBER: _ClassVar[int]
    PROVEN_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    node_id: bytes
    version: int
    name: str
    advertise: str
    links: bytes
    left: bool
    proven: bytes
    signature: bytes
    certificate: bytes
    def __init__(self, node_id: _Optional[bytes] = ..., version: _Optional[int] = ..., name: _Optional[str] = ..., advertise: _Optional[str] = ..., links: _Optional[bytes] = ..., left: _Optional[bool] = ..., proven: _Optional[bytes] = ..., signature: _Optional[bytes] = ..., certificate: _Optional[bytes] = ...) -> None: ...

class Model(_message.Message):
    __slots__ = ("fingerprint", "layout", "layers", "weights", "seed", "scores")
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    LAYOUT_FIELD_NUMBER: _ClassVar[int]
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    SCORES_FIELD_NUMBER: _ClassVar[int]
    fingerprint: bytes
    layout: bytes
    layers: int
    weights: int
    seed: int
    scores: int
    def __init__(self, fingerprint: _Optional[bytes] = ..., layout: _Optional[bytes] = ..., layers: _Optional[int] = ..., weights: _Optional[int] = ..., seed: _Optional[int] = ..., scores: _Optional[int] = ...) -> None: ...

class Greeting(_message.Message):
    __slots__ = ("epoch", "held", "checksum", "opening")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    CHECKSUM_FIELD_NUMBER: _ClassVar[int]
    OPENING_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    held: int
    checksum: bytes
    opening: bool
    def __init__(self, epoch: _Optional[int] = ..., held: _Optional[int] = ..., checksum: _Optional[bytes] = ..., opening: _Optional[bool] = ...) -> None: ...

class Pace(_message.Message):
    __slots__ = ("seconds",)
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    seconds: int
    def __init__(self, seconds: _Optional[int] = ...) -> None: ...

class Holding(_message.Message):
    __slots__ = ("base",)
    BASE_FIELD_NUMBER: _ClassVar[int]
    base: bytes
    def __init__(self, base: _Optional[bytes] = ...) -> None: ...

class Unchanged(_message.Message):
    __slots__ = ("round", "epoch", "held")
    ROUND_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    round: int
    epoch: int
    held: int
    def __init__(self, round: _Optional[int] = ..., epoch: _Optional[int] = ..., held: _Optional[int] = ...) -> None: ...

class Refusal(_message.Message):
    __slots__ = ("reason", "message")
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    reason: str
    message: str
    def __init__(self, reason: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class MaskHeader(_message.Message):
    __slots__ = ("round", "kind", "codec", "coded_bytes", "checksum", "step", "base", "data")
    ROUND_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    CODEC_FIELD_NUMBER: _ClassVar[int]
    CODED_BYTES_FIELD_NUMBER: _ClassVar[int]
    CHECKSUM_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    BASE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    round: int
    kind: MaskKind
    codec: Codec
    coded_bytes: int
    checksum: bytes
    step: ReplicaStep
    base: Base
    data: bytes
    def __init__(self, round: _Optional[int] = ..., kind: _Optional[_Union[MaskKind, str]] = ..., codec: _Optional[_Union[Codec, str]] = ..., coded_bytes: _Optional[int] = ..., checksum: _Optional[bytes] = ..., step: _Optional[_Union[ReplicaStep, _Mapping]] = ..., base: _Optional[_Union[Base, str]] = ..., data: _Optional[bytes] = ...) -> None: ...

class ReplicaStep(_message.Message):
    __slots__ = ("epoch", "sequence", "acknowledged", "scales", "counts", "checksum")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGED_FIELD_NUMBER: _ClassVar[int]
    SCALES_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    CHECKSUM_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    sequence: int
    acknowledged: int
    scales: _containers.RepeatedScalarFieldContainer[float]
    counts: _containers.RepeatedScalarFieldContainer[int]
    checksum: bytes
    def __init__(self, epoch: _Optional[int] = ..., sequence: _Optional[int] = ..., acknowledged: _Optional[int] = ..., scales: _Optional[_Iterable[float]] = ..., counts: _Optional[_Iterable[int]] = ..., checksum: _Optional[bytes] = ...) -> None: ...

class MaskChunk(_message.Message):
    __slots__ = ("data",)
    DATA_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    def __init__(self, data: _Optional[bytes] = ...) -> None: ...

class StatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StatusReply(_message.Message):
    __slots__ = ("name", "node_id", "run_id", "round", "phase", "accuracy", "train_accuracy", "loss", "density", "weights", "payload_bits_sent", "payload_bits_received", "wire_bytes_sent", "wire_bytes_received", "uptime_seconds", "float32_bits_sent", "neighbours", "usage", "layers", "history", "clock", "task", "score_name", "score", "train_score", "figures", "classes", "confusion", "baselines", "best", "alone_score", "form")
    NAME_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    ACCURACY_FIELD_NUMBER: _ClassVar[int]
    TRAIN_ACCURACY_FIELD_NUMBER: _ClassVar[int]
    LOSS_FIELD_NUMBER: _ClassVar[int]
    DENSITY_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_BITS_SENT_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_BITS_RECEIVED_FIELD_NUMBER: _ClassVar[int]
    WIRE_BYTES_SENT_FIELD_NUMBER: _ClassVar[int]
    WIRE_BYTES_RECEIVED_FIELD_NUMBER: _ClassVar[int]
    UPTIME_SECONDS_FIELD_NUMBER: _ClassVar[int]
    FLOAT32_BITS_SENT_FIELD_NUMBER: _ClassVar[int]
    NEIGHBOURS_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    HISTORY_FIELD_NUMBER: _ClassVar[int]
    CLOCK_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    SCORE_NAME_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    TRAIN_SCORE_FIELD_NUMBER: _ClassVar[int]
    FIGURES_FIELD_NUMBER: _ClassVar[int]
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    CONFUSION_FIELD_NUMBER: _ClassVar[int]
    BASELINES_FIELD_NUMBER: _ClassVar[int]
    BEST_FIELD_NUMBER: _ClassVar[int]
    ALONE_SCORE_FIELD_NUMBER: _ClassVar[int]
    FORM_FIELD_NUMBER: _ClassVar[int]
    name: str
    node_id: str
    run_id: str
    round: int
    phase: str
    accuracy: float
    train_accuracy: float
    loss: float
    density: float
    weights: int
    payload_bits_sent: int
    payload_bits_received: int
    wire_bytes_sent: int
    wire_bytes_received: int
    uptime_seconds: float
    float32_bits_sent: int
    neighbours: _containers.RepeatedCompositeFieldContainer[NeighbourStatus]
    usage: Usage
    layers: _containers.RepeatedCompositeFieldContainer[LayerStatus]
    history: _containers.RepeatedCompositeFieldContainer[Measurement]
    clock: float
    task: str
    score_name: str
    score: float
    train_score: float
    figures: _containers.RepeatedCompositeFieldContainer[Figure]
    classes: _containers.RepeatedCompositeFieldContainer[ClassStatus]
    confusion: _containers.RepeatedScalarFieldContainer[int]
    baselines: _containers.RepeatedCompositeFieldContainer[Baseline]
    best: BestModel
    alone_score: float
    form: str
    def __init__(self, name: _Optional[str] = ..., node_id: _Optional[str] = ..., run_id: _Optional[str] = ..., round: _Optional[int] = ..., phase: _Optional[str] = ..., accuracy: _Optional[float] = ..., train_accuracy: _Optional[float] = ..., loss: _Optional[float] = ..., density: _Optional[float] = ..., weights: _Optional[int] = ..., payload_bits_sent: _Optional[int] = ..., payload_bits_received: _Optional[int] = ..., wire_bytes_sent: _Optional[int] = ..., wire_bytes_received: _Optional[int] = ..., uptime_seconds: _Optional[float] = ..., float32_bits_sent: _Optional[int] = ..., neighbours: _Optional[_Iterable[_Union[NeighbourStatus, _Mapping]]] = ..., usage: _Optional[_Union[Usage, _Mapping]] = ..., layers: _Optional[_Iterable[_Union[LayerStatus, _Mapping]]] = ..., history: _Optional[_Iterable[_Union[Measurement, _Mapping]]] = ..., clock: _Optional[float] = ..., task: _Optional[str] = ..., score_name: _Optional[str] = ..., score: _Optional[float] = ..., train_score: _Optional[float] = ..., figures: _Optional[_Iterable[_Union[Figure, _Mapping]]] = ..., classes: _Optional[_Iterable[_Union[ClassStatus, _Mapping]]] = ..., confusion: _Optional[_Iterable[int]] = ..., baselines: _Optional[_Iterable[_Union[Baseline, _Mapping]]] = ..., best: _Optional[_Union[BestModel, _Mapping]] = ..., alone_score: _Optional[float] = ..., form: _Optional[str] = ...) -> None: ...

class Figure(_message.Message):
    __slots__ = ("name", "value", "unit")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: float
    unit: str
    def __init__(self, name: _Optional[str] = ..., value: _Optional[float] = ..., unit: _Optional[str] = ...) -> None: ...

class ClassStatus(_message.Message):
    __slots__ = ("name", "examples", "recall", "precision")
    NAME_FIELD_NUMBER: _ClassVar[int]
    EXAMPLES_FIELD_NUMBER: _ClassVar[int]
    RECALL_FIELD_NUMBER: _ClassVar[int]
    PRECISION_FIELD_NUMBER: _ClassVar[int]
    name: str
    examples: int
    recall: float
    precision: float
    def __init__(self, name: _Optional[str] = ..., examples: _Optional[int] = ..., recall: _Optional[float] = ..., precision: _Optional[float] = ...) -> None: ...

class Baseline(_message.Message):
    __slots__ = ("name", "score", "trivial")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    TRIVIAL_FIELD_NUMBER: _ClassVar[int]
    name: str
    score: float
    trivial: bool
    def __init__(self, name: _Optional[str] = ..., score: _Optional[float] = ..., trivial: _Optional[bool] = ...) -> None: ...

class BestModel(_message.Message):
    __slots__ = ("round", "score")
    ROUND_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    round: int
    score: float
    def __init__(self, round: _Optional[int] = ..., score: _Optional[float] = ...) -> None: ...

class Usage(_message.Message):
    __slots__ = ("hour_bytes", "day_bytes", "cap_bytes", "cap_period", "used_bytes", "forecast_bytes", "exchanges_skipped", "interval_seconds")
    HOUR_BYTES_FIELD_NUMBER: _ClassVar[int]
    DAY_BYTES_FIELD_NUMBER: _ClassVar[int]
    CAP_BYTES_FIELD_NUMBER: _ClassVar[int]
    CAP_PERIOD_FIELD_NUMBER: _ClassVar[int]
    USED_BYTES_FIELD_NUMBER: _ClassVar[int]
    FORECAST_BYTES_FIELD_NUMBER: _ClassVar[int]
    EXCHANGES_SKIPPED_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_SECONDS_FIELD_NUMBER: _ClassVar[int]
    hour_bytes: int
    day_bytes: int
    cap_bytes: int
    cap_period: str
    used_bytes: int
    forecast_bytes: int
    exchanges_skipped: int
    interval_seconds: float
    def __init__(self, hour_bytes: _Optional[int] = ..., day_bytes: _Optional[int] = ..., cap_bytes: _Optional[int] = ..., cap_period: _Optional[str] = ..., used_bytes: _Optional[int] = ..., forecast_bytes: _Optional[int] = ..., exchanges_skipped: _Optional[int] = ..., interval_seconds: _Optional[float] = ...) -> None: ...

class DialBackRequest(_message.Message):
    __slots__ = ("port",)
    PORT_FIELD_NUMBER: _ClassVar[int]
    port: int
    def __init__(self, port: _Optional[int] = ...) -> None: ...

class DialBackReply(_message.Message):
    __slots__ = ("reached", "host", "problem")
    REACHED_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    reached: bool
    host: str
    problem: str
    def __init__(self, reached: _Optional[bool] = ..., host: _Optional[str] = ..., problem: _Optional[str] = ...) -> None: ...

class ModelRequest(_message.Message):
    __slots__ = ("last",)
    LAST_FIELD_NUMBER: _ClassVar[int]
    last: bool
    def __init__(self, last: _Optional[bool] = ...) -> None: ...

class ModelPart(_message.Message):
    __slots__ = ("data",)
    DATA_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    def __init__(self, data: _Optional[bytes] = ...) -> None: ...

class LedgerRequest(_message.Message):
    __slots__ = ("per",)
    PER_FIELD_NUMBER: _ClassVar[int]
    per: str
    def __init__(self, per: _Optional[str] = ...) -> None: ...

class LedgerRow(_message.Message):
    __slots__ = ("period", "neighbour", "name", "direction", "keep_bits", "sign_bits", "keep_framing", "sign_framing", "control", "resent", "transport", "unsaved")
    PERIOD_FIELD_NUMBER: _ClassVar[int]
    NEIGHBOUR_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    KEEP_BITS_FIELD_NUMBER: _ClassVar[int]
    SIGN_BITS_FIELD_NUMBER: _ClassVar[int]
    KEEP_FRAMING_FIELD_NUMBER: _ClassVar[int]
    SIGN_FRAMING_FIELD_NUMBER: _ClassVar[int]
    CONTROL_FIELD_NUMBER: _ClassVar[int]
    RESENT_FIELD_NUMBER: _ClassVar[int]
    TRANSPORT_FIELD_NUMBER: _ClassVar[int]
    UNSAVED_FIELD_NUMBER: _ClassVar[int]
    period: int
    neighbour: str
    name: str
    direction: str
    keep_bits: int
    sign_bits: int
    keep_framing: int
    sign_framing: int
    control: int
    resent: int
    transport: int
    unsaved: int
    def __init__(self, period: _Optional[int] = ..., neighbour: _Optional[str] = ..., name: _Optional[str] = ..., direction: _Optional[str] = ..., keep_bits: _Optional[int] = ..., sign_bits: _Optional[int] = ..., keep_framing: _Optional[int] = ..., sign_framing: _Optional[int] = ..., control: _Optional[int] = ..., resent: _Optional[int] = ..., transport: _Optional[int] = ..., unsaved: _Optional[int] = ...) -> None: ...

class LayerStatus(_message.Message):
    __slots__ = ("name", "weights", "density")
    NAME_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    DENSITY_FIELD_NUMBER: _ClassVar[int]
    name: str
    weights: int
    density: float
    def __init__(self, name: _Optional[str] = ..., weights: _Optional[int] = ..., density: _Optional[float] = ...) -> None: ...

class Measurement(_message.Message):
    __slots__ = ("round", "accuracy", "score")
    ROUND_FIELD_NUMBER: _ClassVar[int]
    ACCURACY_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    round: int
    accuracy: float
    score: float
    def __init__(self, round: _Optional[int] = ..., accuracy: _Optional[float] = ..., score: _Optional[float] = ...) -> None: ...

class NeighbourStatus(_message.Message):
    __slots__ = ("name", "node_id", "address", "connected", "round", "staleness", "agreement", "payload_bits_sent", "payload_bits_received", "wire_bytes_sent", "wire_bytes_received", "problem")
    NAME_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    CONNECTED_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    STALENESS_FIELD_NUMBER: _ClassVar[int]
    AGREEMENT_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_BITS_SENT_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_BITS_RECEIVED_FIELD_NUMBER: _ClassVar[int]
    WIRE_BYTES_SENT_FIELD_NUMBER: _ClassVar[int]
    WIRE_BYTES_RECEIVED_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    name: str
    node_id: str
    address: str
    connected: bool
    round: int
    staleness: int
    agreement: float
    payload_bits_sent: int
    payload_bits_received: int
    wire_bytes_sent: int
    wire_bytes_received: int
    problem: str
    def __init__(self, name: _Optional[str] = ..., node_id: _Optional[str] = ..., address: _Optional[str] = ..., connected: _Optional[bool] = ..., round: _Optional[int] = ..., staleness: _Optional[int] = ..., agreement: _Optional[float] = ..., payload_bits_sent: _Optional[int] = ..., payload_bits_received: _Optional[int] = ..., wire_bytes_sent: _Optional[int] = ..., wire_bytes_received: _Optional[int] = ..., problem: _Optional[str] = ...) -> None: ...

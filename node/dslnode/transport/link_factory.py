"""Makes links, with what each side holds of the other's keep masks, and keeps that for the next link."""

from __future__ import annotations

from dslnode.protocol.codec.delta import Reference
from dslnode.protocol.codec.mask_codec import Layouts
from dslnode.protocol.codec.reference import MaskReferences
from dslnode.protocol.mask import Mask
from dslnode.protocol.messages import Exchange, MaskKind
from dslnode.transport.encode_cache import LARGE, EncodeCache
from dslnode.transport.frame_codec import FrameCodec, FrameDecoder, FrameEncoder, LinkParameters
from dslnode.transport.handshake import NodeInfo
from dslnode.transport.link import Link, Stream
from dslnode.transport.member_frames import RecordCheck
from dslnode.transport.rate_limit import PeerRateLimit
from dslnode.transport.traffic import Traffic

REMEMBERED = 100
"""Disconnected neighbours whose references are kept."""
MAX_RATE_LIMITS = 1_000


class LinkFactory:
    """Makes the links of node ``me``, and keeps what must outlive a link: references and rate limits.

    ``start`` is the keep mask that this node started from. A keep mask that differs from the neighbour's copy in less
    than the part ``send_threshold`` of what changed since then is not sent. ``check_record`` checks the signatures of
    member records; without it they have none.
    """

    def __init__(
        self,
        me: NodeInfo,
        layouts: Layouts,
        start: Mask | None = None,
        send_threshold: float = 0.0,
        *,
        check_record: RecordCheck | None = None,
    ) -> None:
        self._me = me
        self._layouts = layouts
        self._start = None if start is None else Reference(start)
        self._send_threshold = send_threshold
        self._check_record = check_record
        self._cache = EncodeCache()
        self._references: dict[str, MaskReferences] = {}
        self._rate_limits: dict[str, PeerRateLimit] = {}

    def open_link(
        self,
        stream: Stream,
        neighbour: NodeInfo,
        traffic: Traffic,
        former: Link | None,
        *,
        we_dialled: bool,
        remote: tuple[str, int],
    ) -> Link:
        """Return a new link. ``former`` is an open one to the same neighbour, which may go on for a moment."""
        known = former.references if former is not None else self._references.pop(neighbour.key, None)
        same_start = self._me.has_same_start(neighbour)
        references = (known or MaskReferences.from_start(self._start)).for_new_link(same_start=same_start)
        keep_masks = MaskKind.KEEP in Exchange(self._me.exchange).kinds
        parameters = LinkParameters(self._me.common_codecs(neighbour), keep_masks, self._send_threshold)
        codec = FrameCodec(
            encoder=FrameEncoder(references, self._cache, parameters),
            decoder=FrameDecoder(self._layouts, references, parameters, self._check_record),
            references=references,
            rate_limit=self._rate_limit(neighbour.key),
            large=max(layout.size for layout in self._layouts.values()) > LARGE,
        )
        return Link(stream, neighbour, codec, traffic, we_dialled=we_dialled, remote=remote)

    def remember(self, link: Link) -> None:
        """Keep the references of a link that ended."""
        self._references[link.neighbour.key] = link.references
        while len(self._references) > REMEMBERED:
            del self._references[next(iter(self._references))]

    def _rate_limit(self, key: str) -> PeerRateLimit:
        """Return a neighbour's rate limit. It covers all its links, so that dialling again gains nothing."""
        if key not in self._rate_limits and len(self._rate_limits) >= MAX_RATE_LIMITS:
            del self._rate_limits[next(iter(self._rate_limits))]
        mask_bytes = max(layout.byte_size for layout in self._layouts.values())
        return self._rate_limits.setdefault(key, PeerRateLimit(mask_bytes))

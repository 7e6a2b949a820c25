"""Opens links with what both ends hold of each other's keep masks, and remembers it when they break."""

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
from dslnode.transport.rate_limit import PeerRateLimit
from dslnode.transport.traffic import Traffic

REMEMBERED = 100
"""Neighbours without a link whose copies are kept."""
MAX_RATE_LIMITS = 1_000


class LinkFactory:
    """``start`` is the keep mask that this node started from.

    A neighbour that lacks no more than the part ``send_threshold`` of what changed since then is sent no keep mask.
    """

    def __init__(self, me: NodeInfo, layouts: Layouts, start: Mask | None = None, send_threshold: float = 0.0) -> None:
        self._me = me
        self._layouts = layouts
        self._start = None if start is None else Reference(start)
        self._skip_below = send_threshold
        self._coder = EncodeCache()
        self._copies: dict[str, MaskReferences] = {}
        self._allowances: dict[str, PeerRateLimit] = {}

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
        """Return a new link; ``former`` is one to the same neighbour that may still go on for a moment."""
        known = former.copies if former is not None else self._copies.pop(neighbour.key, None)
        copies = (known or MaskReferences.of(self._start)).again(shared=self._me.starts_like(neighbour))
        keep_masks = MaskKind.KEEP in Exchange(self._me.exchange).kinds
        terms = LinkParameters(self._me.common_codecs(neighbour), keep_masks, self._skip_below)
        speaker, listener = FrameEncoder(copies, self._coder, terms), FrameDecoder(self._layouts, copies, terms)
        large = max(layout.size for layout in self._layouts.values()) > LARGE
        voice = FrameCodec(speaker, listener, copies, self._rate_limit(neighbour.key), large=large)
        return Link(stream, neighbour, voice, traffic, we_dialled=we_dialled, remote=remote)

    def _rate_limit(self, key: str) -> PeerRateLimit:
        """Return what a neighbour may send, the same over all its links, lest it gain by dialling anew."""
        if key not in self._allowances and len(self._allowances) >= MAX_RATE_LIMITS:
            del self._allowances[next(iter(self._allowances))]
        mask_bytes = max(layout.byte_size for layout in self._layouts.values())
        return self._allowances.setdefault(key, PeerRateLimit(mask_bytes))

    def remember(self, link: Link) -> None:
        """Keep what both ends hold for the next link."""
        self._copies[link.neighbour.key] = link.copies
        while len(self._copies) > REMEMBERED:
            del self._copies[next(iter(self._copies))]

"""Traffic: every byte is counted once, whatever links come and go."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dslnode.transport.traffic import GRPC_FRAMING, Flow, Traffic

sizes = st.integers(0, 2**40)


def test_nothing_was_moved_at_first() -> None:
    traffic = Traffic()
    assert traffic.sent == traffic.received == Flow()
    assert traffic.sent is not traffic.received
    assert traffic.sent.wire_bytes == traffic.sent.overhead_bytes == 0


def test_a_mask_counts_with_its_framing_and_its_payload_apart() -> None:
    flow = Flow()
    flow.count(100, mask=True, payload_bits=760)
    assert (flow.payload_bits, flow.mask_bytes, flow.control_bytes) == (760, 100 + GRPC_FRAMING, 0)


def test_a_control_message_counts_as_overhead() -> None:
    flow = Flow()
    flow.count(30, mask=False)
    assert (flow.payload_bits, flow.mask_bytes, flow.control_bytes) == (0, 0, 30 + GRPC_FRAMING)
    assert flow.overhead_bytes == flow.wire_bytes == 30 + GRPC_FRAMING


@given(st.lists(st.tuples(sizes, st.booleans()), max_size=20))
def test_without_the_kernel_the_wire_is_what_was_framed(messages: list[tuple[int, bool]]) -> None:
    flow = Flow()
    for size, mask in messages:
        flow.count(size, mask=mask)
    assert flow.wire_bytes == sum(size + GRPC_FRAMING for size, _ in messages)
    assert flow.overhead_bytes == sum(size + GRPC_FRAMING for size, mask in messages if not mask)


@given(st.lists(sizes, max_size=10), sizes)
def test_what_links_carried_adds_up_over_those_closed_and_the_open_one(closed: list[int], still_open: int) -> None:
    flow = Flow()
    for carried in closed:
        flow.open_link_bytes = carried
        before = flow.wire_bytes
        flow.close_link()
        assert flow.wire_bytes == before
        flow.close_link()
    flow.open_link_bytes = still_open
    assert flow.wire_bytes == sum(closed) + still_open


@given(sizes, sizes)
def test_the_wire_never_carries_less_than_was_framed(framed: int, kernel: int) -> None:
    flow = Flow(open_link_bytes=kernel)
    flow.count(framed, mask=True)
    assert flow.wire_bytes == max(kernel, framed + GRPC_FRAMING)
    assert flow.overhead_bytes >= 0

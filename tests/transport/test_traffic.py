"""Traffic: every byte is counted once, by its kind."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dslnode.accounting.ledger_messages import amounts_of
from dslnode.protocol.messages import MaskKind
from dslnode.transport.traffic import GRPC_FRAMING, Flow, Traffic

sizes = st.integers(0, 2**40)
kinds = st.sampled_from([None, *MaskKind])


def test_traffic_starts_at_zero() -> None:
    traffic = Traffic()
    assert traffic.sent == traffic.received == Flow()
    assert traffic.sent is not traffic.received
    assert traffic.sent.wire_bytes == traffic.sent.overhead_bytes == 0


def test_a_mask_counts_with_its_framing_and_its_payload_apart() -> None:
    flow = Flow()
    flow.count(100, MaskKind.KEEP, 760)
    assert (flow.payload_bits, flow.mask_bytes, flow.control_bytes) == (760, 100 + GRPC_FRAMING, 0)
    assert (amounts_of(flow).keep_bits, amounts_of(flow).keep_framing) == (760, 5 + GRPC_FRAMING)


def test_masks_of_both_kinds_are_told_apart() -> None:
    flow = Flow()
    flow.count(100, MaskKind.KEEP, 760)
    flow.count(50, MaskKind.SIGN, 320)
    amounts = amounts_of(flow)
    assert (amounts.keep_bits, amounts.sign_bits) == (760, 320)
    assert (amounts.keep_framing, amounts.sign_framing) == (5 + GRPC_FRAMING, 10 + GRPC_FRAMING)


def test_a_control_message_counts_as_overhead() -> None:
    flow = Flow()
    flow.count(30)
    assert (flow.payload_bits, flow.mask_bytes, flow.control_bytes) == (0, 0, 30 + GRPC_FRAMING)
    assert flow.overhead_bytes == flow.wire_bytes == 30 + GRPC_FRAMING


@given(st.lists(st.tuples(sizes, kinds), max_size=20))
def test_without_the_kernel_the_wire_is_what_was_framed(messages: list[tuple[int, MaskKind | None]]) -> None:
    flow = Flow()
    for size, kind in messages:
        flow.count(size, kind)
    assert flow.wire_bytes == sum(size + GRPC_FRAMING for size, _ in messages)
    assert flow.overhead_bytes == sum(size + GRPC_FRAMING for size, kind in messages if kind is None)


@given(sizes, sizes)
def test_the_wire_never_carries_less_than_was_framed(framed: int, kernel: int) -> None:
    flow = Flow(link_bytes=kernel)
    flow.count(framed, MaskKind.KEEP)
    assert flow.wire_bytes == max(kernel, framed + GRPC_FRAMING)
    assert flow.overhead_bytes >= 0


@given(
    st.lists(st.tuples(st.integers(0, 10_000), kinds, st.integers(0, 100)), max_size=20),
    st.integers(0, 10_000),
    st.integers(0, 10_000_000),
)
def test_the_ledgers_kinds_add_up_to_the_kernels_count(
    messages: list[tuple[int, MaskKind | None, int]], resent: int, more: int
) -> None:
    flow = Flow()
    for size, kind, coded in messages:
        flow.count(size + coded, kind, 8 * coded if kind else 0)
    flow.resent_bytes = resent
    flow.link_bytes = flow.mask_bytes + flow.control_bytes + resent + more
    assert amounts_of(flow).total == flow.link_bytes
    assert amounts_of(flow).transport == more

"""What the commands of a round machine have a node say, as messages: the learner makes them."""

from __future__ import annotations

from collections.abc import Iterator

from dslnode.learning.learner import Learner
from dslnode.protocol import events
from dslnode.protocol.messages import RoundMessage

ExchangeCommand = (
    events.SendMask | events.SendSignMasks | events.OpenExchange | events.Resynchronize | events.ForgetPeers
)


def messages_of(learner: Learner, command: ExchangeCommand) -> Iterator[tuple[str, RoundMessage]]:
    """Carry out a command of the exchange; yield whom to send what, in order."""
    match command:
        case events.SendMask(peer, message):
            yield peer, message
        case events.SendSignMasks(number, peers, keep_mask):
            steps = learner.make_steps(number, peers)
            for peer in peers:
                yield from ((peer, said) for said in (steps.get(peer), keep_mask) if said is not None)
        case events.OpenExchange(peer):
            yield peer, learner.open_exchange(peer)
        case events.Resynchronize(peer, state):
            yield from ((peer, lost) for lost in learner.resynchronize(peer, state))
        case events.ForgetPeers(peers):
            learner.forget(peers)

"""Carries masks from the learner to the links."""

from __future__ import annotations

from dslnode.protocol import events
from dslnode.protocol.messages import RoundMessage
from dslnode.runtime.learner_thread import LearnerThread
from dslnode.transport.connection_manager import ConnectionManager

ExchangeCommand = (
    events.SendMask | events.SendSignMasks | events.OpenExchange | events.Resynchronize | events.ForgetPeers
)


class MaskSender:
    """Executes the commands by which masks travel. What the learner must make first is awaited from its thread."""

    def __init__(self, learner: LearnerThread, connections: ConnectionManager) -> None:
        self._learner = learner
        self._connections = connections

    async def execute(self, command: ExchangeCommand) -> None:
        """Do what the round machine asked for; neighbours whose link is gone meanwhile are left out."""
        match command:
            case events.SendMask(peer, message):
                self._send(peer, message)
            case events.SendSignMasks(number, peers, keep_mask):
                messages = await self._learner.make_steps(number, peers)
                for peer in peers:
                    self._send(peer, messages.get(peer), keep_mask)
            case events.OpenExchange(peer):
                self._send(peer, await self._learner.open_exchange(peer))
            case events.Resynchronize(peer, state):
                self._send(peer, *await self._learner.resynchronize(peer, state))
            case events.ForgetPeers(peers):
                await self._learner.forget(peers)

    def _send(self, peer: str, *messages: RoundMessage | None) -> None:
        for message in messages:
            if message is not None:
                self._connections.send(peer, message)

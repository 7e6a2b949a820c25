"""Carries masks from the learner to the links."""

from __future__ import annotations

from dslnode.protocol import events
from dslnode.protocol.messages import RoundMessage
from dslnode.runtime.learner_thread import LearnerThread
from dslnode.transport.connection_manager import ConnectionManager

Sending = events.SendMask | events.SendSignMasks | events.OpenExchange | events.Resynchronize | events.ForgetPeers


class MaskSender:
    """Executes the commands by which masks travel; what the learner must make first is awaited from its thread."""

    def __init__(self, worker: LearnerThread, network: ConnectionManager) -> None:
        self._worker = worker
        self._network = network

    async def execute(self, command: Sending) -> None:
        """Do what the round machine asked for; neighbours whose link is gone meanwhile are left out."""
        match command:
            case events.SendMask(peer, message):
                self._send(peer, message)
            case events.SendSignMasks(number, peers, then):
                signs = await self._worker.make_steps(number, peers)
                for peer in peers:
                    self._send(peer, signs.get(peer), then)
            case events.OpenExchange(peer):
                self._send(peer, await self._worker.open_exchange(peer))
            case events.Resynchronize(peer, greeting):
                self._send(peer, *await self._worker.resynchronize(peer, greeting))
            case events.ForgetPeers(peers):
                await self._worker.forget(peers)

    def _send(self, peer: str, *words: RoundMessage | None) -> None:
        for word in words:
            if word is not None:
                self._network.send(peer, word)

"""Carries masks from the learner to the links."""

from __future__ import annotations

from dslnode.protocol import events
from dslnode.protocol.messages import Turn
from dslnode.runtime.learner_thread import Worker
from dslnode.transport.connection_manager import Network

Sending = events.Send | events.SendSigns | events.Greet | events.Meet | events.Forget


class Sender:
    """Executes the commands by which masks travel; what the learner must make first is awaited from its thread."""

    def __init__(self, worker: Worker, network: Network) -> None:
        self._worker = worker
        self._network = network

    async def execute(self, command: Sending) -> None:
        """Do what the round machine asked for; neighbours whose link is gone meanwhile are left out."""
        match command:
            case events.Send(peer, message):
                self._send(peer, message)
            case events.SendSigns(number, peers, then):
                signs = await self._worker.signs(number, peers)
                for peer in peers:
                    self._send(peer, signs.get(peer), then)
            case events.Greet(peer):
                self._send(peer, await self._worker.greeting(peer))
            case events.Meet(peer, greeting):
                self._send(peer, *await self._worker.meet(peer, greeting))
            case events.Forget(peers):
                await self._worker.forget(peers)

    def _send(self, peer: str, *words: Turn | None) -> None:
        for word in words:
            if word is not None:
                self._network.send(peer, word)

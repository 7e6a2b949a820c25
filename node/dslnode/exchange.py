"""Carries masks from the learner to the links: coded once for all neighbours that get the same."""

from __future__ import annotations

from dataclasses import replace

from dslnode import events
from dslnode.codec import CodedMask, encode
from dslnode.mask import Greeting, Mask, MaskKind, MaskMessage
from dslnode.transport.network import Network
from dslnode.worker import Worker

Sending = events.Send | events.SendSigns | events.Greet | events.Meet | events.Forget


class Sender:
    """Executes the commands by which masks travel; what the learner must make first is awaited from its thread."""

    def __init__(self, worker: Worker, network: Network) -> None:
        self._worker = worker
        self._network = network
        self._coded: dict[MaskKind, tuple[Mask, CodedMask]] = {}

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
                self._network.send(peer, await self._worker.greeting(peer))
            case events.Meet(peer, greeting):
                self._send(peer, *await self._worker.meet(peer, greeting))
            case events.Forget(peers):
                await self._worker.forget(peers)

    def _send(self, peer: str, *messages: MaskMessage | Greeting | None) -> None:
        for message in messages:
            if message is not None:
                self._network.send(peer, message if isinstance(message, Greeting) else self._code(message))

    def _code(self, message: MaskMessage) -> CodedMask:
        """Code a mask once for all neighbours; round and step are each message's own."""
        mask, coded = self._coded.get(message.kind, (None, None))
        if coded is None or mask is not message.mask:
            coded = encode(message)
            self._coded[message.kind] = (message.mask, coded)
        return replace(coded, round=message.round, step=message.step)

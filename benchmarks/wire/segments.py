"""Bytes on the wire for one coded mask between two network namespaces: interface counters, packets of 1,500 bytes."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys

from benchmarks.namespaces import Host, Hosts
from benchmarks.report import Row
from benchmarks.wire.sending import PATIENCE, WARM_UP, End, counted, series
from dslnode.cli.daemon_process import clean_environment
from dslnode.protocol.messages import MaskKind, MaskMessage
from dslnode.security.channels import PlainChannels
from dslnode.transport.dialer import keep_dialing

PORT = 7712
PAUSE, QUIET = 0.01, 1.0


def segment_row(coded_bytes: int, messages: int, *, stamps: bool = True) -> Row:
    """Send masks of about this many coded bytes one way; return bytes on the wire over them. Needs root.

    ``stamps``: with TCP time stamps, which take 12 bytes per packet.
    """
    with Hosts(2) as hosts:
        for host in hosts:
            setting = f"net.ipv4.tcp_timestamps={int(stamps)}"
            subprocess.run([*host.prefix, "sysctl", "-qw", setting], check=True)
        with _process(hosts[1], "receive", coded_bytes, messages) as receiving:
            try:
                return _measure(hosts, coded_bytes, messages)
            finally:
                receiving.terminate()


def _measure(hosts: list[Host], coded_bytes: int, messages: int) -> Row:
    with _process(hosts[0], "send", coded_bytes, messages, hosts[1].address) as sending:
        assert sending.stdin is not None
        assert sending.stdout is not None
        first = int(sending.stdout.readline())
        before = hosts[0].counters()
        sending.stdin.write("go\n")
        sending.stdin.flush()
        payload = (int(sending.stdout.readline()) - first) / 8
        after = hosts[0].counters()
        sending.terminate()
    sent, received = after.sent - before.sent, after.received - before.received
    return {
        "what": f"wire, packets of 1,500 bytes, messages of {payload / messages:,.0f} bytes",
        "coded_bytes": payload / messages,
        "wire_bytes": sent / messages,
        "answer_bytes": received / messages,
        "wire_over_coded": sent / payload,
        "both_ways_over_coded": (sent + received) / payload,
    }


def _process(host: Host, *words: object) -> subprocess.Popen[str]:
    command = [*host.prefix, sys.executable, "-m", "benchmarks.wire.segments", *map(str, words)]
    pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
    return subprocess.Popen(command, text=True, env=clean_environment(), stdin=pipe, stdout=pipe, stderr=nowhere)


async def _receive(coded_bytes: int, messages: int) -> None:
    end = End(2, series(coded_bytes, messages)[0])
    await end.server.listen(f"0.0.0.0:{PORT}")
    await asyncio.Event().wait()


async def _send(coded_bytes: int, messages: int, address: str) -> None:
    masks = series(coded_bytes, messages + WARM_UP)
    end, channels = End(1, masks[0]), PlainChannels(anywhere=True)
    dialling = asyncio.ensure_future(keep_dialing(end.network, f"{address}:{PORT}", random.Random(1), channels))
    async with asyncio.timeout(PATIENCE):
        await end.network.wait_until_linked(1)
    [key] = end.network.links
    for number, mask in enumerate(masks[1:]):
        if number == WARM_UP:
            await asyncio.sleep(QUIET)
            print(counted(end)[0], flush=True)
            await asyncio.to_thread(sys.stdin.readline)
        written = counted(end)[0]
        end.network.send(key, MaskMessage(number, MaskKind.KEEP, mask))
        while counted(end)[0] == written:  # the next one must not replace it
            await asyncio.sleep(PAUSE)
    await asyncio.sleep(QUIET)
    print(counted(end)[0], flush=True)
    dialling.cancel()


if __name__ == "__main__":
    what, size, count, *peer = sys.argv[1:]
    asyncio.run(_send(int(size), int(count), *peer) if what == "send" else _receive(int(size), int(count)))

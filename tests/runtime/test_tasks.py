"""Jobs and the alarm beside the event loop."""

import asyncio

from dslnode.runtime.tasks import BackgroundTasks, Timer


async def test_a_job_that_fails_is_told() -> None:
    told: list[BaseException] = []
    background = BackgroundTasks(told.append)

    async def fail() -> None:
        raise ValueError("broken")

    background.start(fail())
    assert not await background.settle(5)
    assert [str(error) for error in told] == ["broken"]


async def test_a_job_that_goes_on_is_said_to_run() -> None:
    background = BackgroundTasks(lambda _: None)
    goes_on = asyncio.Event()

    async def wait() -> None:
        await goes_on.wait()

    background.start(wait())
    assert await background.settle(0)
    goes_on.set()
    assert not await background.settle(5)


async def test_an_alarm_set_anew_rings_once_and_a_cancelled_one_never() -> None:
    alarm, rung = Timer(), asyncio.Queue[int]()
    alarm.set(0, lambda: rung.put_nowait(1))
    alarm.set(0, lambda: rung.put_nowait(2))
    async with asyncio.timeout(5):
        assert await rung.get() == 2
    alarm.set(0, lambda: rung.put_nowait(3))
    alarm.cancel()
    later = asyncio.Event()
    asyncio.get_running_loop().call_later(0.01, later.set)
    async with asyncio.timeout(5):
        await later.wait()
    assert rung.empty()

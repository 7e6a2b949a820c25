"""Steps in the background wait for requests that are being answered, and not for ever."""

from __future__ import annotations

import threading
import time

from dslnode.serving.priority import PredictionsFirst


def test_without_a_request_nobody_waits() -> None:
    began = time.monotonic()
    PredictionsFirst().give_way(60)
    assert time.monotonic() - began < 5


def test_a_step_waits_until_the_request_is_answered() -> None:
    first, order = PredictionsFirst(), list[str]()
    begun = threading.Event()

    def step() -> None:
        begun.set()
        first.give_way(60)
        order.append("step")

    with first.answering():
        thread = threading.Thread(target=step)
        thread.start()
        assert begun.wait(10)
        order.append("answer")
    thread.join(10)
    assert order == ["answer", "step"]


def test_under_an_endless_load_steps_go_on() -> None:
    first = PredictionsFirst()
    with first.answering():
        first.give_way(0.01)

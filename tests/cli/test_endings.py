"""A signal ends work in good order, with the exit code of that signal."""

from __future__ import annotations

import signal

import pytest

from dslnode.cli.endings import ENDINGS, signals_kept, until_stopped
from dslnode.errors import ExitCode


@pytest.mark.parametrize(("number", "code"), ENDINGS.items())
def test_a_signal_ends_the_work_and_then_means_what_it_did_before(number: signal.Signals, code: ExitCode) -> None:
    def work() -> ExitCode:
        signal.raise_signal(number)
        return ExitCode.DONE

    def own(_number: int, _frame: object) -> None:
        """Stand for the handler of whoever embeds us."""

    former = signal.signal(number, own)
    try:
        assert until_stopped(work) is code
        assert signal.getsignal(number) is own
    finally:
        signal.signal(number, former)


@signals_kept()
def load_in_vain() -> None:
    """Do what a library does that sets a handler of its own, and then fail."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    raise ValueError("no cluster")


def test_what_a_library_sets_is_put_back() -> None:
    def own(_number: int, _frame: object) -> None:
        """Stand for the handler of the command line."""

    former = signal.signal(signal.SIGTERM, own)
    try:
        with pytest.raises(ValueError, match="no cluster"):
            load_in_vain()
        assert signal.getsignal(signal.SIGTERM) is own
    finally:
        signal.signal(signal.SIGTERM, former)


def test_work_that_is_done_ends_as_it_says() -> None:
    assert until_stopped(lambda: ExitCode.PROBLEM) is ExitCode.PROBLEM


def test_a_signal_that_is_ignored_stays_so() -> None:
    def work() -> ExitCode:
        signal.raise_signal(signal.SIGHUP)
        return ExitCode.DONE

    former = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert until_stopped(work) is ExitCode.DONE
    finally:
        signal.signal(signal.SIGHUP, former)

"""Answers predictions of a model's file over HTTP until it is stopped: ``dslnode serve``."""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path

import typer
from prometheus_client import CollectorRegistry
from prometheus_client.process_collector import ProcessCollector

from dslnode.addresses import bracketed, check_address, host_and_port
from dslnode.cli.endings import ENDINGS
from dslnode.errors import ExitCode, SettingsError
from dslnode.inference.model_file import read_model
from dslnode.serving.service import PredictionService, ServingOptions, check_exposure


def serve_model(file: Path, options: ServingOptions) -> ExitCode:
    """Serve until a signal ends it; return the exit code. Raises a ``DslnodeError`` if it cannot start."""
    try:
        check_address(options.address)
    except ValueError as error:
        raise SettingsError(f"--address: {error}") from error
    check_exposure(options, option="--address", remedy="give --token-file FILE, or --ticket FILE for mutual TLS")
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    service = PredictionService(options, registry, failed=_report, own_metrics=True)
    model = read_model(file)
    service.replace(model)
    ended, code = threading.Event(), [ExitCode.TERMINATED]

    def end(number: int, _frame: object) -> None:
        code[0] = ENDINGS[signal.Signals(number)]
        ended.set()

    for number in ENDINGS:
        signal.signal(number, end)
    place = bracketed(host_and_port(options.address)[0], service.start())
    typer.echo(f"serving the model of round {model.round} at {service.scheme}://{place}/")
    sys.stdout.flush()
    ended.wait()
    service.stop()
    return code[0]


def _report(error: BaseException) -> None:
    """Log a fault of ours; the request got 500 already."""
    from dslnode.telemetry.logs import make_logger

    make_logger("text", "info", sys.stderr).error("internal error", exc_info=error)

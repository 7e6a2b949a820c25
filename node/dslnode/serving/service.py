"""Serves predictions: puts model, access, limits, metrics and sockets together, and starts and stops them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from dslnode.addresses import host_and_port, is_loopback
from dslnode.config.serving_limits import DEFAULT_LIMITS, Limits
from dslnode.errors import SettingsError
from dslnode.inference.personal_model import PersonalModelFile
from dslnode.serving.access import Access
from dslnode.serving.application import Application
from dslnode.serving.served_model import ModelSlot
from dslnode.serving.serving_metrics import ServingMetrics
from dslnode.telemetry.http_access import read_token


@dataclass(frozen=True, kw_only=True)
class ServingOptions:
    """Where and to whom predictions are served. With a ``ticket`` clients prove by theirs who they are (mutual TLS)."""

    address: str
    limits: Limits = DEFAULT_LIMITS
    token_file: Path | None = None
    ticket: Path | None = None
    revoked: Path | None = None


class PredictionService:
    """Answers nobody before ``start``, and with no model before the first ``replace``.

    ``failed`` is called with what is a fault of ours, in other threads. With ``own_metrics`` ``/metrics`` serves the
    registry. Raises ``SettingsError`` if anybody could ask, a file cannot be used, or a package is missing.
    """

    def __init__(
        self,
        options: ServingOptions,
        registry: CollectorRegistry,
        *,
        failed: Callable[[BaseException], None],
        own_metrics: bool = False,
    ) -> None:
        check_package()
        self._options = options
        self._failed = failed
        token = read_token_of(options)
        self._secure = None
        if options.ticket is not None:
            from dslnode.security.tls_sockets import TlsSockets

            self._secure = TlsSockets(options.ticket, options.revoked)
        self._metrics = ServingMetrics(registry)
        self._slot = ModelSlot()
        self._application = Application(
            self._slot,
            self._metrics,
            limits=options.limits,
            access=Access(token=token, host=options.address, own="" if self._secure is None else self._secure.own),
            exposition=(lambda: (generate_latest(registry), CONTENT_TYPE_LATEST)) if own_metrics else None,
        )
        self._stop: Callable[[], None] = _nothing

    @property
    def scheme(self) -> str:
        """How a URL of this service begins."""
        return "http" if self._secure is None else "https"

    def replace(self, model: PersonalModelFile) -> None:
        """Let another model answer from now on. Raises ``ModelError``, and keeps the former one, if it cannot."""
        self._slot.replace(model)
        self._metrics.round.set(model.round)

    def start(self) -> int:
        """Answer from threads of its own; return the port. Raises ``ListenError``."""
        from dslnode.serving.server import serve_predictions

        port, self._stop = serve_predictions(
            self._options.address,
            self._application,
            self._options.limits,
            secure=self._secure,
            count_closed=self._metrics.count_closed,
            failed=self._failed,
        )
        return port

    def stop(self) -> None:
        """Take no request any more, and let those end that are being answered, for a second at most."""
        self._stop()


def check_exposure(options: ServingOptions, *, option: str, remedy: str) -> None:
    """Raise ``SettingsError`` if anybody beyond this machine could ask. ``option`` names the address for people."""
    is_protected = options.token_file is not None or options.ticket is not None
    if not is_protected and not is_loopback(host_and_port(options.address)[0]):
        raise SettingsError(
            f"{option} {options.address} would answer any host that reaches this port; {remedy}, or stay on 127.0.0.1"
        )


def read_token_of(options: ServingOptions) -> str | None:
    """Return the token that clients must send, if there is one. Raises ``SettingsError`` if its file does not serve."""
    return None if options.token_file is None else read_token(options.token_file, is_private=True)


def check_package() -> None:
    """Raise ``SettingsError`` if the package that reads HTTP is not there."""
    try:
        import h11  # noqa: F401
    except ImportError as error:
        raise SettingsError(
            "serving predictions needs the package h11; install it with: pip install 'dslnode[serve]'"
        ) from error


def _nothing() -> None:
    pass

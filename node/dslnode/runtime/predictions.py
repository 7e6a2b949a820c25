"""Serves predictions of the node's best model beside its rounds; nothing of it is loaded unless it is asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from pathlib import Path
from typing import TYPE_CHECKING

from dslnode.config.serving_limits import Limits
from dslnode.config.settings import Settings
from dslnode.errors import ModelError, SettingsError, StateError
from dslnode.inference.model_header import Description
from dslnode.learning.results import AggregatedRound
from dslnode.runtime.learner_thread import LearnerThread
from dslnode.runtime.saved_models import saved_model
from dslnode.telemetry.logs import Logger
from dslnode.telemetry.recurring_problem import RecurringProblem

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from dslnode.serving.service import PredictionService, ServingOptions

TRAINING_NICE = 10
"""Niceness of training beside predictions, at least: on one processor they then get nine parts of ten."""
REMEDY = "give --serve-token-file FILE, or --serve-tls for mutual TLS"


class NodePredictions:
    """Hands the best model over between two rounds; requests that are being answered keep theirs."""

    def __init__(
        self, service: PredictionService, description: Description, *, settings: Settings, log: Logger
    ) -> None:
        self._service = service
        self._description = description
        self._settings = settings
        self._log = log
        self._is_serving = False
        self._problem = RecurringProblem("model not served", "model served again", log, _uncounted)

    @property
    def url(self) -> str:
        """Where people try the model."""
        return f"{self._service.scheme}://{self._settings.serve}/"

    async def start(self, saved: Path | None) -> None:
        """Answer from now on, with the best model in the state directory ``saved``. Raises ``ListenError``."""
        if saved is not None:
            await self._attempt(asyncio.to_thread(lambda: self._service.replace(saved_model(saved))))
        port = await asyncio.to_thread(self._service.start)
        self._log.info("serving predictions", address=self._settings.serve, port=port, scheme=self._service.scheme)

    async def aggregated(self, aggregated: AggregatedRound, learner: LearnerThread) -> None:
        """Let the best model answer if it is a new one, or none answers yet; where none is kept, the present one."""
        if aggregated.best is None or aggregated.best.is_new or not self._is_serving:
            await self._attempt(learner.hand_over_best(self._description, self._service.replace))

    async def _attempt(self, replacing: Awaitable[None]) -> None:
        try:
            await replacing
        except (ModelError, StateError) as error:
            self._problem.failed(str(error))
        else:
            self._problem.succeeded()
            self._is_serving = True

    async def stop(self) -> None:
        """Take no request any more, and let those end that are being answered."""
        await asyncio.to_thread(self._service.stop)


def serving_options(settings: Settings) -> ServingOptions | None:
    """Return where and to whom predictions are served; None if not at all. Raises ``SettingsError``."""
    if not settings.serve:
        return None
    from dslnode.serving.service import ServingOptions, check_exposure

    if settings.serve_tls and settings.ticket is None:
        raise SettingsError("--serve-tls needs a --ticket: clients prove by theirs who they are")
    options = ServingOptions(
        address=settings.serve,
        limits=Limits(
            head_bytes=settings.serve_max_header,
            body_bytes=settings.serve_max_body,
            rows=settings.serve_max_rows,
            clients=settings.serve_max_clients,
            seconds=settings.serve_timeout,
        ),
        token_file=settings.serve_token_file,
        ticket=settings.ticket if settings.serve_tls else None,
        revoked=settings.revoked if settings.serve_tls else None,
    )
    check_exposure(options, option="--serve", remedy=REMEDY)
    return options


def check_serving(settings: Settings) -> None:
    """Raise ``SettingsError`` if predictions could not be served, before anything else takes its time."""
    options = serving_options(settings)
    if options is None:
        return
    from dslnode.serving.service import check_package, read_token_of

    check_package()
    read_token_of(options)


def node_predictions(
    settings: Settings, description: Description, registry: CollectorRegistry, log: Logger
) -> NodePredictions | None:
    """Return what serves predictions, if that is asked for."""
    options = serving_options(settings)
    if options is None:
        return None
    from dslnode.serving.service import PredictionService

    service = PredictionService(options, registry, failed=lambda error: log.error("prediction failed", exc_info=error))
    return NodePredictions(service, description, settings=settings, log=log)


def check_can_answer(description: Description) -> None:
    """Raise ``ModelError`` if a model needs torch and its own code to answer."""
    if not description.operations:
        raise ModelError(
            f"--serve: the model {description.model!r} cannot answer without torch and its own code; leave --serve out,"
            " or use a built-in model"
        )


def _uncounted() -> None:
    """Count nothing: the log says it, and no metric."""

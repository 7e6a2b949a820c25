"""When a node's best model answers, and what of the settings its server gets."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
import structlog
from structlog.testing import capture_logs

from dslnode.config.settings import Settings
from dslnode.errors import ModelError, SettingsError
from dslnode.learning.results import AggregatedRound, Best
from dslnode.runtime.predictions import NodePredictions, check_can_answer, check_serving, serving_options
from tests.inference.test_model_file import DESCRIPTION, described

TOKEN = "correct-horse-battery"


class Service:
    """Notes what it is told to serve."""

    scheme = "http"

    def __init__(self) -> None:
        self.served: list[object] = []
        self.problem = ""

    def replace(self, model: object) -> None:
        if self.problem:
            raise ModelError(self.problem)
        self.served.append(model)


class Thread:
    """Hands over a model in name only."""

    async def hand_over_best(self, description: object, take: Any) -> None:
        assert description is DESCRIPTION
        take("model")


def aggregated(best: Best | None) -> AggregatedRound:
    return AggregatedRound({}, None, 1.0, 0, 1.0, best)


def predictions(service: Service) -> NodePredictions:
    settings = Settings(serve="127.0.0.1:8711")
    return NodePredictions(cast(Any, service), DESCRIPTION, settings=settings, log=structlog.get_logger())


@pytest.mark.parametrize(
    ("best", "served"), [(Best(3, 0.9, True), 1), (Best(3, 0.9, False), 0), (None, 1)], ids=["new", "old", "none"]
)
async def test_a_new_best_model_is_handed_over_and_without_one_the_present(best: Best | None, served: int) -> None:
    service = Service()
    serving = predictions(service)
    await serving.aggregated(aggregated(None), cast(Any, Thread()))
    await serving.aggregated(aggregated(best), cast(Any, Thread()))
    assert len(service.served) == 1 + served


async def test_the_first_answer_waits_for_no_better_model() -> None:
    service = Service()
    serving, old = predictions(service), aggregated(Best(0, 0.9, False))
    for _ in range(2):
        await serving.aggregated(old, cast(Any, Thread()))
    assert len(service.served) == 1, "the untrained model may be the best one for long"


async def test_a_model_that_cannot_be_served_is_logged_once_and_rounds_go_on() -> None:
    service = Service()
    with capture_logs() as logs:
        serving = predictions(service)
        for problem in ("is damaged", "is damaged", ""):
            service.problem = problem
            await serving.aggregated(aggregated(None), cast(Any, Thread()))
    assert [line["event"] for line in logs] == ["model not served", "model served again"]


async def test_the_url_is_that_of_the_page() -> None:
    assert predictions(Service()).url == "http://127.0.0.1:8711/"


def test_without_an_address_nothing_is_served() -> None:
    assert serving_options(Settings()) is None
    check_serving(Settings())


def test_the_settings_bound_what_clients_may_ask(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    settings = Settings(
        serve="0.0.0.0:8711",
        serve_token_file=token,
        serve_max_body=1,
        serve_max_header=2_048,
        serve_max_rows=3,
        serve_max_clients=4,
        serve_timeout=5,
    )
    check_serving(settings)
    options = serving_options(settings)
    assert options is not None
    assert options.ticket is None
    limits = options.limits
    assert (limits.body_bytes, limits.head_bytes, limits.rows, limits.clients, limits.seconds) == (1, 2_048, 3, 4, 5)


def test_what_would_answer_anybody_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"--serve 0.0.0.0:1 would answer any host .* --serve-token-file FILE"):
        check_serving(Settings(serve="0.0.0.0:1"))
    with pytest.raises(SettingsError, match="--serve-tls needs a --ticket"):
        check_serving(Settings(serve="127.0.0.1:1", serve_tls=True))
    with pytest.raises(SettingsError, match="cannot be read"):
        check_serving(Settings(serve="0.0.0.0:1", serve_token_file=tmp_path / "absent"))


def test_a_model_of_its_own_code_is_refused() -> None:
    check_can_answer(DESCRIPTION)
    with pytest.raises(ModelError, match="--serve: the model 'mlp' cannot answer without torch and its own code"):
        check_can_answer(described(base=DESCRIPTION, **{"operations": ()}))

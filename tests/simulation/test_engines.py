"""An engine is chosen by name; options of another one are refused."""

from __future__ import annotations

import pytest

from dslnode.errors import SettingsError
from dslnode.simulation.engines import Engine, EngineName
from dslnode.simulation.local_shards import LocalShards
from dslnode.simulation.windows import Job
from tests.simulation.networks import simulation


def test_this_process_is_the_usual_engine() -> None:
    shards = Engine().start(Job(simulation().prepared, lambda _: None))
    assert isinstance(shards, LocalShards)
    assert list(shards.build()) == [1, 2, 3, 4, 5, 6]
    assert len(shards.shards) == 1


@pytest.mark.parametrize("engine", [{"shards": 2}, {"ray_address": "10.0.0.1:6379"}])
def test_options_of_ray_without_ray_are_refused(engine: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match="add that, or leave them out"):
        Engine(name=EngineName.LOCAL, **engine)  # type: ignore[arg-type]

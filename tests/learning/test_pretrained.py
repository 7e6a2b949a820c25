"""A pretrained network in place of the seeded one: what masks start from, what is refused, what a file holds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from torch import Tensor, nn

from dslnode.cli.model_view import show_difference, show_model
from dslnode.data.dataset import DataSet, load_data_set
from dslnode.data.partition import partition
from dslnode.errors import ModelError
from dslnode.inference.model_file import pack, unpack
from dslnode.inference.onnx_model import onnx_model
from dslnode.inference.predictor import Predictor
from dslnode.learning.learner import Learner
from dslnode.learning.masking import from_mask
from dslnode.learning.model_description import describe_model, personal_model
from dslnode.learning.models import mlp
from dslnode.learning.options import InitializationOptions, TrainingOptions
from dslnode.learning.pretrained import SPREAD, PretrainedNetwork, read_pretrained, starting_scores
from dslnode.learning.warm_start import begin_from
from dslnode.protocol.mask import MaskLayer

BODY = np.asarray(np.random.default_rng(1).normal(size=(256, 64)) / 8, dtype=np.float32)
BASE = PretrainedNetwork({"1.weight": BODY})
ORIGIN = InitializationOptions(network_seed=1, node_seed=2)


class Normed(nn.Module):
    """Has parameters that no mask is for."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.norm, self.head = nn.Linear(64, 32), nn.BatchNorm1d(32), nn.Linear(32, 10)

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.head(torch.relu(self.norm(self.body(images.flatten(1)))))
        return found


@pytest.fixture(scope="module")
def digits() -> DataSet:
    return partition(load_data_set("digits"), share=(1, 4), seed=1)


def learner_of(data: DataSet, base: PretrainedNetwork | None = BASE, keep_ratio: float = 0.8) -> Learner:
    model, start = mlp(data.input_shape, data.output_count), replace(ORIGIN, pretrained_keep_ratio=keep_ratio)
    return Learner(model, data, TrainingOptions(local_steps=10), start, pretrained=base)


def test_the_first_mask_keeps_the_largest_weights_and_other_layers_are_seeded(digits: DataSet) -> None:
    learner = learner_of(digits, keep_ratio=0.75)
    seeded = learner_of(digits, None)
    body, head = (span for _, span in learner.layout.spans())
    assert torch.equal(learner.network.weights[body], torch.from_numpy(BODY.ravel()))
    assert torch.equal(learner.network.weights[head], seeded.network.weights[head])
    keep = from_mask(learner.mask).bool()[body]
    sizes = learner.network.weights[body].abs()
    assert float(sizes[keep].min()) >= float(sizes[~keep].max())
    assert learner.mask.layer_counts()[0] == round(0.75 * BODY.size)
    assert learner.mask.layer_counts()[1] == seeded.mask.layer_counts()[1]


def test_pretrained_weights_that_are_kept_keep_their_size(digits: DataSet) -> None:
    learner = learner_of(digits)
    (_, body), (_, head) = learner.layout.spans()
    assert learner.options.power > 0
    for _ in range(2):
        learner.train_round()
        factors = learner.form.factors
        assert set(factors[body].tolist()) == {0.0, 1.0}
        assert len(factors[head].unique()) > 2, "seeded weights are graded"


def test_starting_scores_are_ranks_spread_as_seeded_ones_are() -> None:
    layer = MaskLayer("a", (2, 3))
    scores = starting_scores(layer, np.array([[3, -1, 0.5], [-2, 0, 1]], np.float32))
    assert scores.argsort().tolist() == [4, 2, 1, 5, 3, 0]
    assert float(np.abs(scores).max()) == pytest.approx(SPREAD * 5 / 6 / np.sqrt(3))
    assert float(scores.sum()) == pytest.approx(0, abs=1e-6)


def test_it_learns_and_goes_on_after_a_restart(digits: DataSet) -> None:
    learner = learner_of(digits)
    for _ in range(4):
        learner.train_round()
        learner.aggregate([])
    again = learner_of(digits)
    again.restore(learner.state())
    assert again.mask == learner.mask
    score = learner.score()
    assert score is not None
    assert score > 0.7
    assert again.score() == score


def test_nodes_of_one_network_know_each_other_and_no_others(digits: DataSet) -> None:
    other = PretrainedNetwork({"1.weight": BODY + np.float32(1e-6)})
    prints = {learner_of(digits, base).fingerprint for base in (BASE, PretrainedNetwork(dict(BASE.tensors)))}
    assert len(prints) == 1
    assert len(prints | {learner_of(digits, base).fingerprint for base in (other, None)}) == 3


def test_what_is_not_masked_starts_from_the_file(digits: DataSet) -> None:
    model = Normed()
    nn.init.constant_(model.norm.weight, 3.0)
    base = PretrainedNetwork(
        {name: tensor.float().numpy() for name, tensor in model.state_dict().items() if tensor.ndim}
    )
    learner = Learner(Normed(), digits, pretrained=base)
    assert torch.equal(learner.network.local_parameters["norm.weight"].detach(), torch.full((32,), 3.0))


@pytest.mark.parametrize("best", [True, False])
def test_a_model_s_file_holds_the_kept_weights_themselves(digits: DataSet, best: bool) -> None:
    learner = learner_of(digits)
    for _ in range(3):
        learner.train_round()
        score = learner.score()
        assert score is not None
        learner.keep_if_best(score)
    if not best:
        learner.best = None
    file = unpack(pack(personal_model(learner, describe_model(learner, model="mlp"), best=best)))
    found = Predictor(file).outputs(digits.train.stored)
    with torch.no_grad():
        expected = learner.export()(torch.from_numpy(digits.train.images)).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("tensors", "complaint"),
    [
        ({"1.weight": BODY[:, :9]}, r"1.weight of the shape \(256, 9\) has the shape \(256, 64\) in the model"),
        ({"2.weight": BODY}, r"2.weight of the shape \(256, 64\) is no parameter of the model; .*--leave-out 2.weight"),
        ({}, "no weights of a layer that masks choose among"),
    ],
)
def test_another_network_is_refused(digits: DataSet, tensors: dict[str, np.ndarray], complaint: str) -> None:
    with pytest.raises(ModelError, match=complaint):
        learner_of(digits, PretrainedNetwork(tensors))


def test_a_file_is_read_as_it_was_written_and_refused_if_it_is_none(tmp_path: Path) -> None:
    path = tmp_path / "base.safetensors"
    save_file({"1.weight": BODY.astype(np.float16)}, path)
    assert np.array_equal(read_pretrained(path).tensors["1.weight"], BODY.astype(np.float16))
    save_file({"1.weight": BODY}, path)
    assert read_pretrained(path).digest == BASE.digest
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(ModelError, match="is no safetensors file"):
        read_pretrained(path)
    with pytest.raises(ModelError, match=r"cannot be read .*dslnode freeze"):
        read_pretrained(tmp_path / "absent")
    save_file({"1.weight": np.full((2, 2), np.nan, np.float32)}, path)
    with pytest.raises(ModelError, match=r"1\.weight holds what is no finite number"):
        read_pretrained(path)


def test_what_needs_a_mask_is_refused_for_a_model_that_holds_weights(digits: DataSet) -> None:
    learner = learner_of(digits)
    learner.train_round()
    description = describe_model(learner, model="mlp")
    file = personal_model(learner, description, best=False)
    with pytest.raises(ModelError, match="--from: a node over a pretrained network cannot begin with a file"):
        begin_from(learner, description, file)
    pytest.importorskip("onnxruntime")
    with pytest.raises(ModelError, match="int8 does not hold exactly; use --format onnx"):
        onnx_model(file, digits.train.stored[:2].astype(np.float32), int8=True)


def test_its_file_is_described_by_the_weights_that_it_holds(
    digits: DataSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    learner = learner_of(digits)
    path = tmp_path / "m.dslm"
    path.write_bytes(pack(personal_model(learner, describe_model(learner, model="mlp"), best=False)))
    show_model(path, as_json=False)
    assert "weights        18,944, held as they are: over a pretrained network" in capsys.readouterr().out
    with pytest.raises(ModelError, match="hold weights of a pretrained network; only masks can be compared"):
        show_difference(path, path)

"""One node's learner: owns model, state, data and random numbers; synchronous, and knows no network.

A round is: ``train_round`` (``mask`` and ``make_steps`` then give what to send), then ``aggregate`` with what the
neighbours sent. ``mask`` is then the personal model's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from dslnode.data.dataset import DataSet
from dslnode.errors import ModelError
from dslnode.inference.personal_model import PersonalModelFile
from dslnode.inference.saved_arrays import LOCAL, model_arrays
from dslnode.learning import aggregation, masking, state_arrays
from dslnode.learning.answer_units import answer_tensors
from dslnode.learning.batches import Batches, ExampleTensors, minibatches
from dslnode.learning.best_model import BestScore, KeptModel
from dslnode.learning.collaboration import Verdict
from dslnode.learning.device import torch_device
from dslnode.learning.evaluation import never
from dslnode.learning.export import ModelParts, PersonalModel, bake, model_parts
from dslnode.learning.fine_tuning import fine_tuned
from dslnode.learning.frozen_network import fingerprint
from dslnode.learning.group_sparsity import check_channels_can_shrink
from dslnode.learning.initial_masks import InitialMasks
from dslnode.learning.initialization import frozen_network, initial_state
from dslnode.learning.local_training import train_locally
from dslnode.learning.model_building import build_model
from dslnode.learning.model_check import check_model
from dslnode.learning.options import DEFAULT_TRAINING, InitializationOptions, TrainingOptions
from dslnode.learning.personal_form import PersonalForm, personal_form
from dslnode.learning.personal_judge import JUDGED_EXAMPLES, PersonalJudge
from dslnode.learning.personal_mask import aggregation_tensor, choose_mask
from dslnode.learning.pretrained import PretrainedNetwork
from dslnode.learning.pruning import prune_dead_units
from dslnode.learning.results import Baseline, HeldOut, Progress
from dslnode.learning.rng import generator, torch_draws
from dslnode.learning.score_consensus import ScoreConsensus
from dslnode.learning.state import LearnerState
from dslnode.learning.tasks.chosen import learning_task
from dslnode.learning.warm_scores import warm_scores
from dslnode.protocol.events import NeighbourMasks
from dslnode.protocol.mask import Mask, MaskLayout
from dslnode.protocol.messages import ExchangeState, MaskKind, MaskMessage, RoundMessage

PROBE_EXAMPLES = 32  # training images by which the exported model is checked
NO_NUMBER = -1


class Learner:
    """Learns one node's mask. Not thread-safe: one thread owns it.

    ``model`` is an ``nn.Module`` or the name of one (``"mlp"``, ``"module:function"``), ``data`` the part of a data
    set that this node holds. ``seed`` is that of the frozen network; nodes of a run share it. More is set by
    ``initialization``, whose seeds then count. ``pretrained`` takes the place of seeded weights. Raises ``ModelError``
    if the model has nothing to mask, or does not fit the data or the pretrained network, ``SettingsError`` if a
    keep-ratio pattern matches no layer, or there is no such device.
    """

    def __init__(
        self,
        model: nn.Module | str,
        data: DataSet,
        options: TrainingOptions = DEFAULT_TRAINING,
        initialization: InitializationOptions | None = None,
        *,
        seed: int = 1,
        pretrained: PretrainedNetwork | None = None,
    ) -> None:
        start = initialization or InitializationOptions(network_seed=seed, node_seed=seed)
        if isinstance(model, str):
            model = build_model(model, data, start.network_seed)
        self.task = learning_task(data, options.uneven_classes)
        model, layout = check_model(model, data, self.task, options.batch_size)
        if options.group_lasso:
            check_channels_can_shrink(model)
        self.options = options
        self.data = data
        self.initialization = start
        self._take_examples()
        self.pretrained = pretrained
        device = torch_device(options.device)
        self.network = frozen_network(model, layout, start, data, self.task, pretrained=pretrained, device=device)
        self._initial_masks = InitialMasks(layout, start.network_seed, pretrained)
        self._state = initial_state(self.network, start, pretrained)
        self._consensus = ScoreConsensus(self.network, self._state.scores, options.send_threshold)
        self._round = NO_NUMBER
        self._best_score = BestScore()
        self.best: KeptModel | None = None
        self.threshold: float | None = None
        self._keep: Tensor
        self._form: PersonalForm | None
        self._update_mask()
        self.initial_mask = self.mask

    def _take_examples(self) -> None:
        """Make tensors of the data: to train on, to measure the score on, and to judge an aggregation by."""
        train, held_out = self.data.train, self.data.held_out
        self._examples = ExampleTensors.of(train, self.task.targets(train))
        self._judge = None if held_out is None else PersonalJudge.of(held_out, self.task)
        adaptive = self.options.adaptive_collaboration
        self._aggregation_judge = self._judge.thinned(JUDGED_EXAMPLES) if self._judge and adaptive else None

    @property
    def layout(self) -> MaskLayout:
        """What the bits of this node's keep masks stand for."""
        return self.network.layout

    @property
    def layouts(self) -> dict[MaskKind, MaskLayout]:
        """What the bits of each kind of mask stand for: weights, or scores."""
        return {MaskKind.KEEP: self.network.layout, MaskKind.SIGN: self.network.score_layout}

    @property
    def mask(self) -> Mask:
        """The node's newest mask M."""
        return self._mask

    @property
    def form(self) -> PersonalForm:
        """The personal model's form: the frozen network under it is the personal model."""
        if self._form is None:
            tensor = aggregation_tensor(self.network, self._state, self.options)
            self._form = personal_form(
                self.network, tensor, self._keep, self._mask, self.options, channels=self._state.channels
            )
        return self._form

    @property
    def collaboration_weight(self) -> float:
        """How far the node leans on its neighbours, 0 to 1."""
        return self._state.collaboration_weight

    @property
    def restarts(self) -> int:
        """How often the replicas shared with a neighbour had to be reset."""
        return self._consensus.resets

    @cached_property
    def fingerprint(self) -> bytes:
        """16 bytes equal exactly where two nodes hold the same frozen network."""
        pretrained = b"" if self.pretrained is None else self.pretrained.digest
        return fingerprint(self.layout, self.network.score_layout, self.initialization.network_seed, pretrained)

    def train_round(self, number: int | None = None, stop: Callable[[], bool] = never) -> Progress:
        """Run the local steps of a round, of the next one if no ``number`` is given (paper, step 4).

        If ``stop`` ends it early, ``steps`` of the result is short. Raises ``ModelError`` if no loss was finite.
        """
        self._round = self._round + 1 if number is None else number
        batches = self._batches("local training")
        with torch_draws("local training", self.initialization.node_seed, self._round):
            progress = train_locally(self.network, self._state, self.task, self.options, batches, stop=stop)
        self._consensus.has_learned = True
        self._update_mask()
        return progress

    def open_exchange(self, neighbour: str) -> ExchangeState:
        """Return what this node knows of a neighbour's scores: the first message on every new link."""
        return self._consensus.open_exchange(neighbour)

    def resynchronize(self, neighbour: str, state: ExchangeState) -> list[MaskMessage]:
        """Take in what a neighbour knows of this node's scores; return the sign masks that it lost."""
        return self._consensus.resynchronize(neighbour, state)

    def replica_of(self, neighbour: str) -> Tensor:
        """Return what this node knows of a neighbour's scores, (scores,); the seeded ones before its first step."""
        return self._consensus.replica_of(neighbour)

    def make_steps(self, round_number: int, neighbours: Iterable[str]) -> dict[str, RoundMessage]:
        """Return the sign mask to send to each neighbour that keeps up (paper, step 5)."""
        return self._consensus.make_steps(round_number, self._state.scores, neighbours)

    def forget(self, neighbours: Iterable[str]) -> None:
        """Drop what is kept of the scores of neighbours that are gone for good."""
        self._consensus.forget(neighbours)

    def aggregate(self, neighbours: Sequence[NeighbourMasks | Mask]) -> dict[str, Mask]:
        """Take in what neighbours sent in this round; return their keep masks, by neighbour, however they count.

        Scores move towards those of neighbours that sent sign masks (step 5). Keep masks, sent or implied, make the new
        neighbour mean (step 1), by which the state is fine-tuned (step 6). Without any mask the mean stays. What makes
        the personal model worse on held-out data is undone in the mask, and the node then leans less on its neighbours.
        A bare ``Mask`` stands for a neighbour that sent just this keep mask.
        """
        sent = [_as_sent(item, place) for place, item in enumerate(neighbours)]
        before, judge = self._state, self._aggregation_judge if sent else None
        answers = None if judge is None else judge.answers(self.network, self.form)
        self._state = self._after_consensus(before, sent)
        masks = self._weighted_masks(sent)
        if masks:
            self._state = self._after_masks(self._state, list(masks.values()))
        self._update_mask()
        if judge is not None and answers is not None:
            self._follow(judge.verdict(answers, self.network, self.form, before.collaboration_weight), before)
        return {peer: mask for peer, (mask, _) in masks.items()}

    @cached_property
    def baselines(self) -> tuple[Baseline, ...]:
        """Simple predictors made from this node's training examples, with their scores on its held-out ones."""
        held_out = self.data.held_out
        return () if held_out is None else self.task.baselines(self.data.train, held_out)

    def score(self, stop: Callable[[], bool] = never) -> float | None:
        """Return the personal model's score on held-out data; None if the node has none, or ``stop`` said so.

        Higher is better; ``task.score_name`` says which score it is.
        """
        return None if self._judge is None else self._judge.score(self.network, self.form, stop)

    def judge(self, stop: Callable[[], bool] = never) -> HeldOut | None:
        """Return the score with all other figures and the baselines; None where there is no score."""
        found = None if self._judge is None else self._judge.judge(self.network, self.form, stop)
        if found is None:
            return None
        self.threshold = found.threshold
        form = "binary" if self.form.levels is None else self.options.personal
        return replace(found, form=form, baselines=self.baselines)

    def keep_if_best(self, score: float, finished: int | None = None) -> bool:
        """Take in a held-out score of the present model; return whether it is the best so far, which is then kept.

        ``finished`` counts the finished rounds; by default those that ``train_round`` began. With ``keep`` set to last
        none is kept.
        """
        number = self._round + 1 if finished is None else finished
        if self.options.keep == "last" or not self._best_score.add(score, trained=number > 0):
            return False
        self.best = KeptModel(number, score, self.form, self.local_tensors())
        return True

    def export(self) -> PersonalModel:
        """Return the personal model as a plain module for evaluation, its answers this node's.

        It is the best one where one is kept, else the present one. Its form is baked into its weights, and it is
        smaller by the units that the mask left dead.
        """
        form, local = (self.form, self.local_tensors()) if self.best is None else (self.best.form, self.best.local)
        baked = bake(self.network.model, self.network.weights, form)
        baked.load_state_dict(dict(local), strict=False)
        images, _ = self._examples.at(slice(PROBE_EXAMPLES))
        centre, scale = self.task.original_units()
        return PersonalModel(prune_dead_units(baked, images), self.network.logit_offset, centre, scale).eval()

    def state(self) -> dict[str, np.ndarray]:
        """Return copies of all that a checkpoint must hold, as arrays by name."""
        parts = self.parts_of(self.form)
        kept = {LOCAL + name: tensor for name, tensor in {**parts.kept, **self.answer_tensors}.items()}
        own = model_arrays(parts.packed, parts.levels)
        return {**state_arrays.to_arrays(self.network, self._state), **kept, **own}

    @property
    def answer_tensors(self) -> dict[str, np.ndarray]:
        """What a file must hold of the units in which classes are answered (`answer_units`)."""
        return answer_tensors(self.task, self.data.output_count)

    def parts_of(self, form: PersonalForm) -> ModelParts:
        """Return what a file must hold of a form of this learner's model."""
        return model_parts(self.network, form, seeded=self.pretrained is None)

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Go on from what ``state`` returned; ``StateError`` if it was made for another model."""
        self._state = state_arrays.from_arrays(self.network, arrays)
        self._consensus.has_learned = self._state.steps > 0
        self._update_mask()

    def begin_from(self, file: PersonalModelFile) -> float:
        """Begin with the mask and the local tensors of a model's file; return the part of the mask that scores imply.

        That is 1, unless weights share scores. Until the first local steps the mask is the file's in any case, and it
        is kept as the best so far. The file must be of the same network (`warm_start`). Raises ``ModelError`` if its
        tensors do not fit.
        """
        wanted = file.mask.astype(bool)
        scores = warm_scores(self.network, wanted, self.initialization.network_seed, signed=self.options.signed_scores)
        local = {name: torch.from_numpy(np.array(tensor)) for name, tensor in file.tensors.items()}
        try:
            self.network.model.load_state_dict(local, strict=False)
        except RuntimeError as error:
            raise ModelError(f"--from: the tensors of the model do not fit: {error}; export it again") from error
        self._state = replace(self._state, scores=scores, average=scores.clone())
        self._consensus.has_learned = True
        if self.options.group_lasso:
            self._state.channels.drop_empty(torch.from_numpy(wanted), self.layout)
        self._update_mask()
        implied = float(np.mean(self._keep.numpy() == wanted))
        self._keep = torch.from_numpy(wanted)
        self.threshold = file.threshold
        self._mask = masking.to_mask(self._keep, self.layout)
        self._form = PersonalForm(self._mask, file.levels)
        score = self.score()
        if score is not None:
            self.keep_if_best(score, 0)
        return implied

    def _after_consensus(self, state: LearnerState, sent: Sequence[NeighbourMasks]) -> LearnerState:
        for neighbour in sent:
            for message in neighbour.signs:
                self._consensus.apply_step(neighbour.peer, message)
        step_size = aggregation.consensus_step_size(self.options, state.collaboration_weight, len(self._examples))
        peers = [neighbour.peer for neighbour in sent if neighbour.signs]
        return state.moved_by(self._consensus.consensus_step(peers, step_size, self.options.robust_aggregation))

    def _weighted_masks(self, sent: Sequence[NeighbourMasks]) -> dict[str, masking.WeightedMask]:
        """Return the neighbours' keep masks, as sent or as implied by their replicas, with their weights."""
        masks = {}
        for neighbour in sent:
            mask = neighbour.mask
            if mask is None:
                mask = self._consensus.implied_mask(neighbour.peer)
            if mask is not None:
                masks[neighbour.peer] = (mask, aggregation.staleness_weight(neighbour.staleness))
        return masks

    def _after_masks(self, state: LearnerState, masks: Sequence[masking.WeightedMask]) -> LearnerState:
        initial = self._initial_masks if self.options.mask_novelty else None
        of_counts = None if initial is None else initial.mask
        trusted = aggregation.robust_masks(masks, of_counts, self.options.robust_aggregation)
        mean = aggregation.neighbour_mean(self.layout, trusted)
        news = mean if initial is None else aggregation.mask_novelty(mean, trusted, initial)
        state = aggregation.with_neighbour_mean(state, news, self.options.mean_ema_decay)
        with torch_draws("fine-tuning", self.initialization.node_seed, self._round):
            return fine_tuned(self.network, state, mean, self.task, self.options, batches=self._batches("fine-tuning"))

    def _follow(self, verdict: Verdict, before: LearnerState) -> None:
        """Keep what aggregation did to the mask if it is accepted; the moved scores are kept in any case."""
        self._state = replace(self._state, collaboration_weight=verdict.weight)
        if not verdict.accepted:
            self._state = replace(self._state, average=before.average, neighbour_mean=before.neighbour_mean)
            self._update_mask()

    @property
    def finished_rounds(self) -> int:
        """How many rounds have been trained, by their numbers."""
        return self._round + 1

    def local_tensors(self) -> dict[str, Tensor]:
        """Return copies of what is neither frozen nor masked, nor tied to what is."""
        model = self.network.model
        masked = {model.get_parameter(layer.name).data_ptr() for layer in self.layout.layers}
        return {
            name: own.to("cpu", copy=True) for name, own in model.state_dict().items() if own.data_ptr() not in masked
        }

    def _update_mask(self) -> None:
        tensor = aggregation_tensor(self.network, self._state, self.options)
        self._keep = choose_mask(self.network, tensor, self._state.channels, self.options)
        self._mask = masking.to_mask(self._keep, self.layout)
        self._form = None

    def _batches(self, purpose: str) -> Batches:
        draws = generator(purpose, self.initialization.node_seed, self._round)
        return minibatches(self._examples, self.options.batch_size, draws)


def _as_sent(item: NeighbourMasks | Mask, place: int) -> NeighbourMasks:
    return NeighbourMasks(f"neighbour {place}", item, (), 0) if isinstance(item, Mask) else item

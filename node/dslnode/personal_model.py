"""The personal model as a node hands it out: a plain module that answers for the node's own classes."""

from __future__ import annotations

from torch import Tensor, nn


class PersonalModel(nn.Module):
    """A model whose logits are shifted by a constant a class: those that the node does not answer never win."""

    def __init__(self, model: nn.Module, logit_offset: Tensor) -> None:
        super().__init__()
        self.model = model
        self.logit_offset: Tensor
        self.register_buffer("logit_offset", logit_offset.clone())

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the logits, shape ``(batch, classes)``."""
        logits: Tensor = self.model(inputs)
        return logits + self.logit_offset

"""What a judge has to tell from an item: a class, tags or numbers, whichever of them the items have.

label        (N,) class numbers   cross-entropy             answer: (N, C) probabilities
attributes   (N, k) of 0 to 1     cross-entropy of each     answer: (N, k) probabilities
vector       (N, k) standardised  squared error / 2         answer: (N, k) the numbers
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, final

import torch
from torch import Tensor
from torch.nn import functional as F

from ectype.data.data import Condition
from ectype.errors import DataError
from ectype.kinds import Kind
from ectype.kinds.attributes import Attributes
from ectype.kinds.label import Label
from ectype.kinds.vector import Vector


class _Sort(NamedTuple):
    nats: Callable[[Tensor, Tensor], Tensor]
    answer: Callable[[Tensor], Tensor]


_SORTS: dict[type[Kind], _Sort] = {
    Label: _Sort(lambda o, v: F.cross_entropy(o, v, reduction="none"), lambda o: o.softmax(1)),
    Attributes: _Sort(
        lambda o, v: F.binary_cross_entropy_with_logits(o, v, reduction="none").sum(1), torch.sigmoid
    ),
    Vector: _Sort(lambda o, v: 0.5 * (o - v).square().sum(1), lambda o: o),
}


@final
@dataclass(frozen=True)
class Target:
    """One thing to tell.

    Arguments:
        kind: a label, attributes or a vector; any other raises DataError.
        values: (N, *form) of all items of the data, in the kind's model scale.
        present: (N,) bool.
    """

    kind: Kind
    values: Tensor
    present: Tensor

    def __post_init__(self) -> None:
        if not tells(self.kind):
            raise DataError(f"a judge tells labels, attributes and numbers from an item, no {self.kind.name}")

    @property
    def outputs(self) -> int:
        """How many numbers say it."""
        return len(self.kind.classes) if isinstance(self.kind, Label) else self.kind.shape.sites

    def nats(self, outputs: Tensor, at: Tensor) -> Tensor:
        """How wrong outputs (B, k) are about items `at` (B,): (B,) nats, 0 where nothing is known."""
        there = self.present[at].to(outputs.device)
        values = self.values[at].to(outputs.device)
        values = torch.where(there.view(-1, *(1 for _ in values.shape[1:])), values, torch.zeros_like(values))
        return _SORTS[type(self.kind)].nats(outputs, values) * there

    def answer(self, outputs: Tensor) -> Tensor:
        """Outputs (N, k) as probabilities, or as numbers in the kind's model scale."""
        return _SORTS[type(self.kind)].answer(outputs)


def tells(kind: Kind) -> bool:
    """Whether it is something a judge can be asked to tell."""
    return type(kind) in _SORTS


def target(condition: Condition) -> Target:
    """A condition of all items as a target."""
    return Target(condition.kind, condition.kind.tensor(condition.stored), condition.present)

"""The classifier that judges made items: an `Eye` for the data's labels alone."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from ectype.data.data import Data
from ectype.errors import DataError
from ectype.kinds.record import Record
from ectype.metrics.eye import Eye
from ectype.metrics.targets import Target

FEWEST = 10
"""Labelled training items below which there is no judge."""
LABEL = "label"


def why_not(data: Data) -> str:
    """Why no judge can be fitted to this data, in one sentence; empty when one can."""
    if data.labels is None or data.label_kind is None:
        return "no judge of classes: the data has no labels"
    if isinstance(data.kind, Record):
        return "no judge of classes: it sees one kind, and these items have several parts"
    labels = data.labels[data.splits.get("train", data.splits["all"][:0])]
    labels = labels[labels >= 0]
    if len(labels) < FEWEST:
        return f"no judge of classes: it needs {FEWEST} labelled training items, there are {len(labels)}"
    kinds = len(labels.unique())
    if kinds < 2:
        return "no judge of classes: all training items have the same label"
    if kinds * 2 > len(labels):
        return f"no judge of classes: {len(labels):,} training items have {kinds:,} different labels"
    return ""


def labels_of(data: Data) -> Target:
    """The data's labels as what a judge tells; DataError where it has none."""
    if data.labels is None or data.label_kind is None:
        raise DataError("a judge of classes needs labels, and this data has none")
    return Target(data.label_kind, data.labels, data.labels >= 0)


@final
class Classifier:
    """p(class | x), fitted to the labelled training items of data for which `why_not` is empty.

    Arguments:
        data: with labels.
        seed: of its weights and of the order of the items.
        device: of the computation.
    """

    def __init__(self, data: Data, *, seed: int = 0, device: torch.device | None = None) -> None:
        self.eye = Eye(data, {LABEL: labels_of(data)}, seed=seed, device=device)
        self.classes = () if data.label_kind is None else data.label_kind.classes

    def __call__(self, x: Tensor) -> Tensor:
        """Class probabilities (N, classes) of items (N, *form), on the CPU."""
        return self.eye(x)[LABEL]

    def of(self, data: Data, indices: Tensor, seed: int = 0) -> Tensor:
        """The same of items of data by number."""
        return self.eye.of(data, indices, seed)[LABEL]

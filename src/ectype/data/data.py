"""Items of one kind with their conditions, splits and labels; gathered by batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, final

import torch
from torch import Tensor

from ectype.data.batch import Batch
from ectype.data.store import Store
from ectype.errors import UsageError, did_you_mean
from ectype.kinds import Kind
from ectype.kinds.derived import Derived
from ectype.kinds.label import Label
from ectype.noise import Noise, PerItem, mix

Indices = Tensor | Sequence[int]


@final
@dataclass(frozen=True)
class Condition:
    """One condition of all items.

    Arguments:
        kind: what it is.
        stored: (N, *stored form); anything where it is missing. (N, 0) of a derived kind.
        present: (N,) bool.
    """

    kind: Kind
    stored: Tensor
    present: Tensor

    def of(self, at: Tensor, x: Tensor, noise: Noise) -> Tensor:
        """The condition (B, *form) of the items of these numbers (B,), whose x is (B, *form of the item)."""
        if isinstance(self.kind, Derived):
            return self.kind.derive(x, noise)
        return self.kind.tensor(self.stored.index_select(0, at))


@final
@dataclass
class Data:
    """Items of one kind.

    Arguments:
        kind: what an item is.
        store: the stored arrays.
        splits: item numbers by name; "all" is always there, and train, select and test are disjoint. As they
            are read, the first items of these three are a random sample of them.
        given: the conditions by name, with every item's value.
        labels: (N,) class numbers, -1 where missing, whether or not they are a condition; None: no labels.
        label_kind: what the numbers mean.
        names: each item's name, so that results can be written under the same.
        notes: sentences: what was left out, what was decided and why.
        source: how to read it again, as JSON (`reading.reread`).
        factors: further columns of numbers by name, (N,) each: known factors of drawn pictures.
        captions: a sentence per item, or None.
        centres: (M, D) the modes of a mixture, in the data's units, or None.
        steps: (N,) how many each series has, gaps at its end among them; None: up to the last known one.
    """

    kind: Kind
    store: Store
    splits: dict[str, Tensor]
    given: Mapping[str, Condition] = field(default_factory=dict)
    labels: Tensor | None = None
    label_kind: Label | None = None
    names: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    source: dict[str, Any] = field(default_factory=dict)
    factors: dict[str, Tensor] = field(default_factory=dict)
    captions: list[str] | None = None
    centres: Tensor | None = None
    steps: Tensor | None = None

    def __len__(self) -> int:
        return len(self.store)

    @property
    def conditions(self) -> dict[str, Kind]:
        """The conditions' kinds by name."""
        return {name: condition.kind for name, condition in self.given.items()}

    @property
    def resident(self) -> bool:
        """Whether the items lie in memory."""
        return self.store.resident

    def split(self, name: str) -> Tensor:
        """The item numbers of a split; raises UsageError for one that does not exist."""
        if name not in self.splits:
            raise UsageError(f"there is no split '{name}'{did_you_mean(name, self.splits)}")
        return self.splits[name]

    def batch(self, indices: Indices, noise: Noise = None) -> Batch:
        """Items by number: x (B, *form) in model scale, conditions, which are kept, their numbers."""
        at = torch.as_tensor(indices, dtype=torch.int64)
        stored = self.store.gather(at)
        x = self.kind.tensor(stored, noise)
        given, kept = {}, {}
        for name, condition in self.given.items():
            given[name] = condition.of(at, x, noise)
            kept[name] = condition.present.index_select(0, at)
        return Batch(x, given, kept, self.kind.seen(stored), index=at)

    def batches(self, split: str, size: int, seed: int = 0, few: int | None = None) -> Iterator[Batch]:
        """A split once, in order; the noise of item i depends on (seed, i) only.

        Arguments:
            few: no more items than this, drawn at random from the split.
        """
        drawn = self.kind.random or any(isinstance(kind, Derived) for kind in self.conditions.values())
        indices = self.split(split)
        if few is not None and few < len(indices):
            stream = torch.Generator().manual_seed(mix(seed, few))
            indices = indices[torch.randperm(len(indices), generator=stream)[:few].sort().values]
        for at in indices.split(size):
            yield self.batch(at, PerItem(seed, at.tolist()) if drawn else None)

    def items(self, indices: Indices) -> list[Any]:
        """Raw items by number: pictures, labels, rows."""
        at = torch.as_tensor(indices, dtype=torch.int64)
        return [self.kind.unpack(array) for array in self.store.gather(at).numpy()]

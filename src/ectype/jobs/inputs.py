"""What jobs are given: a run or its path, a source of items or none, conditions by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ectype.errors import DataError, UsageError, did_you_mean
from ectype.jobs.outputs import tell
from ectype.noise import PerItem

if TYPE_CHECKING:
    from ectype.context import Context
    from ectype.data.batch import Batch
    from ectype.data.data import Data
    from ectype.kinds import Kind
    from ectype.models import Autoencoder
    from ectype.runs import Run

GIVEN = "given items"
"""What the items of a source that the user names are called where a split is asked for."""


def opened(run: Run | str | Path) -> Run:
    """The run itself, or the one at a path."""
    from ectype.runs import load

    return load(run) if isinstance(run, str | Path) else run


def reader(run: Run) -> Autoencoder:
    """The run's model, or with its inversion, as one that can read items.

    Raises UsageError where it cannot read and was not inverted, ModelFileError for a damaged inversion.
    """
    from ectype.jobs.inversions import load
    from ectype.models import Autoencoder

    return run.model if isinstance(run.model, Autoencoder) else load(run)


def codes(model: Autoencoder, batch: Batch, context: Context | None, refine: int = 0) -> Tensor:
    """Codes (B, D) of items: the means of q(z | x, c), refined by so many steps each.

    Raises UsageError for a negative number of steps, or for items whose likelihood has no mean.
    """
    from ectype.models.inversion import refined

    if refine < 0:
        raise UsageError(f"refine is a number of steps, 0 or more, not {refine}")
    if refine and model.likelihood.shown == "draw":
        raise UsageError("refine needs items with a mean to move towards, and these are drawn")
    z = model.posterior(batch.x, context, batch.seen).mean
    return refined(model, batch.x, z, context, steps=refine, seen=batch.seen) if refine else z


def own_data(run: Run) -> Data:
    """The data the run was trained on, with its splits; UsageError where the run does not say which."""
    from ectype.data.reading import reread

    source = run.record.get("data")
    if not source:
        raise UsageError(
            "this model does not say what it was trained on (its record.json is not beside it): "
            "name the items to use"
        )
    return reread(source)


@dataclass(frozen=True)
class Items:
    """Items a job works on.

    Arguments:
        data: where they are.
        indices: (N,) their numbers in it.
        split: what they are called in scores.
    """

    data: Data
    indices: Tensor
    split: str

    def batches(self, size: int = 256, seed: int = 0) -> Iterator[Batch]:
        """The items once, in order; noise that belongs to item i depends on (seed, i) only."""
        for at in self.indices.split(size):
            yield self.data.batch(at, PerItem(seed, at.tolist()))

    def first(self, count: int | None) -> Items:
        """The first `count` of them; None: all."""
        return Items(self.data, self.indices[:count], self.split)

    @property
    def names(self) -> list[str]:
        """Their names where the source has any, else their numbers."""
        names = self.data.names
        return [names[i] if names else f"{i:06d}" for i in self.indices.tolist()]

    @property
    def labels(self) -> Tensor | None:
        """(N,) class numbers, -1 where missing; None where the source has no labels."""
        return None if self.data.labels is None else self.data.labels[self.indices]


def items_of(run: Run, source: Any = None, *, split: str = "test", count: int | None = None) -> Items:
    """The items of a source, read the way the run's model knows, or a split of the run's own data.

    Arguments:
        source: anything `read` takes, or `Data` of the same kind; None: the data the run was trained on.
        split: of the run's own data or of `Data`; any other source is taken whole.
        count: items at most, the first ones.

    Raises UsageError for an unknown split, DataError where there are no items.
    """
    from ectype.data.data import Data
    from ectype.data.reading import read_with

    if count is not None and count < 1:
        raise UsageError(f"count is at least 1, not {count}")
    if source is None:
        data = own_data(run)
        indices, name = data.split(split), split
    elif isinstance(source, Data):
        if source.kind.state() != run.kind.state():
            raise UsageError("this data was not read for this model; give its path, or use run.kind")
        data, name = source, split
        indices = data.split(split)
    else:
        data = read_with(source, run.kind, conditions=run.conditions)
        indices, name = data.split("all"), GIVEN
        for note in data.notes:
            tell(f"note: {note}")
    if not len(indices):
        raise DataError(f"there are no items in '{name}': name another split, or items of your own")
    return Items(data, indices[:count], name)


def context_of(
    run: Run, given: Mapping[str, Any] | None, n: int, each: Mapping[str, Sequence[Any]] | None = None
) -> Context | None:
    """The context in which `n` items all have the given conditions; None for a model without any.

    A condition the model has and that is not given is its learned null. Raises UsageError for one
    the model does not have, and for a value its kind does not have.

    Arguments:
        each: further conditions by name, a value for each of the first items; "" where it has none.
    """
    tensors, kept = tensors_of(run, given or {}, n), {}
    for name, values in (each or {}).items():
        if any(value != "" for value in values):
            tensors[name], kept[name] = _one_by_one(run, run.conditions[name], values, n)
    conditioner = run.model.conditioner
    if conditioner is None:
        return None
    context: Context = conditioner(tensors, kept, n)
    return context


def _one_by_one(run: Run, kind: Kind, values: Sequence[Any], n: int) -> tuple[Tensor, Tensor]:
    """Values of the first of `n` items as a condition (n, *form), and which of them there are (n,)."""
    there = torch.tensor([i for i, value in enumerate(values) if value != ""])
    packed = [torch.as_tensor(kind.pack(values[i])) for i in there.tolist()]
    found = kind.tensor(torch.stack(packed))
    tensor = found.new_zeros(n, *found.shape[1:]).index_copy(0, there, found)
    kept = torch.zeros(n, dtype=torch.bool).index_fill(0, there, True)
    return tensor.to(device_of(run)), kept.to(device_of(run))


def asked(kind: Kind, value: Any) -> Any:
    """A value that somebody chose, as the kind stores it; UsageError where the kind has no such value."""
    try:
        return kind.pack(value)
    except DataError as error:
        raise UsageError(str(error)) from error


def tensors_of(run: Run, given: Mapping[str, Any], n: int) -> dict[str, Tensor]:
    """Conditions of `n` items that all have the same, (n, *form) each; raises as `context_of`."""
    for name in given:
        if name not in run.conditions:
            raise UsageError(
                f"this model cannot be given '{name}'{did_you_mean(name, run.conditions)}"
                + ("" if run.conditions else ": it was trained without conditions (train --given label)")
            )
    tensors = {}
    for name, value in given.items():
        kind = run.conditions[name]
        stored = torch.as_tensor(asked(kind, value)).unsqueeze(0)
        tensors[name] = kind.tensor(stored).to(device_of(run)).expand(n, *kind.shape.form)
    return tensors


def device_of(run: Run) -> torch.device:
    """Where the run's weights are."""
    return next(run.model.parameters()).device

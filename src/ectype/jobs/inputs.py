"""What jobs are given: a run or its path, a source of items or none, conditions by name."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
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
    from ectype.kinds.image import Image
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

    Raises UsageError where it has no codes, and where it cannot read and was not inverted; ModelFileError for
    a damaged inversion.
    """
    from ectype.jobs.inversions import load
    from ectype.models import Autoencoder

    check_coded(run)
    return run.model if isinstance(run.model, Autoencoder) else load(run)


def check_coded(run: Run) -> None:
    """Raise UsageError for a model without a latent."""
    if not run.model.coded:
        name = run.spec.get("model", "model")
        raise UsageError(f"this {name} has no codes: it only samples and weighs items; train a vae or an ae")


def codes(model: Autoencoder, batch: Batch, context: Context | None, refine: int = 0) -> Tensor:
    """Codes (B, D) of items: the means of q(z | x, c), refined by so many steps each.

    Raises UsageError for a negative number of steps, or for items whose likelihood has no mean.
    """
    from ectype.models.inversion import misfit, refined

    if refine < 0:
        raise UsageError(f"refine is a number of steps, 0 or more, not {refine}")
    if refine and model.likelihood.shown == "draw":
        raise UsageError("refine needs items with a mean to move towards, and these are drawn")
    z = model.posterior(batch.x, context, batch.seen).mean
    return refined(model, misfit(batch.x, batch.seen), z, context, steps=refine) if refine else z


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
    from ectype.data.fitted import read_with

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
        data = read_with(source, run.kind, conditions=run.conditions, trained=run.record.get("data"))
        indices, name = data.split("all"), GIVEN
        for note in data.notes:
            tell(f"note: {note}")
    if not len(indices):
        raise DataError(f"there are no items in '{name}': name another split, or items of your own")
    return Items(data, indices[:count], name)


Given = Mapping[str, Any] | Sequence[Mapping[str, Any]]
"""Conditions by name: what all items have, or what each one has."""


def context_of(run: Run, given: Given | None, n: int, guidance: float = 1.0) -> Context | None:
    """The context in which `n` items have the given conditions; None for a model without any.

    A condition the model has and that is not given is its learned null. Raises as `conditions_of`, and
    UsageError for guidance the model cannot have.
    """
    tensors, kept = conditions_of(run, given or {}, n)
    conditioner = run.model.conditioner
    context: Context | None = None if conditioner is None else conditioner(tensors, kept, n)
    return guided(run, context, guidance)


def guided(run: Run, context: Context | None, guidance: float) -> Context | None:
    """The context with its distance from the one in which nothing is given times `guidance`.

    Raises UsageError for a negative number, and for any but 1 where the model has no conditions.
    """
    check_guidance(run, guidance)
    conditioner = run.model.conditioner
    if guidance == 1 or context is None or conditioner is None:
        return context
    return run.model.guided(context, conditioner({}, {}, len(context.vector)), guidance)


def check_guidance(run: Run, guidance: float) -> None:
    """Raise UsageError for guidance this model cannot have."""
    if not 0 <= guidance < math.inf:
        raise UsageError(f"guidance is 0 or more (1: as trained), not {guidance}")
    if guidance != 1 and run.model.conditioner is None:
        raise UsageError("guidance needs conditions: this model was trained without (train --given label)")


def tensors_of(run: Run, given: Given, n: int) -> dict[str, Tensor]:
    """The conditions of `conditions_of` where every item has all that any has."""
    return conditions_of(run, given, n)[0]


def conditions_of(run: Run, given: Given, n: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Conditions of `n` items, (n, *form) each, and which items have them, (n,) bool.

    Arguments:
        given: one mapping for all items, or one each; None in place of a value is the same as no value.

    Raises UsageError for a condition the model does not have, and for more or fewer mappings than items;
    a value its kind does not have; DataError for a picture that cannot be used.
    """
    rows = [given] if isinstance(given, Mapping) else list(given)
    if not isinstance(given, Mapping) and len(rows) != n:
        raise UsageError(
            f"conditions for {len(rows)} items, and there are {n}: give each its own, or all one"
        )
    made: dict[tuple[str, int], Tensor] = {}
    tensors, kept = {}, {}
    device = device_of(run)
    for name in dict.fromkeys(name for row in rows for name, value in row.items() if value is not None):
        kind = _condition(run, name)
        there = [row.get(name) is not None for row in rows]
        for row in rows:
            key = (name, id(row[name])) if row.get(name) is not None else None
            if key is not None and key not in made:
                made[key] = torch.tensor(packed(name, kind, row[name]))  # a copy: it is the caller's
        known = [made[name, id(row[name])] if has else None for row, has in zip(rows, there, strict=True)]
        blank = torch.zeros_like(next(one for one in known if one is not None))
        stored = torch.stack([blank if one is None else one for one in known])
        tensors[name] = kind.tensor(stored).to(device).expand(n, *kind.shape.form)
        kept[name] = torch.tensor(there, device=device).expand(n)
    return tensors, kept


def _condition(run: Run, name: str) -> Kind:
    if name not in run.conditions:
        why = did_you_mean(name, run.conditions)
        if not run.conditions:
            alone, together = "was trained without conditions (train --given label)", "makes parts together"
            why = f": it {alone if run.kind.name != 'record' else f'{together} (ectype complete --known)'}"
        raise UsageError(f"this model cannot be given '{name}'{why}")
    return run.conditions[name]


def packed(name: str, kind: Kind, value: Any) -> np.ndarray[Any, Any]:
    """A condition as it was said, as its kind's stored array; an error with the condition's name.

    A picture is scaled to the kind's size, and refused where that would cut it.
    """
    picture = pictured(kind)
    try:
        if picture is not None:
            _uncut(picture, value[0] if isinstance(value, tuple) and len(value) == 2 else value)
        return kind.pack(value)
    except DataError as error:
        # a picture is a file, which is data; everything else was typed
        sort = UsageError if picture is None else DataError
        raise sort(f"{name}: {error}") from None


def pictured(kind: Kind) -> Image | None:
    """The kind of picture that a condition is read from where it lies as one; None for any other."""
    from ectype.kinds.derived import Derived
    from ectype.kinds.image import Image

    return kind.picture if isinstance(kind, Derived) else kind if isinstance(kind, Image) else None


def asked(kind: Kind, value: Any) -> Any:
    """A value that somebody chose, as the kind stores it; UsageError where the kind has no such value."""
    try:
        return kind.pack(value)
    except DataError as error:
        raise UsageError(str(error)) from error


def _uncut(kind: Image, value: Any) -> None:
    from PIL import Image as Pillow

    from ectype.kinds.image import same_aspect
    from ectype.kinds.pixels import MODES, upright_size

    if isinstance(value, str | Path):
        if not Path(value).is_file():
            what = "is a folder" if Path(value).is_dir() else "there is no such file"
            raise DataError(f"{value}: {what}; give the path of a picture")
        try:
            with Pillow.open(value) as picture:
                size = upright_size(picture)
        except OSError as error:
            raise DataError(f"{value}: no readable picture ({error})") from None
    elif isinstance(value, Pillow.Image):
        size = upright_size(value)
    else:
        form = np.asarray(value).shape
        size = form[-2:] if len(form) == 2 or form[:1] and form[0] in MODES else form[:2]
    if len(size) == 2 and min(size) > 0 and not same_aspect((size[0], size[1]), kind.size):
        wanted = f"{kind.size[0]}x{kind.size[1]}"
        raise DataError(
            f"a picture of {size[0]}x{size[1]} (height x width), where the model knows {wanted}: cut it to "
            "that aspect, and it is scaled by itself"
        )


def device_of(run: Run) -> torch.device:
    """Where the run's weights are."""
    return next(run.model.parameters()).device

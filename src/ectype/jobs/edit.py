"""Items changed in one respect: their codes moved along an attribute, or decoded under another condition.

    z' = z + amount · (mean of codes with the attribute - mean of codes without)

Larsen, Sønderby, Larochelle and Winther 2016, "Autoencoding beyond pixels using a learned similarity
metric", section 4.2, visual attribute vectors. Where the model is conditioned on the attribute, its codes
hold what is left without it, and another condition does what the vector would.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ectype.errors import DataError, UsageError, did_you_mean
from ectype.jobs import outputs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from ectype.data.data import Data
    from ectype.jobs.inputs import Items
    from ectype.models import Autoencoder
    from ectype.runs import Run

OUT = "edited"
_OWN = 64
_MEAN_OF = 1000  # items of a group that its mean code is taken of


def edit(
    run: Run | str | Path,
    source: str | Path | None = None,
    *,
    towards: Mapping[str, str] | None = None,
    away: Mapping[str, str] | None = None,
    given: Mapping[str, str] | None = None,
    amount: float = 1.0,
    split: str = "test",
    count: int | None = None,
    refine: int = 0,
    seed: int = 0,
    out: Path | None = None,
    overwrite: bool = False,
) -> list[Any]:
    """Items changed in one respect: towards one group of the training items, or to another condition.

    An item's code is moved by the difference of two groups' mean codes. What the model is conditioned on it
    is given instead. How near unedited items come back is said too: no edit is better than that.

    Arguments:
        run: a run's folder, or its model file.
        source: items to edit, anything train reads; default: the data the run was trained on.
        towards: what is to be, such as label=7; a name of the training data's.
        away: what it is now, such as label=1; default: all training items that are not of the first group.
        given: conditions the edited items have in place of their own, such as label=7.
        amount: how far, as a multiple of the difference; 0 is not at all, negative the other way.
        split: which part of the run's own data: train, select, test or all.
        count: items at most; default: all of a source, 64 of the run's own data.
        refine: steps by which each code is first moved to where it gives the item back best.
        seed: of the choice of up to 1,000 training items of each group.
        out: folder for one file each and comparison.png (original, reconstruction, edited); or .png or .npz.
        overwrite: replace files that exist.

    Raises UsageError for a model that cannot read or an edit that means nothing, DataError where items
    cannot be read or no training item is of a group, OutputError where `out` cannot be written.
    """
    import torch

    from ectype.jobs.inputs import items_of, opened, reader
    from ectype.jobs.reconstruct import put_compared
    from ectype.metrics.fidelity import fidelity_of

    if not math.isfinite(amount):
        raise UsageError(f"amount is a number, not {amount}")
    if out is not None:
        outputs.refuse(out, overwrite)
    run = opened(run)
    model = reader(run)
    moved, given = _sorted(run, dict(towards or {}), dict(away or {}), dict(given or {}))
    count = _OWN if source is None and count is None else count
    items = items_of(run, source, split=split, count=count)
    shift = amount * direction(run, model, moved, away, seed) if moved else torch.zeros(model.latent)
    rows = list(_edited(run, model, items, shift, given, refine))
    raw = [
        [run.kind.unpack(a) for part in row for a in run.kind.stored(part)] for row in zip(*rows, strict=True)
    ]
    if out is not None:
        put_compared(run.kind, raw, out, names=items.names, overwrite=overwrite)
    outputs.tell("there and back, unedited:")
    outputs.tell_scores(fidelity_of(run.kind, [(x, back) for x, back, _ in rows], split=items.split))
    return raw[-1]


def _sorted(
    run: Run, towards: dict[str, str], away: dict[str, str], given: dict[str, str]
) -> tuple[dict[str, str], dict[str, str]]:
    """What codes are moved towards, and what is given instead because the model is conditioned on it."""
    if not towards and not given:
        raise UsageError(
            "say what to edit: --towards label=7, or for a condition of the model --given label=7"
        )
    instead = {name: value for name, value in towards.items() if name in run.conditions}
    for name, value in instead.items():
        if given.get(name, value) != value:
            raise UsageError(f"{name} cannot be both {value} and {given[name]}: use one of towards and given")
        outputs.tell(
            f"note: the model is conditioned on {name}: decoded with {name}={value}, no code is moved for it"
        )
    moved = {name: value for name, value in towards.items() if name not in instead}
    left = [name for name in away if name not in instead]
    if left and not moved:
        raise UsageError(f"away from {left[0]} needs something to go towards: add --towards")
    return moved, {**given, **instead}


def direction(
    run: Run, model: Autoencoder, towards: Mapping[str, str], away: Mapping[str, str] | None, seed: int
) -> Tensor:
    """Mean code of one group of training items less that of another, (D,); says how many they were.

    Arguments:
        towards: what all of the first group have.
        away: what all of the second have; None or empty: all that are not of the first.
        seed: of the choice of up to 1,000 of each.
    """
    import torch

    from ectype.jobs.inputs import Items, device_of, own_data
    from ectype.models.settling import codes_of

    data = own_data(run)
    train = data.split("train")
    first = members(data, towards)[train]
    second = members(data, away)[train] if away else ~first
    means, told = [], []
    for inside, wanted in ((first, towards), (second, away)):
        name = ", ".join(f"{k}={v}" for k, v in wanted.items()) if wanted else "others"
        numbers = train[inside]
        if not len(numbers):
            raise DataError(f"no training item is of the group '{name}': name another value")
        stream = torch.Generator().manual_seed(seed)
        chosen = numbers[torch.randperm(len(numbers), generator=stream)[:_MEAN_OF].sort().values]
        model.eval()
        batches = (b.to(device_of(run)) for b in Items(data, chosen, "train").batches(seed=seed))
        means.append(codes_of(model, batches)[0].mean(0))
        told.append(f"{len(chosen):,} of {name}")
    found = means[0] - means[1]
    outputs.tell(
        f"attribute: mean code of {told[0]} less that of {told[1]}, length {float(found.norm()):.3g}"
    )
    return found


def members(data: Data, wanted: Mapping[str, str]) -> Tensor:
    """(N,) bool: which items have all of these values; UsageError for a name or value there is not."""
    import torch

    from ectype.jobs.inputs import asked

    inside = torch.ones(len(data), dtype=torch.bool)
    for name, value in wanted.items():
        if name in data.given:
            condition = data.given[name]
            stored = torch.as_tensor(asked(condition.kind, value))
            same = (condition.stored == stored).reshape(len(data), -1).all(1)
            inside &= same & condition.present
        elif name == "label" and data.labels is not None and data.label_kind is not None:
            inside &= data.labels == int(asked(data.label_kind, value))
        elif name in data.factors:
            try:
                inside &= data.factors[name] == float(value)
            except ValueError as error:
                raise UsageError(f"{name} is a number, not '{value}'") from error
        else:
            known = {*data.given, *data.factors, *(["label"] if data.labels is not None else [])}
            hint = did_you_mean(name, known) or ": it has no labels"
            raise UsageError(f"the training data says nothing of '{name}'{hint}")
    return inside


def _edited(
    run: Run, model: Autoencoder, items: Items, shift: Tensor, given: Mapping[str, str], refine: int
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Batches of items, their reconstructions and what is edited, each (B, *form), on the CPU."""
    from dataclasses import replace

    from ectype.jobs.decoding import evaluating
    from ectype.jobs.inputs import codes, device_of, tensors_of

    device = device_of(run)
    for batch in items.batches(256):
        with evaluating(run):
            batch = batch.to(device)
            changed = replace(
                batch,
                given={**batch.given, **tensors_of(run, given, len(batch))},
                kept={name: kept for name, kept in batch.kept.items() if name not in given},
            )
            context, other = model.condition(batch), model.condition(changed)
            z = codes(model, batch, context, refine)
            back = model.decode(z, context).mean
            new = model.decode(z + shift.to(z), other).mean
        yield batch.known.cpu(), back.cpu(), new.cpu()

"""Made items beside real ones, for every model: distances, coverage, and what a judge of classes says.

Item i is made under the conditions of the i-th real item and of noise that depends on (seed, i) only;
for a model without conditions it is item i of `sample --seed`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ectype.errors import DataError
from ectype.jobs import outputs

if TYPE_CHECKING:
    from ectype.data.data import Data
    from ectype.jobs.inputs import Items
    from ectype.metrics import Score
    from ectype.runs import Run

SORTED = "sorted"
"""Where the record keeps which made items were judged to be of which class."""
_EACH = 8  # items of a class that the report shows
_KNOWN = 5000  # held-out items the judge's own accuracy is measured on
_CHUNK = 250
_NOT = "made items were not compared"


@dataclass(frozen=True)
class Made:
    """Made items and the real ones beside them.

    Arguments:
        x: (N, *form) made, in the model's scale.
        real: (N, *form) real ones.
        given: the conditions both have, (N, *form) each, by name.
        kept: (N,) which of them have it.
        same: whether the i-th real item has the i-th made one's conditions too.
    """

    x: Tensor
    real: Tensor
    given: dict[str, Tensor]
    kept: dict[str, Tensor]
    same: bool = True


def compared(
    run: Run, items: Items, home: Data | None, *, seed: int, judged: bool, guidance: float = 1.0
) -> list[Score]:
    """The scores of as many made items as `items` has; keeps in the record which are of which class.

    Arguments:
        items: real items.
        home: the data the run was trained on, or None where it is not at hand.
        seed: of the noise, the judge and the choice of training items.
        judged: whether to fit a judge where there are labels or other conditions.
        guidance: how strongly conditions act on what is made.
    """
    from ectype.jobs.conditioned import varied
    from ectype.jobs.timely import as_read, timely
    from ectype.jobs.worded import worded
    from ectype.metrics.generation import gap, generation
    from ectype.metrics.spectrum import spectrum

    run.record.pop(SORTED, None)
    warnings = [w for w in run.record.get("warnings", ()) if not str(w).startswith(_NOT)]
    run.record["warnings"] = warnings
    raw = make(run, items, seed, guidance)
    made = replace(raw, x=as_read(run.kind, raw.x, items))
    numbers = _others(items, home, seed)
    try:
        train = None if home is None or not len(numbers) else _x_of(home, numbers, seed)
        scores = generation(run.kind.shape, made.x, made.real, train, split=items.split, seed=seed)
        scores += spectrum(run.kind.shape, made.x, made.real, train, split=items.split, seed=seed)
    except DataError as error:  # what can be read is worth its numbers all the same
        warnings.append(f"{_NOT}: {error}")
        outputs.tell(f"warning: {warnings[-1]}")
        return []
    why = gap(len(made.x), len(made.real))
    if why:
        outputs.tell(f"note: {why}")
    scores += timely(run, raw, items, home, numbers, judged=judged, seed=seed)
    scores += worded(run, made, items, home, numbers, seed=seed)
    scores += varied(made, train, run, split=items.split, seed=seed)
    if judged and home is not None:
        scores += _judged(run, made, items, home, numbers[: len(made.x)], seed=seed)
    return scores


@torch.inference_mode()
def make(run: Run, items: Items, seed: int, guidance: float = 1.0) -> Made:
    """As many items as `items` has, under their conditions, on the CPU."""
    from ectype.jobs.decoding import evaluating, noise_of_pixels, shown
    from ectype.jobs.inputs import device_of, guided
    from ectype.noise import PerItem

    made: list[Tensor] = []
    real: list[Tensor] = []
    given: dict[str, list[Tensor]] = {}
    kept: dict[str, list[Tensor]] = {}
    with evaluating(run):
        for batch in items.batches(_CHUNK, seed):
            start = len(made) * _CHUNK
            numbers = range(start, start + len(batch))
            context = guided(run, run.model.condition(batch.to(device_of(run))), guidance)
            z = run.model.latents(len(batch), context).draw(PerItem(seed, numbers))
            p = run.model.decode(z.to(device_of(run)), context)
            made.append(shown(p, False, noise_of_pixels(seed, numbers)).float().cpu())
            real.append(batch.x)
            for name in (name for name in run.conditions if name in batch.given):
                there = torch.ones(len(batch), dtype=torch.bool)
                given.setdefault(name, []).append(batch.given[name])
                kept.setdefault(name, []).append(batch.kept.get(name, there))
    asked, known = ({name: torch.cat(parts) for name, parts in one.items()} for one in (given, kept))
    return Made(torch.cat(made), torch.cat(real), asked, known)


def _others(items: Items, home: Data | None, seed: int) -> Tensor:
    """Numbers of training items that are not among `items`, in random order."""
    from ectype.metrics.generation import AXES_OF
    from ectype.noise import mix

    if home is None:
        return torch.zeros(0, dtype=torch.int64)
    train = home.splits.get("train", home.splits["all"][:0])
    if items.data is home:
        train = train[~torch.isin(train, items.indices)]
    stream = torch.Generator().manual_seed(mix(seed, 9))
    return train[torch.randperm(len(train), generator=stream)[: max(AXES_OF, len(items.indices))]]


def _x_of(data: Data, numbers: Tensor, seed: int) -> Tensor:
    from ectype.jobs.inputs import Items

    return torch.cat([batch.x for batch in Items(data, numbers, "train").batches(_CHUNK, seed)])


def _judged(run: Run, made: Made, items: Items, home: Data, others: Tensor, *, seed: int) -> list[Score]:
    """What a judge says of the made items; of items of several parts, whether the parts go together."""
    from ectype.data.joint import apart
    from ectype.jobs import conditioned
    from ectype.jobs.inputs import device_of
    from ectype.metrics.classifier import LABEL
    from ectype.metrics.eye import Eye
    from ectype.metrics.judge import judge

    said = [w for w in run.record["warnings"] if not str(w).startswith(conditioned.UNTOLD)]
    run.record["warnings"] = said
    run, made = conditioned.parted(run, made)
    home = apart(home)
    held_out = _held_out(home)
    pairs = conditioned.paired(run, home, made, held_out, split=items.split, seed=seed)
    targets = conditioned.targets_of(run, home)
    if not targets:
        return pairs
    eye = Eye(home, targets, seed=seed, device=device_of(run))
    answers = eye.of(home, held_out, seed)
    scores: list[Score] = []
    if LABEL in targets and home.labels is not None and home.label_kind is not None:
        classes, seen = home.label_kind.classes, eye(made.x)[LABEL]
        scores = judge(
            classes,
            seen,
            eye(made.real)[LABEL],
            (answers[LABEL], home.labels[held_out]),
            others=eye.of(home, others, seed)[LABEL] if len(others) >= len(made.x) else None,
            split=items.split,
            seed=seed,
        )
        if not run.conditions and len(scores) > 1:  # a judge at chance names nothing
            run.record[SORTED] = _first_of_each(classes, seen.argmax(1), seed)
    scores += conditioned.judged(run, eye, made, (answers, held_out), split=items.split, seed=seed)
    return scores + pairs


def _held_out(home: Data) -> Tensor:
    """Numbers of items the judge was not fitted on; none where there are none."""
    held_out = next((home.splits[s] for s in ("test", "select") if len(home.splits.get(s, ()))), None)
    return torch.zeros(0, dtype=torch.int64) if held_out is None else held_out[:_KNOWN]


def _first_of_each(classes: tuple[str, ...], named: Tensor, seed: int) -> dict[str, Any]:
    """The numbers of the first made items of each class, for the report."""
    first = {name: (named == i).nonzero().flatten()[:_EACH].tolist() for i, name in enumerate(classes)}
    return {"seed": seed, "made": len(named), "first": {k: v for k, v in first.items() if v}}

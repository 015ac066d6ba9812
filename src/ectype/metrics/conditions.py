"""Whether a model reads its conditions at all: what shuffling them costs, and what to say about it.

    gap = mean of NLL(x | c of another item) - NLL(x | c), nats per item

NLL is minus the importance-weighted bound of K samples (`bounds`), with the same noise under both, so that a
model that ignores c has a gap of 0 and not only one of 0 on average. Under another's condition the posterior
is further off and its bound looser, so the gap is rather too large than too small; K makes that less.
An item without the condition stays without it and does not count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ectype.data.batch import Batch
from ectype.metrics import Score, mean_error, reading, short
from ectype.metrics.agreement import AGREEMENT, RECOGNISED
from ectype.metrics.bounds import bounds
from ectype.metrics.diversity import DIVERSITY
from ectype.metrics.pairing import PAIRING
from ectype.metrics.reading import UNREAD
from ectype.models import Autoencoder
from ectype.noise import mix

GAP = "gap"
ALL = "all conditions"
LEAST = 100
"""Items below which the gap should not be trusted."""
IGNORED = "ignored"
BESIDE = "ignored, or told by the others"
"""What a gap of 0 means for the only condition, or all of them, and for one of several."""
GUIDED = " (guidance "
"""What the names of scores under guidance end with, and its value and a bracket."""
_SURE = 1.96
_SOME = 20  # items, below which nothing is said of how various they are
_NARROW = 0.5  # of the diversity of real items


def gaps(
    model: Autoencoder, batches: Sequence[Batch], *, samples: int = 20, seed: int = 0, split: str = "test"
) -> list[Score]:
    """The gap of each condition, and where there are several, of all together.

    Left out is a condition that fewer than two items have, or all of them alike. Raises UsageError for a
    model without a bound.

    Arguments:
        batches: items with their conditions, on the model's device.
        samples: K.
        seed: of the noise and of the shuffling.
        split: which part of the data the items are.
    """
    names = list(batches[0].given)
    own = bounds(model, batches, samples=samples, seed=seed).iwae
    several = {ALL: names} if len(names) > 1 else {}
    scores = []
    for called, moved in [*((name, [name]) for name in names), *several.items()]:
        dealt, counts = shuffled(batches, moved, seed)
        if not bool(counts.any()):
            continue
        each = (own - bounds(model, dealt, samples=samples, seed=seed).iwae)[counts.cpu()]
        value, error = mean_error(each)
        sure = "" if error is None else f"95 % interval {_interval(value, error)}; "
        scores.append(
            Score(f"{GAP}: {called}", value, "nats", "higher", len(each), split, seed, error=error,
                  floor=0.0, floor_name=BESIDE if several and called != ALL else IGNORED, least=LEAST,
                  note=f"{sure}worse by so much under another item's condition, by the iwae-{samples} bound")
        )  # fmt: skip
    return scores


def shuffled(batches: Sequence[Batch], names: Sequence[str], seed: int) -> tuple[list[Batch], Tensor]:
    """The batches with some conditions dealt out anew among the items that have them all, and who these are.

    The second is (N,) bool: nobody where all have the same, since then nothing changes. The items stand in a
    random circle and each gets its neighbour's, so nobody keeps its own.
    """
    sizes = [len(batch) for batch in batches]
    kept = torch.stack([torch.cat([_kept(b, name) for b in batches]) for name in names]).all(0)
    places = kept.nonzero().flatten().cpu()
    counts = torch.zeros_like(kept)
    if len(places) < 2:
        return list(batches), counts
    stream = torch.Generator().manual_seed(mix(seed, 15))
    order = places[torch.randperm(len(places), generator=stream)]
    source = torch.arange(sum(sizes))
    source[order] = order.roll(1)
    found = list(batches)
    for name in names:
        values = torch.cat([batch.given[name] for batch in batches])
        there = values[places.to(values.device)]
        counts[places] |= bool((there != there[:1]).any())
        parts = values[source.to(values.device)].split(sizes)
        found = [replace(b, given={**b.given, name: v}) for b, v in zip(found, parts, strict=True)]
    return found, counts


def _kept(batch: Batch, name: str) -> Tensor:
    return batch.kept.get(name, torch.ones(len(batch), dtype=torch.bool, device=batch.x.device))


def _interval(value: float, error: float) -> str:
    return f"{short(value - _SURE * error)} to {short(value + _SURE * error)}"


def warning(score: Score) -> str:
    """What a score about a condition or the code has to warn of, in words; empty where all is well."""
    if unread := reading.warning(score):
        return unread
    name, _, condition = score.name.partition(": ")
    error, floor = _SURE * (score.error or 0.0), score.floor or 0.0
    if GUIDED in score.name:
        return ""
    if name == GAP and score.value - error <= 0:
        return _of_gap(score, condition, error)
    if name in (AGREEMENT, PAIRING) and score.value - error <= floor:
        if not score.enough:
            return f"whether made items heed '{condition or 'label'}' cannot be told from {score.n} items"
        return (
            f"made items do not heed '{condition or 'label'}': {name} is {short(score.value)}, and "
            f"{short(floor)} by chance; {score.note}"
        )
    if name == DIVERSITY and score.value + error < _NARROW and (score.enough or _doubtless(score)):
        return (
            f"items made under the same '{condition}' are much alike: diversity {score.figures}; {score.note}"
        )
    if name == RECOGNISED and score.enough and score.value < floor:
        return (
            f"{score.value:.0f} {score.unit} values of '{condition}' are recognised in what is made, and "
            f"{floor:.0f} in real items; {score.note}"
        )
    return ""


def _doubtless(score: Score) -> bool:
    """Whether few items show all the same that those of one condition are alike.

    Pairs say nothing of their own error, which is then 0, and few groups little of that between groups.
    """
    error = score.error or 0.0
    return score.n >= _SOME and 0 < error and score.value + 2 * _SURE * error < _NARROW / 2


def _of_gap(score: Score, condition: str, error: float) -> str:
    """What a gap says that is not surely above 0."""
    what, verb = ("the conditions", "are") if condition == ALL else (f"the condition '{condition}'", "is")
    if score.value + error < 0:
        return (
            f"{what} {verb} misread: items are less probable under their own than under another item's "
            f"({score.figures})"
        )
    if not score.enough and error > UNREAD:
        return f"whether {what} {verb} read cannot be told from {score.n} items ({score.figures})"
    if score.floor_name == BESIDE:
        return (
            f"{what} is ignored, or says nothing that the others do not: items are as probable under another "
            f"item's ({score.figures})"
        )
    return f"{what} {verb} ignored: items are as probable under another item's ({score.figures})"

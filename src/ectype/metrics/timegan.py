"""Whether a small recurrent network tells made series from real ones, and what it learns from made ones.

    discriminative  |accuracy - ½| of a GRU that was fitted to tell made from real series
    predictive      mean |error| on real series of a GRU fitted to made ones: the last feature one step
                    ahead from the other features up to now (of a single feature: from itself)

Yoon, Jarrett and van der Schaar 2019, "Time-series generative adversarial networks", by two protocols:

    "timegan"  as the authors' program has it: ⌊C / 2⌋ units, a random 80/20 split, 2,000 and 5,000 steps of
               Adam with rate 0.001 and 128 series of each sort, a sigmoid at the end of the predictor and so
               series in [0, 1]; weights begin as TensorFlow's GRUCell does. PyTorch's GRU applies its reset
               gate after the product, theirs before.
    "blocked"  at least 16 units; fitted to series of the train split and measured on those of another, so
               that windows that overlap are never on both sides; beside it what real series get

⌊C / 2⌋ is 0 for one feature and 2 for the five of Sines, which tells little apart; and of overlapping windows
split at random nearly every step to be measured on was fitted to. Numbers of the two do not compare;
those of the published one are called "discriminative (timegan)" and "predictive (timegan)".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from ectype.errors import DataError, UsageError, did_you_mean
from ectype.metrics import REAL, Score
from ectype.metrics.gru import order, predicted, told_apart, units
from ectype.metrics.series import check
from ectype.noise import mix

PROTOCOLS = ("blocked", "timegan")
STEPS = {"discriminative": 2000, "predictive": 5000}
"""Steps that are published."""
LEAST = 100
"""Series below which neither should be trusted."""
FEWEST = 10
"""Series of a part below which nothing is fitted or measured."""


@final
@dataclass(frozen=True)
class Compared:
    """The series that are compared, (N, C, T) each; NaN is missing or after the end.

    Arguments:
        made: those of a model.
        real: those to measure on.
        train: real ones to fit to, of another split; the protocol "timegan" has no use for them.
        split: which part of the data `real` is.
    """

    made: Tensor
    real: Tensor
    train: Tensor | None = None
    split: str = "test"


Tell = Callable[[str], object]


def discriminative(
    series: Compared,
    *,
    protocol: str = "blocked",
    seed: int = 0,
    steps: int = STEPS["discriminative"],
    tell: Tell | None = None,
) -> Score:
    """How surely a GRU tells made from real series: 0 is not at all, ½ always.

    Arguments:
        series: made and real ones.
        protocol: blocked or timegan.
        seed: of the GRU's weights and batches, and of the random splits.
        steps: of its training.
        tell: is told in a few words what is being done, since it takes a while.

    Raises UsageError for a protocol there is not, DataError for series it cannot be used on.
    """
    stream = _stream(series, protocol, seed)
    if protocol == "timegan":
        (made, new), (real, held) = (_parted(x.mT, 0.8, stream) for x in (series.made, series.real))
    else:
        made, real, held = (x.nan_to_num(0.0) for x in _standardised(series))
        held = held[order(held, stream)]
        made, new = _parted(made, 0.5, stream)
        # as many of each sort: else always saying the commoner one would be worth something
        new, held = (x[: min(len(new), len(held))] for x in (new, held))
    _say(tell, "fitting a GRU that tells made from real series")
    value, error = told_apart((made, real), (new, held), protocol, stream, steps)
    floor = None
    if protocol == "blocked":
        _say(tell, "the same with real series in place of made ones")
        (one, two), (three, four) = (_parted(x, 0.5, stream) for x in (real, held))
        floor, _ = told_apart((one, two), (three, four), protocol, stream, steps)
    return Score(
        _name("discriminative", protocol), value, "", "lower", len(new) + len(held), series.split, seed,
        error=error, floor=floor, floor_name="" if floor is None else REAL, least=LEAST,
        note=_note("discriminative", protocol, series, steps),
    )  # fmt: skip


def predictive(
    series: Compared,
    *,
    protocol: str = "blocked",
    seed: int = 0,
    steps: int = STEPS["predictive"],
    tell: Tell | None = None,
) -> Score:
    """How far off a GRU is on real series that learned from made ones to tell the last feature's next number.

    Arguments: as of `discriminative`.
    """
    stream = _stream(series, protocol, seed)
    real = None
    if protocol == "timegan":
        made, held = series.made.mT, series.real.mT
    else:
        made, real, held = _standardised(series)
    _say(tell, "fitting a GRU to made series")
    value, error = predicted(made, held, protocol, stream, steps)
    floor = None
    if real is not None:
        _say(tell, "the same with real series")
        floor, _ = predicted(real, held, protocol, stream, steps)
    return Score(
        _name("predictive", protocol), value, "" if real is None else "deviations", "lower", len(held),
        series.split, seed, error=error, floor=floor, floor_name="" if floor is None else REAL, least=LEAST,
        note=_note("predictive", protocol, series, steps),
    )  # fmt: skip


def _parted(x: Tensor, share: float, stream: torch.Generator) -> tuple[Tensor, Tensor]:
    """A random share of the series, and the rest."""
    at, first = order(x, stream), int(len(x) * share)
    return x[at[:first]], x[at[first:]]


def _standardised(series: Compared) -> tuple[Tensor, Tensor, Tensor]:
    """Made, train and real series (N, T, C) in deviations of the train split; made ones have gaps as well."""
    train = series.real if series.train is None else series.train
    middle = train.nanmean((0, 2), keepdim=True).nan_to_num(0.0)
    spread = (train - middle).square().nanmean((0, 2), keepdim=True).sqrt().nan_to_num(0.0)
    spread = torch.where(spread > 0, spread, 1.0)
    # what a model makes has no gaps, and by that alone it could be told from real series
    missing = gaps(train)[torch.arange(len(series.made)) % len(train)]
    made = torch.where(missing, torch.nan, series.made)
    found = [((x - middle) / spread).mT.contiguous() for x in (made, train, series.real)]
    return found[0], found[1], found[2]


def gaps(x: Tensor) -> Tensor:
    """(N, C, T) which numbers are missing before the last step of which anything is known."""
    there = (~x.isnan()).any(1, keepdim=True)
    later = there.flip(2).long().cummax(2).values.flip(2) > 0
    return x.isnan() & later


def published(series: Compared) -> Compared | None:
    """The same series, each feature of the real ones from 0 to 1, for the protocol "timegan"; None where it
    is for no such series: of one feature, of several lengths, with gaps.
    """
    known = series.real if series.train is None else torch.cat([series.train, series.real])
    if known.shape[1] < 2 or any(bool(x.isnan().any()) for x in (series.made, known)):
        return None
    low, high = known.amin((0, 2), keepdim=True), known.amax((0, 2), keepdim=True)
    wide = torch.where(high > low, high - low, 1.0)
    made, real = ((x - low) / wide for x in (series.made, series.real))
    return Compared(made, real.clamp(0, 1), split=series.split)


def _name(score: str, protocol: str) -> str:
    return score if protocol == "blocked" else f"{score} ({protocol})"


def _note(score: str, protocol: str, series: Compared, steps: int) -> str:
    fewer = ""
    if protocol == "timegan" and steps < STEPS[score]:
        fewer = f", {steps:,} steps of the {STEPS[score]:,} published"
    return f"protocol {protocol}: a GRU of {units(series.real.shape[1], protocol)} units{fewer}"


def _say(tell: Tell | None, words: str) -> None:
    if tell is not None:
        tell(words)


def _stream(series: Compared, protocol: str, seed: int) -> torch.Generator:
    """The randomness of one score, after everything that can be wrong was looked at."""
    if protocol not in PROTOCOLS:
        raise UsageError(f"there is no protocol '{protocol}'{did_you_mean(protocol, PROTOCOLS)}")
    made, real, train = series.made, series.real, series.train
    check(made, real, train)
    fewest = min(len(x) for x in (made, real, train) if x is not None)
    if fewest < FEWEST:
        raise DataError(f"{fewest} series are too few to fit a GRU to and measure it; {FEWEST} are needed")
    if real.shape[2] < 2:
        raise DataError("series of one step have no next one to predict; take longer ones")
    if protocol == "blocked":
        if train is None:
            raise DataError("the protocol blocked fits to series of the train split: give them too")
        return torch.Generator().manual_seed(mix(seed, 42))
    if real.shape[1] < 2:
        raise DataError("the protocol timegan has ⌊C / 2⌋ units, none for one feature; use blocked")
    if any(bool(x.isnan().any()) for x in (made, real)):
        raise DataError("the protocol timegan knows no gaps and no ends; use blocked, or fill them")
    if real.min() < 0 or real.max() > 1:
        raise DataError("the protocol timegan is for series in [0, 1]; scale made and real ones alike")
    return torch.Generator().manual_seed(mix(seed, 42))

"""Whether a small recurrent network tells made series from real ones, and what it learns from made ones.

    discriminative  |accuracy - ½| of a GRU that was fitted to tell made from real series
    predictive      mean |error| on real series of a GRU fitted to made ones: the last feature one step
                    ahead from the other features up to now (of a single feature: from itself)

Yoon, Jarrett and van der Schaar 2019, "Time-series generative adversarial networks", by two protocols:

    "timegan"  as the authors' program has it: ⌊C / 2⌋ units, a random 80/20 split, 2,000 and 5,000 steps of
               Adam with rate 0.001 and 128 series of each sort, a sigmoid at the end of the predictor and so
               series in [0, 1]. PyTorch's GRU applies its reset gate after the product, theirs before.
    "blocked"  at least 16 units; fitted to series of the train split and measured on those of another, so
               that windows that overlap are never on both sides; beside it what real series get

⌊C / 2⌋ is 0 for one feature and 2 for the five of Sines, which tells little apart; and of overlapping windows
split at random nearly every step to be measured on was fitted to. Numbers of the two do not compare.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ectype.errors import DataError, UsageError, did_you_mean
from ectype.metrics import REAL, Score, mean_error, share_error
from ectype.metrics.series import check
from ectype.noise import mix

PROTOCOLS = ("blocked", "timegan")
LEAST = 100
"""Series below which neither should be trusted."""
FEWEST = 10
"""Series of a part below which nothing is fitted or measured."""
_BATCH = 128
_UNITS = 16
_RATE = 1e-3


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
    series: Compared, *, protocol: str = "blocked", seed: int = 0, steps: int = 2000, tell: Tell | None = None
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
        held = held[_order(held, stream)]
        made, new = _parted(made, 0.5, stream)
        # as many of each sort: else always saying the commoner one would be worth something
        new, held = (x[: min(len(new), len(held))] for x in (new, held))
    _say(tell, "fitting a GRU that tells made from real series")
    units = _units(series, protocol)
    value, error = _told_apart((made, real), (new, held), units, stream, steps)
    floor = None
    if protocol == "blocked":
        _say(tell, "the same with real series in place of made ones")
        (one, two), (three, four) = (_parted(x, 0.5, stream) for x in (real, held))
        floor, _ = _told_apart((one, two), (three, four), units, stream, steps)
    return Score(
        "discriminative", value, "", "lower", len(new) + len(held), series.split, seed, error=error,
        floor=floor, floor_name="" if floor is None else REAL, least=LEAST, note=_note(protocol, units),
    )  # fmt: skip


def predictive(
    series: Compared, *, protocol: str = "blocked", seed: int = 0, steps: int = 5000, tell: Tell | None = None
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
    units = _units(series, protocol)
    _say(tell, "fitting a GRU to made series")
    value, error = _predicted(made, held, units, stream, steps, bounded=protocol == "timegan")
    floor = None
    if real is not None:
        _say(tell, "the same with real series")
        floor, _ = _predicted(real, held, units, stream, steps, bounded=False)
    return Score(
        "predictive", value, "" if real is None else "deviations", "lower", len(held), series.split, seed,
        error=error, floor=floor, floor_name="" if floor is None else REAL, least=LEAST,
        note=_note(protocol, units),
    )  # fmt: skip


@final
class _Reader(nn.Module):
    """One GRU layer and one number, of the last step or of each: (B, T, C) to (B, 1) or (B, T, 1)."""

    def __init__(self, features: int, units: int, *, every: bool) -> None:
        super().__init__()
        self.gru = nn.GRU(features, units, batch_first=True)
        self.head = nn.Linear(units, 1)
        self.every = every
        # as Keras begins: without it two units sometimes never come to tell anything
        for name, parameter in self.named_parameters():
            if "bias" in name:
                nn.init.zeros_(parameter)
            else:
                (nn.init.orthogonal_ if "_hh_" in name else nn.init.xavier_uniform_)(parameter)

    def forward(self, x: Tensor) -> Tensor:
        states, last = self.gru(x)
        found: Tensor = self.head(states if self.every else last[0])
        return found


def _told_apart(
    fit: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor], units: int, stream: torch.Generator, steps: int
) -> tuple[float, float]:
    """|accuracy - ½| on made and real series (N, T, C), and its standard error, of a GRU fitted to others."""
    reader = _new(fit[0].shape[2], units, stream, every=False)

    def loss() -> Tensor:
        drawn = [_drawn(x, stream) for x in fit]
        made, real = reader(torch.cat(drawn)).split([len(x) for x in drawn])
        return F.softplus(made).mean() + F.softplus(-real).mean()

    _descend(reader, loss, steps)
    with torch.no_grad():
        hits = torch.cat([reader(test[0]) <= 0, reader(test[1]) > 0]).flatten()
    accuracy, error = share_error(hits)
    return abs(accuracy - 0.5), error


def _predicted(
    fit: Tensor, test: Tensor, units: int, stream: torch.Generator, steps: int, *, bounded: bool
) -> tuple[float, float | None]:
    """Mean |error| on series (N, T, C), and its standard error, of a GRU fitted to others."""
    alone = fit.shape[2] == 1
    reader = _new(max(1, fit.shape[2] - 1), units, stream, every=True)

    def errors(x: Tensor) -> Tensor:
        """(N,) mean |error| over the steps that are known, NaN where there is none."""
        before, after = (x if alone else x[..., :-1])[:, :-1], x[:, 1:, -1:]
        said = reader(before.nan_to_num(0.0))
        apart = (said.sigmoid() if bounded else said) - after
        return apart.abs().nanmean((1, 2))

    # a series without a number to say has no error, and the gradient of that would be no number either
    fit, test = (x[x[:, 1:, -1:].isfinite().flatten(1).any(1)] for x in (fit, test))
    if not (len(fit) and len(test)):
        return math.nan, None
    _descend(reader, lambda: errors(_drawn(fit, stream)).mean(), steps)
    with torch.no_grad():
        found = errors(test)
    return mean_error(found)


def _new(features: int, units: int, stream: torch.Generator, *, every: bool) -> _Reader:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**62, (), generator=stream)))
        return _Reader(features, units, every=every)


def _descend(reader: _Reader, loss: Callable[[], Tensor], steps: int) -> None:
    optimiser = torch.optim.Adam(reader.parameters(), _RATE)
    with torch.enable_grad():
        for _ in range(steps):
            optimiser.zero_grad()
            loss().backward()
            optimiser.step()


def _order(x: Tensor, stream: torch.Generator) -> Tensor:
    return torch.randperm(len(x), generator=stream)


def _drawn(x: Tensor, stream: torch.Generator) -> Tensor:
    return x[_order(x, stream)[:_BATCH]]


def _parted(x: Tensor, share: float, stream: torch.Generator) -> tuple[Tensor, Tensor]:
    """A random share of the series, and the rest."""
    order, first = _order(x, stream), int(len(x) * share)
    return x[order[:first]], x[order[first:]]


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


def _units(series: Compared, protocol: str) -> int:
    c = series.real.shape[1]
    return c // 2 if protocol == "timegan" else max(_UNITS, c)


def _note(protocol: str, units: int) -> str:
    return f"protocol {protocol}: a GRU of {units} units"


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

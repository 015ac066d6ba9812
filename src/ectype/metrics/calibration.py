"""How right and how rightly sure class probabilities are: accuracy, Brier score, calibration error.

    accuracy            share of items whose most probable class is their label
    brier               mean over items of Σ_c (p_c - [c is the label])², 0 to 2
    calibration error   Σ_b n_b / N |right_b - sure_b|, over ten equal bins of the largest probability

Brier 1950, "Verification of forecasts expressed in terms of probability", equation 2; Guo, Pleiss, Sun
and Weinberger 2017, "On calibration of modern neural networks", equation 3 (ECE), and section 4.2 for the
temperature. The calibration error of few items is too large: chance alone parts right from sure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ectype.errors import DataError
from ectype.metrics import Score, mean_error, share_error
from ectype.noise import mix

LEAST = 100
"""Items below which none of these numbers should be trusted."""
BINS = 10
_REDRAWN = 100
_HOTTEST = 1e6
USELESS = 0.99 * _HOTTEST
"""Temperatures above this are the largest there is: equal probabilities are the best these bounds give."""


@dataclass(frozen=True)
class Bin:
    """Items of which the largest probability lies in one range.

    Arguments:
        low, high: the range, the upper end included.
        n: how many items.
        sure: their mean largest probability.
        right: how often that class is the label.
    """

    low: float
    high: float
    n: int
    sure: float
    right: float


def calibration(p: Tensor, labels: Tensor, *, split: str = "test", note: str = "") -> list[Score]:
    """Accuracy, Brier score and calibration error; empty where no item has a label.

    Arguments:
        p: (N, C) class probabilities.
        labels: (N,) class numbers, -1 where missing.
        split: which part of the data the items are.
        note: what else a reader has to know.
    """
    p, labels = p[labels >= 0].double(), labels[labels >= 0]
    n, c = p.shape
    if not n:
        return []
    hits = p.argmax(1) == labels
    shares = labels.bincount(minlength=c).double() / n
    right, spread = share_error(hits)
    wrong, error = mean_error(_brier(p, labels))
    usual = "commonest label", "the labels' shares for every item"
    return [
        Score("accuracy", right, "", "higher", n, split, error=spread, floor=float(shares.max()),
              floor_name=usual[0], least=LEAST, note=note),
        Score("brier", wrong, "", "lower", n, split, error=error, floor=float(1 - shares.square().sum()),
              floor_name=usual[1], least=LEAST, note=note),
        Score("calibration error", _apart(p, hits), "", "lower", n, split, error=_redrawn(p, hits),
              least=LEAST, note=note),
    ]  # fmt: skip


def reliability(p: Tensor, labels: Tensor) -> list[Bin]:
    """The bins that hold items, for p (N, C) and labels (N,), -1 where missing."""
    p, labels = p[labels >= 0].double(), labels[labels >= 0]
    sure, hits = p.max(1).values, p.argmax(1) == labels
    places, found = _places(sure), []
    for b in places.unique().tolist():
        here = places == b
        found.append(
            Bin(b / BINS, (b + 1) / BINS, int(here.sum()), float(sure[here].mean()),
                float(hits[here].double().mean()))
        )  # fmt: skip
    return found


def temperature(logits: Tensor, labels: Tensor) -> float:
    """The T that makes softmax(logits / T) most probable for the labels.

    The mean negative log-probability is convex in 1 / T, so the root of its derivative is found by halving.
    T is 1 or more: where all items are right, as few items often are, it would be 0, and as sure as can be.

    Arguments:
        logits: (N, C).
        labels: (N,) class numbers, -1 where missing; raises DataError where all are.
    """
    logits, labels = logits[labels >= 0].double(), labels[labels >= 0]
    if not len(labels):
        raise DataError("a temperature is fitted to labels, and no item has one")
    own = logits.gather(1, labels.unsqueeze(1)).squeeze(1)

    def slope(inverse: float) -> float:
        return float(((torch.softmax(inverse * logits, 1) * logits).sum(1) - own).mean())

    low, high = -math.log(_HOTTEST), 0.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if slope(math.exp(middle)) <= 0 else (low, middle)
    return math.exp(-0.5 * (low + high))


def _brier(p: Tensor, labels: Tensor) -> Tensor:
    """(N,) squared distance of probabilities from the label's corner."""
    return p.square().sum(1) - 2 * p.gather(1, labels.unsqueeze(1)).squeeze(1) + 1


def _places(sure: Tensor) -> Tensor:
    """(N,) the bin of each; a bin has its upper end."""
    return (torch.ceil(sure * BINS) - 1).clamp(0, BINS - 1).long()


def _apart(p: Tensor, hits: Tensor) -> float:
    sure = p.max(1).values
    apart = torch.zeros(BINS, dtype=torch.float64).index_add_(0, _places(sure), hits.double() - sure)
    return float(apart.abs().sum() / len(p))


def _redrawn(p: Tensor, hits: Tensor) -> float | None:
    """Bootstrap standard error of the calibration error."""
    n = len(p)
    if n < 2:
        return None
    stream = torch.Generator().manual_seed(mix(0, 13))
    drawn = [torch.randint(n, (n,), generator=stream) for _ in range(_REDRAWN)]
    return float(torch.tensor([_apart(p[at], hits[at]) for at in drawn], dtype=torch.float64).std())

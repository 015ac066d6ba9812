"""The small recurrent networks by which `timegan` judges series, by either of its protocols."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ectype.metrics import mean_error, share_error

_BATCH = 128
_UNITS = 16
_RATE = 1e-3


def units(features: int, protocol: str) -> int:
    """Units of a GRU for series of C features."""
    return features // 2 if protocol == "timegan" else max(_UNITS, features)


@final
class _Reader(nn.Module):
    """One GRU layer and one number, of the last step or of each: (B, T, C) to (B, 1) or (B, T, 1)."""

    def __init__(self, features: int, units: int, protocol: str, *, every: bool) -> None:
        super().__init__()
        self.gru = nn.GRU(features, units, batch_first=True)
        self.head = nn.Linear(units, 1)
        self.every = every
        read, kept, bias, other = self.gru.parameters()
        (_as_grucell if protocol == "timegan" else _as_keras)(read, kept, bias)
        nn.init.xavier_uniform_(self.head.weight)
        for unused in (other, self.head.bias):  # theirs have one bias of each product
            nn.init.zeros_(unused)

    def forward(self, x: Tensor) -> Tensor:
        states, last = self.gru(x)
        found: Tensor = self.head(states if self.every else last[0])
        return found


def _as_keras(read: Tensor, kept: Tensor, bias: Tensor) -> None:
    """Products (3U, C) of the input uniform and (3U, U) of the state orthogonal, and (3U,) no bias: without
    this two units sometimes never come to tell anything.
    """
    nn.init.xavier_uniform_(read)
    nn.init.orthogonal_(kept)
    nn.init.zeros_(bias)


@torch.no_grad()
def _as_grucell(read: Tensor, kept: Tensor, bias: Tensor) -> None:
    """As TensorFlow 1's GRUCell begins: its two products, of both gates (2U of the 3U rows) and of the
    candidate, read input and state at once and are uniform as Glorot and Bengio 2010, "Understanding the
    difficulty of training deep feedforward neural networks", equation 16, have it; the gates' bias is 1.
    """
    units, both = kept.shape[1], read.shape[1] + kept.shape[1]
    for rows, wide in ((slice(0, 2 * units), 2 * units), (slice(2 * units, None), units)):
        bound = math.sqrt(6 / (both + wide))
        for weight in (read, kept):
            weight[rows].uniform_(-bound, bound)
    bias.copy_(torch.arange(3 * units) < 2 * units)


def told_apart(
    fit: tuple[Tensor, Tensor],
    test: tuple[Tensor, Tensor],
    protocol: str,
    stream: torch.Generator,
    steps: int,
) -> tuple[float, float]:
    """|accuracy - ½| on made and real series (N, T, C), and its standard error, of a GRU fitted to others."""
    features = fit[0].shape[2]
    reader = _new(features, units(features, protocol), protocol, stream, every=False)

    def loss() -> Tensor:
        drawn = [_drawn(x, stream) for x in fit]
        made, real = reader(torch.cat(drawn)).split([len(x) for x in drawn])
        return F.softplus(made).mean() + F.softplus(-real).mean()

    _descend(reader, loss, steps)
    with torch.no_grad():
        hits = torch.cat([reader(test[0]) <= 0, reader(test[1]) > 0]).flatten()
    accuracy, error = share_error(hits)
    return abs(accuracy - 0.5), error


def predicted(
    fit: Tensor, test: Tensor, protocol: str, stream: torch.Generator, steps: int
) -> tuple[float, float | None]:
    """Mean |error| on series (N, T, C), and its standard error, of a GRU fitted to others."""
    features, alone, bounded = fit.shape[2], fit.shape[2] == 1, protocol == "timegan"
    reader = _new(max(1, features - 1), units(features, protocol), protocol, stream, every=True)

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


def _new(features: int, units: int, protocol: str, stream: torch.Generator, *, every: bool) -> _Reader:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**62, (), generator=stream)))
        return _Reader(features, units, protocol, every=every)


def _descend(reader: _Reader, loss: Callable[[], Tensor], steps: int) -> None:
    optimiser = torch.optim.Adam(reader.parameters(), _RATE)
    with torch.enable_grad():
        for _ in range(steps):
            optimiser.zero_grad()
            loss().backward()
            optimiser.step()


def order(x: Tensor, stream: torch.Generator) -> Tensor:
    """The numbers of N items in random order, (N,)."""
    return torch.randperm(len(x), generator=stream)


def _drawn(x: Tensor, stream: torch.Generator) -> Tensor:
    return x[order(x, stream)[:_BATCH]]

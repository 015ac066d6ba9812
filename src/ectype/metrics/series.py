"""How near made series are to real ones: can a recurrent network tell, and does one learn as much from them?

    discriminative   |accuracy - 1/2| of a GRU that tells real series from made ones on held-out ones of both
    predictive       mean absolute error of a GRU, trained on made series alone, that says the next value of
                     the last feature from the features before it, on real series, as a share of its range
    autocorrelation  mean |difference| of the features' autocorrelations at lags 1, 2, …
    correlation      mean |difference| of the correlations between features

The first two are those of Yoon, Jarrett and van der Schaar 2019, "Time-series generative adversarial
networks", section 5.1, exactly as in the authors' code with `published=True`: GRU of ⌊C/2⌋ units, Adam 1e-3,
2,000 and 5,000 steps of 128, random split, real series of train and test alike. That has faults: 2 units for
5 features see little, none at all are left for one feature, and where windows overlap the split lets the
network know the steps it is asked about. Ours has max(16, C) units, learns from train and is asked about
test, and the same score of real series against real ones stands beside.
"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ectype.errors import DataError
from ectype.metrics import REAL, Score
from ectype.noise import mix

LEAST = 200
_BATCH = 128
_LAGS = 24


@final
class _Recurrent(nn.Module):
    """One GRU and a linear output at each step: (B, T, C) to (B, T)."""

    def __init__(self, features: int, units: int) -> None:
        super().__init__()
        self.gru = nn.GRU(features, units, batch_first=True)
        self.head = nn.Linear(units, 1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.gru(x)[0]).squeeze(2)
        return out


def _units(features: int, published: bool) -> int:
    if not published:
        return max(16, features)
    if features < 2:
        raise DataError("the published scores leave no unit for one feature: use ours")
    return features // 2


def _seeded(features: int, units: int, seed: int) -> _Recurrent:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(mix(seed, 40))
        return _Recurrent(features, units)


def scaled(*sets: Tensor) -> list[Tensor]:
    """Series (N, C, T) with each feature of the first set from 0 to 1, as (N, T, C); the others likewise."""
    low, high = sets[0].amin((0, 2)).view(-1, 1), sets[0].amax((0, 2)).view(-1, 1)
    return [((x - low) / (high - low).clamp(min=1e-7)).transpose(1, 2).contiguous() for x in sets]


def discriminative(
    real: Tensor,
    made: Tensor,
    *,
    held_out: tuple[Tensor, Tensor] | None = None,
    published: bool = False,
    steps: int = 2000,
    seed: int = 0,
) -> float:
    """|accuracy - 1/2| for series (N, T, C) scaled to 0 to 1; 0: they cannot be told apart.

    Arguments:
        real, made: to learn from; where nothing is held out, a random fifth of each is asked about.
        held_out: real and made series to be asked about.
        published: the network of the published protocol.
        steps: of training.
        seed: of the split, the weights and the order.
    """
    stream = torch.Generator().manual_seed(mix(seed, 41))
    if held_out is None:
        parts = []
        for x in (real, made):
            order = torch.randperm(len(x), generator=stream)
            cut = int(0.8 * len(x))
            parts.append((x[order[:cut]], x[order[cut:]]))
        (real, other), (made, fake) = parts
    else:
        other, fake = held_out
    network = _seeded(real.shape[2], _units(real.shape[2], published), seed)
    adam = torch.optim.Adam(network.parameters(), lr=1e-3)
    label = torch.cat([torch.ones(_BATCH), torch.zeros(_BATCH)])
    for _ in range(steps):
        at = [torch.randint(len(x), (_BATCH,), generator=stream) for x in (real, made)]
        loss = F.binary_cross_entropy_with_logits(
            network(torch.cat([real[at[0]], made[at[1]]]))[:, -1], label
        )
        adam.zero_grad()
        loss.backward()
        adam.step()
    with torch.no_grad():
        right = [(network(other)[:, -1] > 0).double(), (network(fake)[:, -1] <= 0).double()]
    accuracy = float(torch.cat(right).mean()) if published else float(sum(r.mean() for r in right) / 2)
    return abs(accuracy - 0.5)


def predictive(
    real: Tensor, made: Tensor, *, published: bool = False, steps: int = 5000, seed: int = 0
) -> float:
    """Mean absolute error on real series of what was learned from made ones, (N, T, C) scaled to 0 to 1.

    As published the last feature at a step is said from the other features up to the step before; ours sees
    the last feature up to there too, and so has something to say of series of one feature.
    """
    features = real.shape[2]
    reads = features - 1 if published else features
    network = _seeded(max(1, reads), _units(features, published), seed)
    adam = torch.optim.Adam(network.parameters(), lr=1e-3)
    stream = torch.Generator().manual_seed(mix(seed, 42))
    for _ in range(steps):
        x = made[torch.randint(len(made), (_BATCH,), generator=stream)]
        loss = (torch.sigmoid(network(x[:, :-1, :reads])) - x[:, 1:, -1]).abs().mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    with torch.no_grad():
        said = torch.cat([torch.sigmoid(network(x[:, :-1, :reads])) for x in real.split(1000)])
    return float((said - real[:, 1:, -1]).abs().mean())


def autocorrelations(x: Tensor) -> Tensor:
    """(C, L) of series (N, C, T): correlation of a feature with itself `lag` steps later, lags 1 to L."""
    d = x.double() - x.double().mean((0, 2), keepdim=True)
    spread = d.square().mean((0, 2)).clamp(min=1e-12)
    lags = range(1, min(_LAGS, x.shape[2] - 1) + 1)
    return torch.stack([(d[:, :, lag:] * d[:, :, :-lag]).mean((0, 2)) / spread for lag in lags], 1)


def correlations(x: Tensor) -> Tensor:
    """(C, C) of series (N, C, T) between features at the same step."""
    rows = x.double().transpose(0, 1).flatten(1)
    d = rows - rows.mean(1, keepdim=True)
    spread = d.square().mean(1).sqrt().clamp(min=1e-12)
    return (d @ d.T / rows.shape[1]) / spread.outer(spread)


def likeness(
    made: Tensor, real: Tensor, train: Tensor, *, split: str, seed: int, judged: bool = True
) -> list[Score]:
    """The scores of made series (N, C, T) beside the same of as many training ones.

    Arguments:
        made: made series in the model's scale.
        real: held-out real ones.
        train: real ones of the train split.
        split: which part of the data `real` is.
        seed: of the networks.
        judged: whether to fit the recurrent networks too, which takes most of the time.
    """
    n = min(len(made), len(train))
    scores = []
    measures = [("autocorrelation distance", autocorrelations)]
    if real.shape[1] > 1:
        measures.append(("correlation distance", correlations))
    for name, of in measures:
        value, floor = (float((of(x) - of(real)).abs().mean()) for x in (made, train[:n]))
        scores.append(
            Score(name, value, "", "lower", len(made), split, seed, floor=floor, floor_name=REAL, least=LEAST)
        )
    half, third = len(made) // 2, len(train) // 3
    if not judged or min(half, third, len(real)) < 50:
        return scores
    shown = scaled(train, real, made)
    learned, asked, fake = shown
    note = f"a GRU of {_units(real.shape[1], False)} units; |accuracy - 0.5| on held-out series"
    told = discriminative(learned, fake[:half], held_out=(asked, fake[half:]), seed=seed)
    # the same question with real series in the place of the made ones
    own = learned.split(third)
    floor = discriminative(own[0], own[1], held_out=(asked, own[2]), seed=seed)
    guess, best = (predictive(asked, x, steps=2000, seed=seed) for x in (fake, learned))
    scores.append(
        Score("discriminative score", told, "", "lower", len(made), split, seed, floor=floor, floor_name=REAL,
              least=LEAST, note=note)
    )  # fmt: skip
    scores.append(
        Score("predictive score", guess, "of the range", "lower", len(real), split, seed, floor=best,
              floor_name=REAL, least=LEAST, note="a GRU learns from made series and is asked about real ones")
    )  # fmt: skip
    return scores

"""Gaps in time series, filled by a model that is searched, and how near that comes to what was there.

    one length     misfit(z) = mean (x - E[x | z])² over what is known
    many lengths   misfit(z) = - sum log p(x | z) over what is known - log p(n ∈ L | z)

A model of many lengths says two things of a series, its numbers and how many steps n it has, and learns no
number that lies after an end. What z says of a step thus means something only where z lets a series last so
long: L is the one length that a series with gaps has, and for what comes next every length that reaches as
far. Nats weigh the numbers and the length as the model does; every model of many lengths has them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, final

import numpy as np
import torch
from torch import Tensor

from ectype.errors import DataError, UsageError
from ectype.jobs import outputs
from ectype.jobs.decoding import evaluating, noise_of_pixels
from ectype.jobs.fills import searched
from ectype.jobs.inputs import Items, device_of
from ectype.kinds.series import Series
from ectype.likelihoods import Distribution, each
from ectype.likelihoods.categorical import CategoricalDistribution
from ectype.likelihoods.product import ProductDistribution
from ectype.metrics import Score, mean_error, share_error
from ectype.models.inversion import Misfit, misfit
from ectype.noise import mix

if TYPE_CHECKING:
    from ectype.context import Context
    from ectype.runs import Run

_BATCH = 100
_MIDDLE = (0.1, 0.9)  # quantiles between which 80 % of the truth should lie
_ENOUGH = 10  # draws from which an interval is worth telling


@final
@dataclass(frozen=True)
class Shown:
    """Series and what of them a model is shown.

    Arguments:
        stored: (N, C, T) in the data's units, NaN where nothing is known.
        seen: (N, C, T) which values the model is shown.
        ends: (N,) steps that each is to have when it is filled; T where all have the same.
        open: whether what they are from may go on after that.
    """

    stored: Tensor
    seen: Tensor
    ends: Tensor
    open: bool = False

    @classmethod
    def begun(cls, stored: Tensor, ends: Tensor, steps: int) -> Self:
        """Series (N, C, T) that are shown but for the last so many steps before their ends (N,)."""
        before = torch.arange(stored.shape[2]) < (ends - steps).unsqueeze(1)
        return cls(stored, ~stored.isnan() & before.unsqueeze(1), ends, open=True)

    def __len__(self) -> int:
        return len(self.stored)

    @property
    def known(self) -> Tensor:
        """(N, C, T) in the data's units, NaN where the model is shown nothing."""
        return torch.where(self.seen, self.stored, torch.nan)

    def __getitem__(self, at: slice) -> Shown:
        return Shown(self.stored[at], self.seen[at], self.ends[at], self.open)


def ends_of(kind: Series, items: Items, stored: Tensor) -> Tensor:
    """(N,) steps of items whose stored arrays are (N, C, T), with gaps at the end where that is known."""
    steps = items.data.steps
    return kind.steps(stored) if steps is None or not kind.varies else steps[items.indices]


def filled(
    run: Run,
    kind: Series,
    shown: Shown,
    context: Context | None,
    *,
    draws: int,
    seed: int,
    noise: bool,
    temperature: float,
) -> Tensor:
    """(draws, N, C, T) in the data's units: what is shown as it is, the rest as the model says.

    After its end a series is NaN.

    Arguments:
        kind: the run's.
        context: of all N series, or None.
        draws, seed, noise, temperature: as of the jobs.
    """
    parts = []
    for start in range(0, len(shown), _BATCH):
        part = shown[start : start + _BATCH]
        numbers = range(start, start + len(part))
        far = _misfit(kind, part, device_of(run))
        given = None if context is None else context[start : start + _BATCH]
        found = []
        with evaluating(run):
            for j in range(draws):
                p = searched(run, given, numbers, j, far, seed=seed, temperature=temperature)
                y = p.draw(noise_of_pixels(mix(seed, j), numbers)) if noise else p.mean
                made = torch.from_numpy(kind.stored(kind.lasting(y, part.ends)))
                found.append(torch.where(part.seen, part.stored, made))
        parts.append(torch.stack(found))
    return torch.cat(parts, 1)


def _misfit(kind: Series, shown: Shown, device: torch.device) -> Misfit:
    """How badly what is said of series agrees with what is shown of them."""
    x, seen = kind.tensor(shown.stored).to(device), shown.seen.to(device)
    if not kind.varies:
        return misfit(x, seen)
    x = x[:, :-1].reshape(seen.shape)
    steps, ends = torch.arange(kind.length + 1, device=device), shown.ends.to(device).unsqueeze(1)
    right = steps >= ends if shown.open else steps == ends

    def nats(p: Distribution) -> Tensor:
        numbers, lengths = p.parts if isinstance(p, ProductDistribution) else (p, p)
        if not isinstance(lengths, CategoricalDistribution):
            raise UsageError("a model of series of many lengths says how probable each length is")
        lasts = lengths.log_p.masked_fill(~right, -torch.inf).logsumexp(1)
        return -each(numbers.log_prob(x), seen) - lasts

    return nats


def straight(known: Tensor) -> Tensor:
    """(N, C, T) with NaN replaced by a line between neighbours, by the nearest value at the ends."""
    rows = known.numpy().reshape(-1, known.shape[2]).copy()
    across = np.arange(rows.shape[1])
    for row in rows:
        there = ~np.isnan(row)
        row[~there] = np.interp(across[~there], across[there], row[there]) if there.any() else np.nan
    return torch.from_numpy(rows.reshape(known.shape))


def quantile(made: Tensor, q: float) -> Tensor:
    """What one more draw lies below with probability q, of n draws (n, ...): draw i stands at i / (n + 1).

    Hyndman and Fan 1996, "Sample quantiles in statistical packages", definition 6. With torch's own, their
    definition 7, one more of 20 draws lies between the 10 and 90 % quantiles 72 times in 100.
    """
    n = len(made)
    return torch.quantile(made, min(max((q * (n + 1) - 1) / (n - 1), 0.0), 1.0), 0)


def tell_distance(
    kind: Series, made: Tensor, shown: Shown, plain_name: str, *, split: str, seed: int
) -> None:
    """Say how near the mean fill is to what was hidden, in deviations of each feature.

    Arguments:
        made: (draws, N, C, T) in the data's units.
        shown: with what there was in `stored`.
        plain_name: what a line between the neighbours that were shown is called.

    Raises DataError where nothing was hidden beside something that was shown.
    """
    true, plain = shown.stored, straight(shown.known)
    hidden = ~true.isnan() & ~shown.seen & ~plain.isnan()  # both are measured on the same values
    if not hidden.any():
        raise DataError(f"nothing could be hidden of the {len(true)} series of '{split}': name another split")
    std = torch.tensor(kind.std).view(-1, 1)
    gap = ((made.mean(0) - true) / std)[hidden].double().square()
    far = ((plain - true) / std)[hidden].double().square()
    value, error = mean_error(gap)
    root = value**0.5
    told: dict[str, Any] = {"n": int(hidden.sum()), "split": split, "seed": seed}
    scores = [
        Score("fill_rmse", root, "deviations", "lower", **told, error=(error or 0) / max(2 * root, 1e-12),
              floor=float(far.mean()) ** 0.5, floor_name=plain_name, note=f"mean of {len(made)} fills")
    ]  # fmt: skip
    if len(made) >= _ENOUGH:
        low, high = (quantile(made, q) for q in _MIDDLE)
        share, bar = share_error(((low <= true) & (true <= high))[hidden])
        scores.append(
            Score("inside 80 %", share, "", "neither", **told, error=bar, floor=0.8, floor_name="ideal",
                  note="values between the 10 % and 90 % quantiles of the fills")
        )  # fmt: skip
    outputs.tell_scores(scores)

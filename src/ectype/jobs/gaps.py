"""Gaps in time series, filled by a model that is searched, and how near that comes to what was there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ectype.jobs import outputs
from ectype.jobs.decoding import evaluating, noise_of_pixels
from ectype.jobs.fills import searched
from ectype.jobs.inputs import device_of
from ectype.metrics import Score, mean_error, share_error
from ectype.noise import mix

if TYPE_CHECKING:
    from ectype.context import Context
    from ectype.kinds.series import Series
    from ectype.runs import Run

_BATCH = 100
_MIDDLE = (0.1, 0.9)  # quantiles between which 80 % of the truth should lie
_ENOUGH = 10  # draws from which an interval is worth telling


def filled(
    run: Run,
    stored: Tensor,
    seen: Tensor,
    context: Context | None,
    *,
    draws: int,
    seed: int,
    noise: bool,
    temperature: float,
) -> Tensor:
    """(draws, N, C, T) in the data's units: known values as they are, the others as the model says.

    Arguments:
        stored: (N, C, T) in the data's units, NaN where nothing is known.
        seen: (N, C, T) which values the model is shown.
        context: of all N series, or None.
        draws, seed, noise, temperature: as of the jobs.
    """
    parts = []
    with evaluating(run):
        for start in range(0, len(stored), _BATCH):
            own, there = stored[start : start + _BATCH], seen[start : start + _BATCH]
            numbers = range(start, start + len(own))
            x = run.kind.tensor(own).to(device_of(run))
            given = None if context is None else context[start : start + _BATCH]
            found = []
            for j in range(draws):
                p = searched(
                    run, given, numbers, j, x, there.to(x.device), seed=seed, temperature=temperature
                )
                y = p.draw(noise_of_pixels(mix(seed, j), numbers)) if noise else p.mean
                found.append(torch.where(there, own, torch.from_numpy(run.kind.stored(y))))
            parts.append(torch.stack(found))
    return torch.cat(parts, 1)


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
    kind: Series, made: Tensor, true: Tensor, seen: Tensor, plain_name: str, *, split: str, seed: int
) -> None:
    """Say how near the mean fill is to what was hidden, in deviations of each feature.

    Arguments:
        made: (draws, N, C, T) in the data's units.
        true: (N, C, T) what there was, NaN where nothing is known.
        seen: (N, C, T) what the model was shown.
        plain_name: what a line between the neighbours that were shown is called.
    """
    hidden, plain = ~true.isnan() & ~seen, straight(torch.where(seen, true, torch.nan))
    std = torch.tensor(kind.std).view(-1, 1)
    gap = ((made.mean(0) - true) / std)[hidden].double().square()
    far = ((plain - true) / std)[hidden & ~plain.isnan()].double().square()
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

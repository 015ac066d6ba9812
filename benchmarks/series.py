"""Sines and Stocks: can made time series be told from real ones, and does a network learn as much from them?

    ./dev bench series [--sets sines,stocks] [--families vae] [--seeds 1] [--minutes 2] [--network mlp]

The protocol of Yoon, Jarrett and van der Schaar 2019, "Time-series generative adversarial networks", as in
their code: Sines are 10,000 series of 24 steps and 5 features, (sin(f j + p) + 1) / 2 with f and p uniform
in [0, 0.1]; Stocks are all windows of 24 days of the six columns of Google's prices
(../shared/data/timeseries), each column scaled to 0 to 1. As many are made as there are real ones; scores
are the mean of `--runs` networks (`ectype.metrics.timegan`). The model learns from all
windows, as theirs did; of each step one value is drawn, the mean plus the learned noise. Beside: the same
for real series (half against half; learned from real ones).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from _record import measure
from _sources import folder
from torch import Tensor

from ectype.assembly import build
from ectype.data.data import Data
from ectype.data.reading import read
from ectype.metrics import Score
from ectype.metrics.timegan import Compared, discriminative, predictive
from ectype.training.loop import fit

NAME = "series"
STEPS = 24
Array = np.ndarray[Any, Any]


def sines(seed: int) -> Array:
    """(10,000, 24, 5) of the published law."""
    random = np.random.default_rng(seed)
    f, p = random.uniform(0, 0.1, (2, 10_000, 1, 5))
    series: Array = ((np.sin(f * np.arange(STEPS)[None, :, None] + p) + 1) / 2).astype(np.float32)
    return series


def stocks(seed: int) -> Array:
    """(3,661, 24, 6), each column from 0 to 1 over the whole table; their code leaves out the last window."""
    table = np.genfromtxt(next(folder("timeseries").glob("*stock*.csv")), delimiter=",", skip_header=1)
    rows = table[::-1]
    rows = (rows - rows.min(0)) / (rows.max(0) - rows.min(0) + 1e-7)
    windows = np.lib.stride_tricks.sliding_window_view(rows, STEPS, axis=0)[:-1].transpose(0, 2, 1)
    order = np.random.default_rng(seed).permutation(len(windows))
    series: Array = np.ascontiguousarray(windows[order], np.float32)
    return series


def whole(values: Array) -> Data:
    """All windows to learn from; every tenth is also what the weights are chosen by."""
    data = read(values, kind="series")
    every = data.splits["all"]
    data.splits = {**data.splits, "train": every, "select": every[::10]}
    return data


def made(data: Data, model: Any, n: int, seed: int) -> Tensor:
    """(n, T, C) drawn from the model, in the data's units."""
    stream, parts = torch.Generator().manual_seed(seed), []
    with torch.no_grad():
        for start in range(0, n, 500):
            count = min(500, n - start)
            p = model.decode(model.latents(count, None).draw(stream))
            parts.append(p.draw(stream) if hasattr(p, "log_scale") else p.mean)
    return torch.from_numpy(data.kind.stored(torch.cat(parts))).transpose(1, 2).clamp(0, 1)


def score(of: Callable[..., Score], fake: Tensor, real: Tensor, seed: int) -> float:
    """A published score of series (N, T, C)."""
    return of(Compared(fake.mT, real.mT), protocol="timegan", seed=seed).value


def measured(name: str, family: str, seed: int, asked: argparse.Namespace) -> dict[str, Any]:
    """Train one model and score it by the published protocol."""
    torch.set_num_threads(1)
    values = {"sines": sines, "stocks": stocks}[name](seed)
    data = whole(values)
    options = {} if asked.network is None else {"network": asked.network}
    model = build(family, data, seed=seed, **options)
    began = time.perf_counter()
    *_, last = fit(model, data, minutes=asked.minutes, seed=seed, threads=1)
    seconds = time.perf_counter() - began
    real = torch.from_numpy(values)
    fake = made(data, model, len(real), seed)
    runs = range(asked.runs)
    halves = real[torch.randperm(len(real), generator=torch.Generator().manual_seed(seed))].chunk(2)
    told = [score(discriminative, fake, real, run) for run in runs]
    guess = [score(predictive, fake, real, run) for run in runs]
    return {
        "discriminative": round(float(np.mean(told)), 4),
        "discriminative_spread": round(float(np.std(told)), 4),
        "predictive": round(float(np.mean(guess)), 4),
        "real_discriminative": round(score(discriminative, halves[0], halves[1], 0), 4),
        "real_predictive": round(score(predictive, real, real, 0), 4),
        "seconds": round(seconds, 1),
        "steps": last.number,
    }


def main() -> None:
    """Measure every set, family and seed that is missing."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", default="sines,stocks")
    parser.add_argument("--families", default="vae")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--network", default=None)
    parser.add_argument("--again", action="store_true")
    asked = parser.parse_args()
    network = asked.network or "default network"
    protocol = f"{asked.minutes:g} minutes on one thread, {network}; {asked.runs} scoring networks"
    for seed in range(asked.seeds):
        for name in asked.sets.split(","):
            for family in asked.families.split(","):
                measure(
                    NAME,
                    {"set": name, "family": family, "network": asked.network, "seed": seed},
                    protocol,
                    lambda n=name, f=family, s=seed: measured(n, f, s, asked),
                    again=asked.again,
                )


if __name__ == "__main__":
    main()

"""Ring of 8 and grid of 25 Gaussians: modes, quality and coverage of the default GAN, and of a sweep of γ.

    ./dev bench ring_grid [--seeds 10] [--first 0] [--sets ring,grid] [--steps 6000 --sweep] [--again]

The protocol of Lin, Khetan, Fanti and Oh 2018, "PacGAN" (its synthetic experiments): 100,000 points, a
made point within 3 deviations of the nearest centre is of high quality, a mode is covered when one of
2,500 made points is of high quality there; reverse KL of the modes of high-quality points against the
uniform distribution, here over 100,000 points. A perfect sampler has 98.89 % of high quality and a KL of
(modes - 1) / 200,000. One thread per seed; two can run side by side (`--first`). `--sweep` trains each of
seven fixed γ beside the automatic one; with `--steps` runs are as short as that, and count apart.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import torch
from _record import measure

from ectype.assembly import build
from ectype.data.reading import read
from ectype.training.loop import fit

NAME = "ring_grid"
DEVIATION = {"ring": 0.01, "grid": 0.05}
MODES = {"ring": 8, "grid": 25}
STEPS = {"ring": 30_000, "grid": 48_000}
FACTORS = (1e-3, 1e-2, 1e-1, 1, 10, 100, 1000)  # of the γ the controller starts from


def centres(name: str) -> np.ndarray[Any, Any]:
    """The true centres (K, 2)."""
    if name == "ring":
        angles = 2 * np.pi * np.arange(8) / 8
        return np.stack([np.cos(angles), np.sin(angles)], 1)
    steps = np.arange(-4.0, 5.0, 2.0)
    return np.stack(np.meshgrid(steps, steps, indexing="ij"), -1).reshape(-1, 2)


def judged(points: np.ndarray[Any, Any], name: str) -> tuple[int, float, float, float]:
    """Covered modes, share of high quality, reverse KL (nats) and deviation ratio within the modes."""
    middle = centres(name)
    squares = ((points[:, None] - middle[None]) ** 2).sum(2)
    nearest, distance = squares.argmin(1), np.sqrt(squares.min(1))
    good = distance < 3 * DEVIATION[name]
    counts = np.bincount(nearest[good], minlength=len(middle))
    p = counts / max(1, counts.sum())
    kl = float((p[p > 0] * np.log(p[p > 0] * len(middle))).sum())
    near = np.where(good)[0]
    spread = (points[near] - middle[nearest[near]]).std() / DEVIATION[name] if len(near) else 0.0
    return int((counts > 0).sum()), float(good.mean()), kl, float(spread)


def measured(name: str, seed: int, steps: int, gamma: float | None) -> dict[str, Any]:
    """Train one seed on one thread and judge what it makes."""
    torch.set_num_threads(1)
    data = read(name)
    chosen = {} if gamma is None else {"gamma": gamma}
    model = build("gan", data, seed=seed, **chosen)
    began = time.perf_counter()
    *_, last = fit(model, data, steps=steps, seed=seed, threads=1)
    seconds = time.perf_counter() - began
    with torch.no_grad():
        z = model.latents(100_000, None).draw(torch.Generator().manual_seed(seed))
        points = data.kind.stored(model.decode(z).mean)
    modes, _, _, _ = judged(points[:2500], name)
    _, quality, kl, spread = judged(points, name)
    return {
        "modes": modes,
        "quality": round(quality, 5),
        "kl": round(kl, 5),
        "spread": round(spread, 3),
        "seconds": round(seconds, 1),
        "steps": last.number,
        "gamma": round(float(model.balance.gamma), 6),
    }


def main() -> None:
    """Measure every seed that is missing."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--sets", default="ring,grid")
    parser.add_argument("--steps", type=int, default=None, help="default: 30,000 and 48,000")
    parser.add_argument("--sweep", action="store_true", help="7 fixed values of γ beside the automatic one")
    parser.add_argument("--again", action="store_true")
    asked = parser.parse_args()
    for seed in range(asked.first, asked.first + asked.seeds):
        for name in asked.sets.split(","):
            steps = asked.steps or STEPS[name]
            short = {"steps": asked.steps} if asked.steps else {}
            protocol = (
                f"{steps:,} steps on one thread, defaults; 2,500 points for modes, 100,000 for the rest"
            )
            start = 1e-4 * 2
            for gamma in [None, *(start * f for f in FACTORS)] if asked.sweep else [None]:
                measure(
                    NAME,
                    {"set": name, "gamma": gamma, "seed": seed, **short},
                    protocol,
                    lambda name=name, seed=seed, gamma=gamma, steps=steps: measured(name, seed, steps, gamma),
                    again=asked.again,
                )


if __name__ == "__main__":
    main()

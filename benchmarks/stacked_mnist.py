"""Stacked MNIST: how many of 1,000 modes the default GAN makes, and how evenly.

    ./dev bench stacked_mnist [--seeds 3] [--first 0] [--minutes 20] [--network conv] [--width 16]
                              [--threads 2] [--again]

The protocol of Srivastava et al. 2017, "VEEGAN", and of Lin, Khetan, Fanti and Oh 2018, "PacGAN": three
random digits as the channels of one picture, 128,000 of them drawn from train and test together; 26,000
made pictures, each channel named by a classifier; a mode is a triple that was made at least once, KL of
the triples against the uniform distribution, nats. The classifier is trained on the spot on MNIST's train
split, its accuracy on the test split stands beside. Floors: the same score for 26,000 real pictures drawn
anew. 28 x 28 instead of 32 x 32, and a width that two cores can train.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import torch
from _record import measure
from _sources import folder
from torch import Tensor

from ectype.assembly import build
from ectype.data.data import Data
from ectype.data.reading import read
from ectype.metrics.classifier import Classifier
from ectype.training.loop import fit

NAME = "stacked_mnist"
TRIPLES, MADE = 128_000, 26_000


def digits() -> tuple[Data, np.ndarray[Any, Any]]:
    """MNIST as ectype reads it, and all its pictures (70,000, 28, 28)."""
    data = read(str(folder("mnist")))
    return data, np.stack([np.asarray(item) for item in data.items(data.splits["all"])])


def stacked(pictures: np.ndarray[Any, Any], count: int, seed: int) -> np.ndarray[Any, Any]:
    """Triples (count, 28, 28, 3) of random pictures."""
    at = np.random.default_rng(seed).integers(len(pictures), size=(count, 3))
    return np.ascontiguousarray(pictures[at].transpose(0, 2, 3, 1))


def modes(judge: Classifier, x: Tensor) -> tuple[int, float]:
    """Triples seen and KL of their shares against uniform, nats, for x (N, 3, 28, 28) in [0, 1]."""
    named = torch.stack([judge(x[:, c : c + 1]).argmax(1) for c in range(3)], 1)
    counts = torch.bincount(named @ torch.tensor([100, 10, 1]), minlength=1000).double()
    p = counts / counts.sum()
    return int((counts > 0).sum()), float((p[p > 0] * (p[p > 0] * 1000).log()).sum())


def measured(seed: int, asked: argparse.Namespace) -> dict[str, Any]:
    """Train one seed and count what it makes."""
    torch.set_num_threads(asked.threads)
    single, pictures = digits()
    judge = Classifier(single, seed=0)
    test = single.splits["test"]
    labels = torch.as_tensor(single.labels)[test]
    right = float((judge.of(single, test).argmax(1) == labels).double().mean())
    real = torch.from_numpy(stacked(pictures, MADE, 10_000 + seed).transpose(0, 3, 1, 2)).float() / 255
    floor = modes(judge, real)
    data = read(stacked(pictures, TRIPLES, seed))
    model = build("gan", data, seed=seed, network=asked.network, width=asked.width)
    began = time.perf_counter()
    *_, last = fit(model, data, minutes=asked.minutes, seed=seed, threads=asked.threads)
    seconds = time.perf_counter() - began
    stream = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        z = model.latents(MADE, None).draw(stream)
        x = torch.cat([model.decode(part).mean.clamp(0, 1) for part in z.split(500)])
    found = modes(judge, x)
    return {
        "modes": found[0],
        "kl": round(found[1], 4),
        "floor_modes": floor[0],
        "floor_kl": round(floor[1], 4),
        "judge": round(right, 4),
        "parameters": sum(p.numel() for p in model.parameters()),
        "steps": last.number,
        "seconds": round(seconds, 1),
        "gamma": float(model.balance.gamma),
        "put_back": sum("action" in event for event in last.events),
    }


def main() -> None:
    """Measure every seed that is missing."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, value in {"seeds": 3, "first": 0, "width": 16, "threads": 2}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--network", default="conv")
    parser.add_argument("--again", action="store_true")
    asked = parser.parse_args()
    protocol = (
        f"{asked.minutes:g} minutes, {asked.network} of width {asked.width}, defaults; {TRIPLES:,} triples, "
        f"{MADE:,} made"
    )
    for seed in range(asked.first, asked.first + asked.seeds):
        key = {"seed": seed, "threads": asked.threads}
        measure(NAME, key, protocol, lambda seed=seed: measured(seed, asked), again=asked.again)


if __name__ == "__main__":
    main()

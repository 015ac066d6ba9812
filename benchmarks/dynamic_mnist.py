"""Dynamically binarised MNIST under its labels, one layer 784-200-200-50: IWAE bound on the test set.

    ./dev bench dynamic_mnist [--seeds 1] [--minutes 50] [--threads 1] [--again]

Burda, Grosse and Salakhutdinov 2016, "Importance weighted autoencoders", section 5, binarise a picture
anew each time it is seen, and score 5,000 samples of z for each of the 10,000 test pictures. Their network
with tanh, trained with K = 1 on 3,280 epochs, reaches 86.76 nats without labels; with labels and a
learned p(z | label), 82.32 is published. The schedule here is shorter: a time, batch 100, ectype's cosine.
The test set is binarised once with a fixed seed.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import torch
from _record import measure
from _sources import folder

from ectype.assembly import build
from ectype.data.reading import read
from ectype.metrics.bounds import bounds
from ectype.training.loop import fit

NAME = "dynamic_mnist"
MODEL = {"network": "mlp", "latent": 50, "hidden": [200, 200], "activation": "tanh"}


def measured(seed: int, minutes: float, threads: int, prior: str, samples: int) -> dict[str, Any]:
    """Train one seed and bound log p of the test set under the labels: nats."""
    torch.set_num_threads(threads)
    data = read(str(folder("mnist")), binarise="dynamic", given="label")
    model = build("vae", data, seed=seed, prior=prior, **MODEL)
    began = time.perf_counter()
    *_, last = fit(model, data, minutes=minutes, seed=seed, threads=threads, batch=100)
    trained = time.perf_counter() - began
    found = bounds(model, data.batches("test", 100), samples=samples, seed=seed)
    nll = -found.iwae.double()
    return {
        "nll": round(float(nll.mean()), 4),
        "error": round(float(nll.std()) / len(nll) ** 0.5, 4),
        "items": len(nll),
        "samples": samples,
        "train_seconds": round(trained, 1),
        "steps": last.number,
        "epochs": round(last.number * 100 / len(data.splits["train"]), 1),
    }


def main() -> None:
    """Measure every seed that is missing."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=50.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--samples", type=int, default=5000)
    parser.add_argument("--prior", default="normal")
    parser.add_argument("--again", action="store_true")
    asked = parser.parse_args()
    protocol = (
        f"{asked.minutes:g} minutes, batch 100, {MODEL}, prior {asked.prior}, test IWAE K = {asked.samples}"
    )
    for seed in range(asked.seeds):
        measure(
            NAME,
            {"seed": seed, "prior": asked.prior, "threads": asked.threads},
            protocol,
            lambda seed=seed: measured(seed, asked.minutes, asked.threads, asked.prior, asked.samples),
            again=asked.again,
        )


if __name__ == "__main__":
    main()

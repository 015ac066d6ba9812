"""Static binarised MNIST, VAE 784-400-40: IWAE bound on the test set, and the time it took to train.

    ./dev bench mnist_mlp [--seeds 3] [--threads 2] [--again]

Published for this network: 89.8 to 89.9 nats (K = 200) after 500 epochs of Adam at 1e-4, batch 100.
Ours trains for a time instead, with ectype's own schedule and averaged weights; the valid split picks
the weights, the test split is scored once. Two priors over the same networks: N(0, 1), as published, and
the flow that is ectype's default.
"""

from __future__ import annotations

import time
from typing import Any

import torch
from _record import measure, options
from _sources import static_mnist

NAME = "mnist_mlp"
MINUTES, SAMPLES = 4.0, 1000
MODEL = {"network": "mlp", "latent": 40, "hidden": [400]}
PRIORS = ("flow", "normal")
FIT = {"batch": 250, "rate": 3e-3}
PROTOCOL = f"{MINUTES:g} minutes, {MODEL}, {FIT}, test IWAE K = {SAMPLES}"


def train_and_score(
    seed: int, threads: int, minutes: float, model: dict[str, Any], *, samples: int, **told: Any
) -> dict[str, Any]:
    """Train on static binarised MNIST and bound log p of its test set: nats, seconds, steps."""
    from _ours import binary_data

    from ectype.assembly import build
    from ectype.metrics.bounds import bounds
    from ectype.training.loop import fit

    torch.set_num_threads(threads)
    parts = static_mnist()
    data = binary_data({"train": parts["train"], "select": parts["valid"], "test": parts["test"]})
    vae = build("vae", data, seed=seed, **model)
    began, used = time.perf_counter(), time.process_time()
    *_, last = fit(vae, data, minutes=minutes, seed=seed, **told)
    trained, cpu = time.perf_counter() - began, time.process_time() - used
    found = bounds(vae, data.batches("test", 100), samples=samples, seed=seed)
    nll, count = -found.iwae.double(), len(found.iwae)
    return {
        "nll": round(float(nll.mean()), 4),
        "error": round(float(nll.std()) / count**0.5, 4),
        "elbo": round(float(found.elbo.double().mean()), 4),
        "items": count,
        "samples": samples,
        "train_seconds": round(trained, 1),
        "train_cpu_seconds": round(cpu, 1),
        "score_seconds": round(time.perf_counter() - began - trained, 1),
        "steps": last.number,
    }


def main() -> None:
    """Measure every seed that is missing."""
    asked = options(__doc__, seeds=3, threads=2)
    for prior in PRIORS:
        for seed in range(asked.seeds):
            measure(
                NAME,
                {"prior": prior, "seed": seed, "threads": asked.threads},
                PROTOCOL,
                lambda seed=seed, prior=prior: train_and_score(
                    seed, asked.threads, MINUTES, {**MODEL, "prior": prior}, samples=SAMPLES, **FIT
                ),
                again=asked.again,
            )


if __name__ == "__main__":
    main()

"""ectype's side of a comparison; `_sides.run` starts it with a task and its settings as JSON."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import numpy as np
import torch
from _nets import CASES, CASES_OF_TWO
from _record import versions
from _sources import Array, static_mnist

from ectype.data.data import Data
from ectype.data.store import Resident
from ectype.hardware import has_bf16
from ectype.kinds.image import Image
from ectype.likelihoods.bernoulli import Bernoulli
from ectype.likelihoods.point import Point
from ectype.metrics.bounds import bounds
from ectype.models.gan import GAN
from ectype.models.vae import VAE
from ectype.priors.normal import StandardNormal
from ectype.training.loop import fit
from ectype.training.session import Session
from ectype.training.step import Settings

CPU = torch.device("cpu")
Figures = dict[str, Any]


def binary_data(parts: dict[str, Array]) -> Data:
    """Binary pictures (N, 1, 28, 28) by split as ectype's data."""
    splits, start = {}, 0
    for name, array in parts.items():
        splits[name] = torch.arange(start, start + len(array))
        start += len(array)
    # a bit is stored as black or white
    stored = torch.from_numpy(255 * np.concatenate(list(parts.values())))
    return Data(Image(1, (28, 28), bits=1), Resident(stored), {**splits, "all": torch.arange(start)})


def peer_model(case: str) -> VAE:
    """The peer's network in ectype's VAE."""
    torch.manual_seed(0)
    encoder, decoder, latent = CASES[case]
    shape = Image(1, (28, 28), bits=1).shape
    return VAE(encoder(), decoder(), Bernoulli(shape), StandardNormal(latent, shape), warmup=0)


def train(case: str, items: int, epochs: int, batch: int, rate: float) -> Figures:
    """Milliseconds per step of `fit`, with what is no part of the peer's job switched off."""
    none = np.zeros((0, 1, 28, 28), np.uint8)  # no select split, no checks on it: as on the other side
    data = binary_data({"train": static_mnist()["train"][:items], "select": none, "test": none})
    model = peer_model(case)
    began = time.perf_counter()
    *_, last = fit(model, data, epochs=epochs, batch=batch, rate=rate, clip=0, half_life=0, patience=0)
    seconds = time.perf_counter() - began
    if not last.done:
        raise SystemExit("the run ended before its last step")
    return {
        "ms_per_step": round(1000 * seconds / last.total, 3),
        "steps": last.total,
        "parameters": sum(p.numel() for p in model.parameters()),
        "loss": round(last.loss, 2),
    }


def weights(path: str, steps: int) -> Figures:
    """Train the 784-400-40 VAE for a moment and write its weights, so that both sides score one model."""
    parts = static_mnist()
    data = binary_data({"train": parts["train"], "select": parts["valid"], "test": parts["test"]})
    model = peer_model("mlp")
    for _ in fit(model, data, steps=steps, seed=0):
        pass
    np.savez(path, **{name: p.detach().numpy() for name, p in model.named_parameters()})
    return {"steps": steps}


def score(path: str, items: int, samples: int, precision: str = "fp32", batch: int = 100) -> Figures:
    """Seconds for the IWAE bound of the first test items, and the bound, nats."""
    model = peer_model("mlp").eval()
    with np.load(path) as file:
        model.load_state_dict({k: torch.from_numpy(file[k]) for k in file.files}, strict=False)
    data = binary_data({"train": static_mnist()["test"][:items]})
    began = time.perf_counter()
    found = bounds(model, data.batches("train", batch), samples=samples, precision=precision).iwae.double()
    seconds = time.perf_counter() - began
    error = float(found.std() / len(found) ** 0.5)
    return {"seconds": round(seconds, 2), "nll": -float(found.mean()), "error": error, "items": items}


def game(case: str, steps: int, batch: int) -> Figures:
    """Milliseconds per step of both players of a GAN, as the loop makes them."""
    torch.manual_seed(0)
    critic, generator = CASES_OF_TWO[case]
    kind = Image(3, (32, 32), bits=8)
    pictures = torch.randint(0, 256, (2000, 3, 32, 32), dtype=torch.uint8)
    at = torch.arange(2000)
    splits = {"train": at, "select": at[:0], "test": at[:0], "all": at}
    model = GAN(
        critic(),
        generator(),
        Point(kind.shape),
        StandardNormal(100, kind.shape),
        adversary="ns",
        regularizer="none",
        augment=0.0,
    )
    model.betas = (0.5, 0.999)
    settings = Settings(batch, 2e-4, 0.0, 0.0, 0.0, 0.0, 0, "bf16" if has_bf16(CPU) else "fp32", None, 0)
    session = Session(model, Data(kind, Resident(pictures), splits), settings, CPU)
    session.begin(steps + 3, None, None)
    began = 0.0
    for i in range(steps + 3):
        if i == 3:
            began = time.perf_counter()
        session.step()
    seconds = time.perf_counter() - began
    count = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return {"ms_per_step": round(1000 * seconds / steps, 3), "steps": steps, "parameters": count}


TASKS = {"game": game, "train": train, "weights": weights, "score": score}

if __name__ == "__main__":
    settings = json.loads(sys.argv[2])
    torch.set_num_threads(settings.pop("threads"))
    figures = TASKS[sys.argv[1]](**settings)
    print(json.dumps({**figures, "versions": versions("ectype", "torch", "numpy")}))

"""ectype's side of a comparison; `_sides.run` starts it with a task and its settings as JSON."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import numpy as np
import torch
from _nets import CASES, CASES_OF_TWO, SentenceDecoder, SentenceEncoder
from _record import versions
from _sources import Array, folder, static_mnist
from torch import nn

from ectype.assembly import build
from ectype.data.data import Data
from ectype.data.reading import read
from ectype.data.store import Resident
from ectype.hardware import has_bf16
from ectype.kinds.image import Image
from ectype.likelihoods.bernoulli import Bernoulli
from ectype.likelihoods.categorical import Categorical
from ectype.likelihoods.point import Point
from ectype.metrics.bounds import bounds
from ectype.models import Model
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


def captions() -> Data:
    """COCO captions by words."""
    return read(folder("coco_captions_texygen") / "image_coco.txt", kind="words", seed=0)


def texts(path: str, items: int) -> Figures:
    """Write the first train captions as numbers, so that both sides read the same symbols."""
    data = captions()
    x = data.batch(data.splits["train"][:items]).x
    np.savez(path, texts=x.numpy(), vocabulary=data.kind.shape.vocabulary)
    return {"items": len(x), "vocabulary": data.kind.shape.vocabulary}


def sentence_model(case: str, data: Data, sizes: dict[str, int]) -> Model:
    """The peer's network in ectype's VAE, or ectype's own of as many units."""
    torch.manual_seed(0)
    units, latent = sizes["hidden_size"], sizes["latent_size"]
    if case == "own":
        return build("vae", data, units=units, latent=latent, seed=0)
    shape = data.kind.shape
    embedding = nn.Embedding(shape.vocabulary, sizes["embedding_size"])
    parts = (cls(embedding, units, latent) for cls in (SentenceEncoder, SentenceDecoder))
    return VAE(*parts, Categorical(shape), StandardNormal(latent, shape), warmup=0.5)


def sentences(case: str, path: str, steps: int, batch: int, rate: float, **sizes: int) -> Figures:
    """Milliseconds per step, by the clock and by the processor; `path` is the other side's."""
    data = captions()
    model = sentence_model(case, data, sizes)
    precision = "bf16" if has_bf16(CPU) else "fp32"
    session = Session(model, data, Settings(batch, rate, 0.0, 0.0, 0.0, 0.0, 0, precision, None, 0), CPU)
    session.begin(steps + 3, None, None)
    for _ in range(3):
        session.step()
    began, worked = time.perf_counter(), time.process_time()
    for _ in range(steps):
        session.step()
    seconds, cpu = time.perf_counter() - began, time.process_time() - worked
    return {
        "ms_per_step": round(1000 * seconds / steps, 2),
        "cpu_ms_per_step": round(1000 * cpu / steps, 2),
        "symbols_per_step": round(batch * symbols_each(data), 1),
        "steps": steps,
        "parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
    }


def symbols_each(data: Data) -> float:
    """Symbols of a train text, its end among them, on average."""
    return float((data.batch(data.splits["train"]).x != 0).sum(1).double().mean())


TASKS = {
    "game": game,
    "sentences": sentences,
    "texts": texts,
    "train": train,
    "weights": weights,
    "score": score,
}

if __name__ == "__main__":
    settings = json.loads(sys.argv[2])
    torch.set_num_threads(settings.pop("threads"))
    figures = TASKS[sys.argv[1]](**settings)
    print(json.dumps({**figures, "versions": versions("ectype", "torch", "numpy")}))

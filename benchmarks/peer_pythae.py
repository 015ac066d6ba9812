"""Pythae's side of a comparison, through its public API only, as one of its users would write it.

Runs in the peer's environment, where ectype is not installed (`_sides.py` says how to make it), and
imports nothing of ours but `_sources` and `_record`, which need only numpy.
"""

from __future__ import annotations

import json
import logging
import sys
import tempfile
import time
from typing import Any

import numpy as np
import torch
from _record import versions
from _sources import static_mnist
from pythae.data.datasets import BaseDataset
from pythae.models import VAE, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.models.nn.benchmarks.mnist import Decoder_Conv_AE_MNIST, Encoder_Conv_VAE_MNIST
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from torch import Tensor, nn

Figures = dict[str, Any]


class Encoder(BaseEncoder):
    """784-400-40, as in Pythae's own scripts that reproduce published results."""

    def __init__(self) -> None:
        BaseEncoder.__init__(self)
        self.layers = nn.Sequential(nn.Linear(784, 400), nn.ReLU())
        self.mu = nn.Linear(400, 40)
        self.std = nn.Linear(400, 40)

    def forward(self, x: Tensor) -> ModelOutput:
        h = self.layers(x.reshape(-1, 784))
        return ModelOutput(embedding=self.mu(h), log_covariance=self.std(h))


class Decoder(BaseDecoder):
    """40-400-784."""

    def __init__(self) -> None:
        BaseDecoder.__init__(self)
        self.layers = nn.Sequential(nn.Linear(40, 400), nn.ReLU(), nn.Linear(400, 784), nn.Sigmoid())

    def forward(self, z: Tensor) -> ModelOutput:
        return ModelOutput(reconstruction=self.layers(z).reshape(-1, 1, 28, 28))


def peer_model(case: str) -> VAE:
    """The network of a case in Pythae's VAE."""
    torch.manual_seed(0)
    latent = 40 if case == "mlp" else 16
    settings = VAEConfig(input_dim=(1, 28, 28), latent_dim=latent, reconstruction_loss="bce")
    if case == "mlp":
        return VAE(settings, Encoder(), Decoder())
    return VAE(settings, Encoder_Conv_VAE_MNIST(settings), Decoder_Conv_AE_MNIST(settings))


def train(case: str, items: int, epochs: int, batch: int, rate: float) -> Figures:
    """Milliseconds per step of `BaseTrainer.train`."""
    x = torch.from_numpy(static_mnist()["train"][:items]).float()
    model = peer_model(case)
    with tempfile.TemporaryDirectory() as folder:
        settings = BaseTrainerConfig(
            output_dir=folder,
            num_epochs=epochs,
            learning_rate=rate,
            per_device_train_batch_size=batch,
            optimizer_cls="Adam",
            no_cuda=True,
        )
        trainer = BaseTrainer(model, BaseDataset(x, torch.zeros(len(x))), training_config=settings)
        began = time.perf_counter()
        trainer.train()
        seconds = time.perf_counter() - began
    steps = epochs * -(-items // batch)
    with torch.no_grad():
        loss = float(model({"data": x[:1000]}).loss)
    return {
        "ms_per_step": round(1000 * seconds / steps, 3),
        "steps": steps,
        "parameters": sum(p.numel() for p in model.parameters()),
        "loss": round(loss, 2),
    }


def load(model: VAE, path: str) -> None:
    """Take over weights of ectype's VAE; its second head gives log standard deviations, ours variances."""
    with np.load(path) as file:
        w = {name: torch.from_numpy(file[name]) for name in file.files}
    mean, scale = w["encoder.out.weight"].chunk(2)
    mean_bias, scale_bias = w["encoder.out.bias"].chunk(2)
    state = {
        "encoder.layers.0.weight": w["encoder.hidden.weight"],
        "encoder.layers.0.bias": w["encoder.hidden.bias"],
        "encoder.mu.weight": mean,
        "encoder.mu.bias": mean_bias,
        "encoder.std.weight": 2 * scale,
        "encoder.std.bias": 2 * scale_bias,
        "decoder.layers.0.weight": w["decoder.hidden.weight"],
        "decoder.layers.0.bias": w["decoder.hidden.bias"],
        "decoder.layers.2.weight": w["decoder.out.weight"],
        "decoder.layers.2.bias": w["decoder.out.bias"],
    }
    model.load_state_dict(state)


def score(path: str, items: int, samples: int) -> Figures:
    """Seconds of `get_nll` on the first test items, and what it gives, nats."""
    model = peer_model("mlp").eval()
    load(model, path)
    x = torch.from_numpy(static_mnist()["test"][:items]).float()
    began = time.perf_counter()
    with torch.no_grad():
        nll = -float(model.get_nll(x, n_samples=samples))
    return {"seconds": round(time.perf_counter() - began, 2), "nll": nll, "items": items}


TASKS = {"train": train, "score": score}

if __name__ == "__main__":
    logging.disable(logging.INFO)
    settings = json.loads(sys.argv[2])
    torch.set_num_threads(settings.pop("threads"))
    figures = TASKS[sys.argv[1]](**settings)
    print("\n" + json.dumps({**figures, "versions": versions("pythae", "torch", "numpy")}))

"""Names made by GANs beside those of a language model at three temperatures, by the same measures.

    ./dev bench text_gan [--again]

The names, splits and seed of `names`. `gan` makes symbols itself, by straight-through choices; `ae` is an
autoencoder whose codes are drawn in two ways: by its prior `gan` (a latent GAN) and by a mixture that is
fitted to the same codes (`fitted`). Of 5,000 made names: `novel` is the share in no split, `distinct` that
of different ones, `forward` the mean nats per name under a 5-gram of the training names, `reverse` the mean
nats per test name under a 5-gram of the made ones (what is never made costs there). `real` is 5,000 training
names by the same measures. The n-gram is interpolated by Witten and Bell 1991, "The zero-frequency problem",
method C. Everything on one thread.
"""

from __future__ import annotations

import math
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from functools import partial
from typing import Any

import torch
from _record import measure, options
from names import names

from ectype.assembly import build
from ectype.models import Autoencoder, Model
from ectype.models.settling import fit_prior
from ectype.priors.fitted import Fitted
from ectype.training.loop import fit

NAME = "text_gan"
MADE, ORDER = 5000, 5
CASES: dict[str, tuple[int, dict[str, Any]]] = {
    "ae": (5000, {"units": 128, "prior": "gan"}),
    "lm": (3000, {"units": 256}),
    "gan": (7000, {}),
}
TEMPERATURES = (0.5, 0.7, 1.0)


class Grams:
    """p(symbol | the ORDER - 1 before it), learned from texts."""

    def __init__(self, texts: Iterable[str]) -> None:
        self.after: dict[str, Counter[str]] = defaultdict(Counter)
        for text in texts:
            for before, symbol in self._places(text):
                for i in range(len(before) + 1):
                    self.after[before[i:]][symbol] += 1

    @staticmethod
    def _places(text: str) -> Iterable[tuple[str, str]]:
        padded = "^" * (ORDER - 1) + text + "$"
        return ((padded[t - ORDER + 1 : t], padded[t]) for t in range(ORDER - 1, len(padded)))

    def nats(self, text: str) -> float:
        """-log p(text), its end counted."""
        return -sum(math.log(self._p(before, symbol)) for before, symbol in self._places(text))

    def _p(self, before: str, symbol: str) -> float:
        p = 1 / 27
        for i in range(len(before), -1, -1):
            if seen := self.after.get(before[i:]):
                p = (seen[symbol] + len(seen) * p) / (seen.total() + len(seen))
        return p


def texts_of(split: str) -> list[str]:
    """The names of a split."""
    data = names()
    return [str(name) for name in data.items(data.splits[split])]


def scored(made: list[str]) -> dict[str, Any]:
    """What made names are worth."""
    held, known = texts_of("test"), set(texts_of("all"))
    forward, reverse = Grams(texts_of("train")), Grams(made)
    mean = lambda grams, texts: round(sum(map(grams.nats, texts)) / len(texts), 3)  # noqa: E731
    return {
        "novel": round(sum(text not in known for text in made) / len(made), 4),
        "distinct": round(len(set(made)) / len(made), 4),
        "forward": mean(forward, made),
        "forward of test names": mean(forward, held),
        "reverse": mean(reverse, held),
        "some": " ".join(made[:24]),
    }


@torch.no_grad()
def made_by(model: Model, temperature: float = 1.0) -> list[str]:
    """Names of a trained model."""
    kind, noise = names().kind, torch.Generator().manual_seed(1)
    rows = []
    for _ in range(MADE // 500):
        p = model.decode(model.latents(500).draw(noise))
        rows += list(kind.stored(p.tempered(temperature).draw(noise)))
    return [str(kind.unpack(row)) for row in rows]


def measured(family: str) -> dict[str, Any]:
    """Train a family and score what it makes."""
    torch.set_num_threads(1)
    steps, chosen = CASES[family]
    data = names()
    model = build(family, data, **chosen)
    worked, last, cpu = time.process_time(), None, {}
    for last in fit(model, data, steps=steps, threads=1):
        cpu[last.of or "model"] = round(time.process_time() - worked, 1)
    figures: dict[str, Any] = {"cpu": cpu, "steps": steps}
    model.eval()
    if not isinstance(model, Autoencoder):
        for temperature in TEMPERATURES if family == "lm" else (1.0,):
            figures[f"at {temperature}"] = scored(made_by(model, temperature))
        return figures
    figures["exact"] = sum(
        int((model.decode(model.posterior(b.x).mean).mode == b.x).all(1).sum())
        for b in data.batches("test", 250)
    ) / len(data.splits["test"])
    figures["gan"] = scored(made_by(model))
    model.prior = Fitted(model.latent, data.kind.shape)
    fit_prior(model, data.batches("train", 500), data.batches("select", 500))
    figures["fitted"] = scored(made_by(model))
    return figures


def main() -> None:
    """Measure every case that is missing."""
    chosen = options(__doc__)
    real = f"the first {MADE:,} training names"
    measure(NAME, {"case": "real"}, real, lambda: scored(texts_of("train")[:MADE]), again=chosen.again)
    for family, (steps, given) in CASES.items():
        said = ", ".join(f"{name} {value}" for name, value in given.items()) or "defaults"
        protocol = f"{family}, {said}, {steps} steps of 100 names, one thread; {MADE:,} made"
        measure(NAME, {"case": family, "seed": 0}, protocol, partial(measured, family), again=chosen.again)


if __name__ == "__main__":
    main()

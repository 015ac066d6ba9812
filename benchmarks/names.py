"""Names, character by character: a language model, a text VAE against it, and exact reconstruction.

    ./dev bench names [--again]

The 29,494 different names of makemore's names.txt (the list has doubles, which would stand on both sides of a
split): shuffled with seed 3407, the last 1,000 are for tests and the 1,000 before them choose. `lm` is the
exact negative log-likelihood; `vae` its bound with K = 500 samples, with the KL, the active units and what
another name's code costs (`shuffled`); `vanilla` a VAE without free bits, warm-up and skipped symbols, which
has to collapse and has to be noticed; `ae` the share of names that come back exactly. Nats per character
count the end. Everything on one thread.
"""

from __future__ import annotations

import time
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from _record import measure, options
from _sources import folder

from ectype.assembly import build
from ectype.data.data import Data
from ectype.data.store import Resident
from ectype.kinds.text import Text
from ectype.metrics.activity import activity
from ectype.metrics.bounds import bounds
from ectype.models import Autoencoder, Model
from ectype.training.loop import fit

NAME = "names"
HELD, SAMPLES = 1000, 500
CASES: dict[str, tuple[str, int, dict[str, Any]]] = {
    "lm": ("lm", 3000, {}),
    "vae": ("vae", 5000, {}),
    "vanilla": ("vae", 1000, {"free_bits": 0.0, "warmup": 0.0, "skip": 0.0}),
    "ae": ("ae", 5000, {}),
}


@cache
def names() -> Data:
    """The different names, shuffled and split."""
    words = sorted(set((folder("names") / "names.txt").read_text(encoding="utf-8").split()))
    order = torch.randperm(len(words), generator=torch.Generator().manual_seed(3407))
    kind = Text.fit(words)
    stored = Resident(torch.from_numpy(np.stack([kind.pack(word) for word in words])))
    train, select, test = order.split([len(words) - 2 * HELD, HELD, HELD])
    splits = {"train": train, "select": select, "test": test, "all": torch.arange(len(words))}
    return Data(kind, stored, splits)


@torch.no_grad()
def scored(model: Model, data: Data) -> dict[str, Any]:
    """What a trained model is worth on the test names."""
    batches = list(data.batches("test", 250))
    symbols = sum(int(b.seen.sum()) for b in batches if b.seen is not None)
    if not isinstance(model, Autoencoder):
        nats = sum(float(model.loss(b).each.sum()) for b in batches)
        return {"nll": round(nats / HELD, 3), "per character": round(nats / symbols, 4)}
    exact = sum(int((model.decode(model.posterior(b.x).mean).mode == b.x).all(1).sum()) for b in batches)
    found: dict[str, Any] = {"exact": exact / HELD}
    if model.bounded:
        found |= {score.name: round(score.value, 2) for score in activity(model, batches)}
        bound = bounds(model, batches, samples=SAMPLES)
        found |= {"nll": round(-float(bound.iwae.mean()), 3), "elbo": round(float(bound.elbo.mean()), 3)}
        found |= {"per character": round(-float(bound.iwae.sum()) / symbols, 4)}
        found |= {"shuffled": round(_shuffled(model, data), 3)}
    return found


def _shuffled(model: Autoencoder, data: Data) -> float:
    """Nats by which a test name is less probable under another's code."""
    batch = next(data.batches("test", HELD))
    z = model.posterior(batch.x).draw(torch.Generator().manual_seed(0))
    own, other = (model.reconstruction(model.decode(c), batch) for c in (z, z.roll(1, 0)))
    return float((own - other).mean())


def measured(case: str) -> dict[str, Any]:
    """Train one case and score it."""
    torch.set_num_threads(1)
    family, steps, chosen = CASES[case]
    data = names()
    model = build(family, data, units=256, **chosen)
    began, worked = time.perf_counter(), time.process_time()
    *_, last = fit(model, data, steps=steps, threads=1)
    seconds, cpu = time.perf_counter() - began, time.process_time() - worked
    figures = {"seconds": round(seconds, 1), "cpu": round(cpu, 1)}
    collapse = [event for event in last.events if event["kind"] == "collapse"]
    return {**scored(model.eval(), data), **figures, "steps": last.number, "noticed": bool(collapse)}


def main() -> None:
    """Measure every case that is missing."""
    chosen = options(__doc__)
    for case, (family, steps, given) in CASES.items():
        said = ", ".join(f"{name} {value:g}" for name, value in given.items()) or "defaults"
        protocol = (
            f"{family}, recurrent, 256 units, {said}, {steps} steps of 100 names, one thread; unique names, "
            f"{HELD:,} test, seed 3407; K {SAMPLES}"
        )
        measure(NAME, {"case": case, "seed": 0}, protocol, partial(measured, case), again=chosen.again)


if __name__ == "__main__":
    main()

"""Pictures and captions made together: does a sampled picture agree with its own caption?

    ./dev bench joint_shapes [--seeds 1] [--minutes 28] [--again]

Drawn pictures, 32 x 32 RGB, with the captions of the built-in set (`ectype.data.drawing`): 20,000 of them,
and one VAE of both. 400 pairs are sampled, and an exact judge, the renderer itself, finds the factors of each
picture: size, colour, shape and place have to be what the caption beside it says; a caption that is no
sentence of the set counts as wrong. Beside: pictures completed from 200 test captions, captions completed
from 200 test pictures, real pairs, which is what the judge can see, and pairs sampled at temperature 0.6.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import torch
from _record import measure
from _shapes import agrees
from caption_shapes import WORDS

from ectype.assembly import build
from ectype.data.drawing import COLOURS, PERIODS, draw
from ectype.data.reading import read
from ectype.jobs.complete import complete
from ectype.jobs.sample import sample
from ectype.runs import Run
from ectype.training.loop import fit

NAME = "joint_shapes"
TRAIN, SAMPLED, COMPLETED = 20_000, 400, 200
OPTIONS: dict[str, Any] = {
    "width": 16,
    "depth": 2,
    "latent": 24,
    "complete": 0.3,
    "likelihood": "normal",
    "warmup": 0.3,
    "layers": 10,
    "units": 128,
    "components": 64,
    "share": 0.45,
}
RATE, COLD = 2e-3, 0.6
BATCH = 50


def right(pairs: list[dict[str, Any]]) -> dict[str, float]:
    """Share of the pairs whose picture has all that the caption says, and each of it; 0 for no sentence."""
    found = []
    for pair in pairs:
        words = WORDS.match(pair["caption"])
        known = words is not None and words[2] in COLOURS and words[3] in PERIODS
        found.append(agrees(np.asarray(pair["image"]), *words.groups()) if words and known else {})
    shares = {
        name: round(float(np.mean([f.get(name, False) for f in found])), 4)
        for name in ("size", "colour", "shape", "place")
    }
    whole = float(np.mean([bool(f) and all(f.values()) for f in found]))
    sentences = float(np.mean([bool(f) for f in found]))
    return {"all": round(whole, 4), **shares, "sentences": round(sentences, 4)}


def measured(seed: int, minutes: float) -> dict[str, Any]:
    """Train one model of pictures and captions, and judge what it makes."""
    torch.set_num_threads(1)
    found = draw(TRAIN, seed)
    data = read((found.values, {"caption": found.captions}), joint="caption:words", seed=seed)
    model = build("vae", data, seed=seed, **OPTIONS)
    began, worked = time.perf_counter(), time.process_time()
    *_, last = fit(model, data, minutes=minutes, batch=BATCH, rate=RATE, seed=seed, threads=1)
    seconds, cpu = time.perf_counter() - began, time.process_time() - worked
    run = Run.of(model.eval(), data)
    test = data.items(data.splits["test"][:COMPLETED])
    asked: dict[str, Any] = {"draws": 1, "count": COMPLETED, "seed": seed}
    return {
        **right(sample(run, SAMPLED, seed=seed)),
        "cold": right(sample(run, SAMPLED, seed=seed, temperature=COLD))["all"],
        "from caption": right(complete(run, data, known=["caption"], **asked))["all"],  # type: ignore[arg-type]
        "from picture": right(complete(run, data, known=["image"], **asked))["all"],  # type: ignore[arg-type]
        "real": right(test)["all"],
        "seconds": round(seconds, 1),
        "cpu": round(cpu, 1),
        "steps": last.number,
    }


def main() -> None:
    """Measure every seed that is missing."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=28.0)
    parser.add_argument("--again", action="store_true")
    asked = parser.parse_args()
    options = ", ".join(f"{name} {value}" for name, value in OPTIONS.items())
    protocol = (
        f"{asked.minutes:g} minutes on one thread, {TRAIN} pairs, batch {BATCH}, rate {RATE:g}, {options}"
    )
    for seed in range(asked.seeds):
        measure(NAME, {"seed": seed}, protocol, lambda s=seed: measured(s, asked.minutes), again=asked.again)


if __name__ == "__main__":
    main()

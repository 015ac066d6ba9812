"""GAN and VAE-GAN of Fashion-MNIST: how near what they make is to real pictures, and which classes are made.

    ./dev bench fashion_gan [--families gan,vaegan] [--steps 2400] [--width W] [--sweep] [--seeds 2] [--again]

Unconditional, defaults, one thread, so many steps of 100. 2,000 made pictures beside the first 2,000 test
pictures: Fréchet distance, precision, recall and coverage (`ectype.metrics.generation`, in the principal axes
of the training pictures) and spectrum, beside what 2,000 training pictures get; classes that a classifier
trained on the spot finds among the made ones, and the total variation of their shares against the real ones'.
`--sweep` trains three fixed γ, a tenth of what the automatic one starts from, the same, and ten times it.
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
from ectype.metrics.classifier import Classifier
from ectype.metrics.generation import generation
from ectype.metrics.spectrum import spectrum
from ectype.training.loop import fit

NAME = "fashion_gan"
MADE = 2000
START = 2e-4 * 784
FACTORS = (0.1, 1, 10)
SCORES = ("frechet", "precision", "recall", "coverage", "spectrum")


def measured(family: str, seed: int, steps: int, options: dict[str, Any]) -> dict[str, Any]:
    """Train one model and compare what it makes with test pictures."""
    torch.set_num_threads(1)
    data = read(str(folder("fashion_mnist")))
    judge = Classifier(data, seed=0)
    model = build(family, data, seed=seed, **options)
    began, worked = time.perf_counter(), time.process_time()
    *_, last = fit(model, data, steps=steps, seed=seed, threads=1)
    seconds, cpu = time.perf_counter() - began, time.process_time() - worked
    with torch.no_grad():
        z = model.latents(MADE, None).draw(torch.Generator().manual_seed(seed))
        made = torch.cat([model.decode(part).mean.float().clamp(0, 1) for part in z.split(500)])
    real, train = (
        data.batch(data.splits[part][: 5000 if part == "train" else MADE]).x for part in ("test", "train")
    )
    sets = (data.kind.shape, made, real, train)
    scores = {s.name: s for s in (*generation(*sets, seed=seed), *spectrum(*sets, seed=seed))}
    shares, true = (torch.bincount(judge(x).argmax(1), minlength=10) / len(x) for x in (made, real))
    test = data.splits["test"]
    right = (judge.of(data, test).argmax(1) == torch.as_tensor(data.labels)[test]).double().mean()
    return {
        **{name: round(scores[name].value, 4) for name in SCORES},
        "floors": {name: round(scores[name].floor or 0.0, 4) for name in SCORES},
        "classes": int((shares > 0.1 * true).sum()),
        "shares": round(float((shares - true).abs().sum()) / 2, 4),
        "judge": round(float(right), 4),
        "steps": last.number,
        "gamma": float(model.balance.gamma),
        "seconds": round(seconds, 1),
        "cpu": round(cpu, 1),
    }


def main() -> None:
    """Measure every case that is missing."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--families", default="gan,vaegan")
    for name, value in {"seeds": 2, "first": 0, "steps": 2400, "width": None}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--sweep", action="store_true", help="3 fixed values of γ beside the automatic one")
    parser.add_argument("--again", action="store_true")
    asked = parser.parse_args()
    wide = {} if asked.width is None else {"width": asked.width}
    protocol = f"{asked.steps:,} steps of 100 on one thread, {wide or 'defaults'}; {MADE:,} made"
    for seed in range(asked.first, asked.first + asked.seeds):
        for family in asked.families.split(","):
            for gamma in [None, *(START * factor for factor in FACTORS)] if asked.sweep else [None]:
                options = wide | ({} if gamma is None else {"gamma": gamma})
                measure(
                    NAME,
                    {"family": family, "steps": asked.steps, "gamma": gamma, "seed": seed, **wide},
                    protocol,
                    lambda f=family, s=seed, o=options: measured(f, s, asked.steps, o),
                    again=asked.again,
                )


if __name__ == "__main__":
    main()

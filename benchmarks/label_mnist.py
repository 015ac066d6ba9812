"""Label → digit on MNIST: does what a conditional model makes for a class look like that class to a judge?

    ./dev bench label_mnist [--families vae,gan,vaegan] [--seeds 1] [--minutes 12] [--halved] [--again]
        [--options likelihood=normal]

The model is trained on 60,000 digits less the select split, on one thread; 200 digits of each class are
made, and a classifier trained on the spot on the train split names them. Beside: its accuracy on the
10,000 real test digits, the diversity within a class (mean distance of two items of a class in pixels, as a
share of that of real test items), both at temperature 0.6 as well, and with `--halved` the same after half of
the labels were taken away.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from typing import Any

import torch
from _record import measure, pairs
from _sources import folder
from torch import Tensor

from ectype.assembly import build
from ectype.data.data import Data
from ectype.data.reading import read
from ectype.metrics.classifier import Classifier
from ectype.models import Model
from ectype.noise import PerItem
from ectype.training.loop import fit

NAME = "label_mnist"
EACH, COLD = 200, 0.6


def digits(halved: bool) -> Data:
    """MNIST with its labels as a condition; `halved`: every second item of the train split has none."""
    data = read(str(folder("mnist")), given="label")
    if halved:
        condition = data.given["label"]
        lost = data.splits["train"][::2]
        present = condition.present.clone()
        present[lost] = False
        data.given = {"label": replace(condition, present=present)}
    return data


def made(model: Model, label: int, seed: int, temperature: float = 1.0) -> Tensor:
    """Items of one class (EACH, 1, 28, 28) in [0, 1], as they are shown."""
    noise = PerItem(seed * 10 + label, range(EACH), temperature=temperature)
    conditioner = model.conditioner
    if conditioner is None:
        raise SystemExit("this model was built without conditions")
    with torch.no_grad():
        context = conditioner({"label": torch.full((EACH,), label)}, {}, EACH)
        z = model.latents(EACH, context).draw(noise)
        return model.decode(z, context).mean.float().clamp(0, 1)


def spread(x: Tensor) -> float:
    """Mean distance of two different items."""
    return float(torch.pdist(x.flatten(1)).mean())


def measured(family: str, seed: int, minutes: float, halved: bool, options: dict[str, Any]) -> dict[str, Any]:
    """Train one model and have its items named."""
    torch.set_num_threads(1)
    data = digits(halved)
    judge = Classifier(data, seed=0)
    test = data.splits["test"]
    labels = torch.as_tensor(data.labels)
    right = float((judge.of(data, test).argmax(1) == labels[test]).double().mean())
    model = build(family, data, seed=seed, **options)
    began = time.perf_counter()
    *_, last = fit(model, data, minutes=minutes, seed=seed, threads=1)
    seconds = time.perf_counter() - began

    def judged(temperature: float) -> dict[str, float]:
        agreement, diversity = [], []
        for label in range(10):
            x = made(model, label, seed, temperature)
            agreement.append(float((judge(x).argmax(1) == label).double().mean()))
            real = data.batch(test[labels[test] == label][:EACH]).x
            diversity.append(spread(x) / spread(real))
        return {
            "agreement": round(sum(agreement) / 10, 4),
            "least": round(min(agreement), 4),
            "diversity": round(sum(diversity) / 10, 3),
        }

    return {
        **judged(1.0),
        "cold": {"temperature": COLD, **judged(COLD)},
        "judge": round(right, 4),
        "seconds": round(seconds, 1),
        "steps": last.number,
    }


def main() -> None:
    """Measure every family and seed that is missing."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--families", default="vae,gan,vaegan")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=12.0)
    parser.add_argument("--options", default="", help="of the model: NAME=VALUE, with commas between")
    parser.add_argument("--halved", action="store_true", help="half of the labels taken away")
    parser.add_argument("--again", action="store_true")
    asked = parser.parse_args()
    options = pairs(asked.options)
    chosen = ", ".join(f"{name} {value}" for name, value in options.items())
    protocol = f"{asked.minutes:g} minutes on one thread, {chosen or 'defaults'}; {EACH} made of each class"
    for seed in range(asked.seeds):
        for family in asked.families.split(","):
            key = {
                "family": family,
                "halved": asked.halved,
                "seed": seed,
                **({"chosen": chosen} if chosen else {}),
            }
            measure(
                NAME,
                key,
                protocol,
                lambda f=family, s=seed: measured(f, s, asked.minutes, asked.halved, options),
                again=asked.again,
            )


if __name__ == "__main__":
    main()

"""Captioned shapes: are all words of a caption right in what is made, for combinations never seen?

    ./dev bench caption_shapes [--families vae,gan] [--seeds 1] [--minutes 12] [--batch 50]
        [--options likelihood=normal,width=16]

Drawn pictures, 32 x 32 (`ectype.data.drawing`). Of the combinations of size, colour, shape and place
(3 x 6 x 4 x 9) 30 % are in the training data, 20,000 pictures of them; captions are those of the built-in
set. 400 captions of the other combinations are given, one picture made of each, and an exact judge, the
renderer itself, finds the factors of what was made. All of the four words have to be right. Beside: the
same for combinations that were seen, and for real pictures, which is what the judge can see; and at the
temperature at which most of those that were seen are right, with how far two pictures of one caption then
lie from each other, as a share of what they do at 1. Beside that: diversity, how far two pictures of one
caption lie from each other as a share of what real ones do, over 20 captions of circles (which do not say by
how much they are turned, and so have many pictures each in the training data).
"""

from __future__ import annotations

import argparse
import re
import time
from typing import Any

import numpy as np
import torch
from _record import measure, pairs
from _shapes import agrees

from ectype.assembly import build
from ectype.data.data import Condition, Data
from ectype.data.drawing import draw
from ectype.data.reading import read
from ectype.kinds.text import Text
from ectype.models import Model
from ectype.noise import PerItem
from ectype.training.loop import fit

NAME = "caption_shapes"
TRAIN, ASKED, SHARE = 20_000, 400, 0.3
TEMPERATURES = (1.0, 0.8, 0.6, 0.4)
WORDS = re.compile(r"a (\w+) (\w+) (\w+) ((?:at|in) the \w+(?: \w+)?)")
Array = np.ndarray[Any, Any]


def words(caption: str) -> tuple[str, str, str, str]:
    """Size, colour, shape and place of a caption."""
    found = WORDS.match(caption)
    if found is None:
        raise SystemExit(f"not a caption of a drawn shape: {caption}")
    a, b, c, d = found.groups()
    return a, b, c, d


def drawn(seed: int) -> tuple[Array, list[str], Array, list[str]]:
    """Pictures and captions whose combination is one of the 30 %, and pictures and captions of the rest."""
    found = draw(int(TRAIN / SHARE * 1.1), seed)
    if found.values is None or found.captions is None:
        raise SystemExit("the drawn set has no captions")
    combinations = sorted({words(caption) for caption in found.captions})
    random = np.random.default_rng(seed)
    some = random.permutation(len(combinations))[: int(SHARE * len(combinations))]
    seen = {combinations[i] for i in some}
    here = np.array([words(caption) in seen for caption in found.captions])
    captions = np.array(found.captions)
    rest = np.flatnonzero(~here)[:ASKED]
    mine = np.flatnonzero(here)[:TRAIN]
    return found.values[mine], captions[mine].tolist(), found.values[rest], captions[rest].tolist()


def captioned(pictures: Array, captions: list[str], unit: str) -> Data:
    """The pictures with their captions as a condition."""
    data = read(pictures)
    kind = Text.fit(captions, unit=unit)
    stored = torch.from_numpy(np.stack([kind.pack(caption) for caption in captions]))
    data.given = {"caption": Condition(kind, stored, torch.ones(len(captions), dtype=torch.bool))}
    return data


def made(model: Model, data: Data, captions: list[str], seed: int, temperature: float = 1.0) -> Array:
    """One picture (32, 32, 3) of each caption."""
    kind = data.given["caption"].kind
    conditioner = model.conditioner
    if conditioner is None:
        raise SystemExit("this model was built without conditions")
    out = []
    for start in range(0, len(captions), 100):
        part = captions[start : start + 100]
        noise = PerItem(seed, range(start, start + len(part)), temperature=temperature)
        given = kind.tensor(torch.from_numpy(np.stack([kind.pack(caption) for caption in part])))
        with torch.no_grad():
            context = conditioner({"caption": given}, {}, len(part))
            z = model.latents(len(part), context).draw(noise)
            out.append(data.kind.stored(model.decode(z, context).mean))
    return np.concatenate(out).transpose(0, 2, 3, 1)


def right(pictures: Array, captions: list[str]) -> dict[str, float]:
    """Share of pictures that agree with each word of their captions, and with all."""
    found = [agrees(p, *words(c)) for p, c in zip(pictures, captions, strict=True)]
    each = {word: float(np.mean([f[word] for f in found])) for word in found[0]}
    return {"all": round(float(np.mean([all(f.values()) for f in found])), 4), **each}


def spread(model: Model, data: Data, captions: list[str], temperature: float) -> float:
    """Mean distance of two pictures of one caption, over 20 captions of ten pictures each."""
    asked = [caption for caption in captions[:20] for _ in range(10)]
    x = torch.from_numpy(made(model, data, asked, 0, temperature)).float().view(20, 10, -1)
    return float(torch.stack([torch.pdist(of) for of in x]).mean())


def diversity(model: Model, data: Data, pictures: Array, captions: list[str]) -> float:
    """Mean distance of two made pictures of one caption, in that of two real ones, over 20 captions."""
    of: dict[str, list[int]] = {}
    for i, caption in enumerate(captions):
        of.setdefault(caption, []).append(i)
    many = [caption for caption, places in of.items() if len(places) >= 10][:20]
    real = torch.stack([torch.from_numpy(pictures[of[c][:10]]).float().view(10, -1) for c in many])
    apart = float(torch.stack([torch.pdist(each) for each in real]).mean())
    return spread(model, data, many, 1.0) / apart


def measured(family: str, seed: int, asked: argparse.Namespace, options: dict[str, Any]) -> dict[str, Any]:
    """Train one model and judge what it makes of captions."""
    torch.set_num_threads(1)
    pictures, captions, real, unseen = drawn(seed)
    data = captioned(pictures, captions, asked.unit)
    model = build(family, data, seed=seed, **options)
    began, worked = time.perf_counter(), time.process_time()
    *_, last = fit(model, data, minutes=asked.minutes, batch=asked.batch, seed=seed, threads=1)
    seconds, cpu = time.perf_counter() - began, time.process_time() - worked
    known = captions[:ASKED]
    seen = {t: right(made(model, data, known, seed, t), known)["all"] for t in TEMPERATURES}
    cold = max(seen, key=lambda t: seen[t])
    return {
        **right(made(model, data, unseen, seed), unseen),
        "seen": seen[1.0],
        "diversity": round(diversity(model, data, pictures, captions), 3),
        "cold": {
            "temperature": cold,
            "seen": seen[cold],
            **right(made(model, data, unseen, seed, cold), unseen),
            "spread": round(spread(model, data, unseen, cold) / spread(model, data, unseen, 1.0), 3),
        },
        "real": right(real, unseen)["all"],
        "seconds": round(seconds, 1),
        "cpu": round(cpu, 1),
        "steps": last.number,
        "events": [f"{e['step']} {e['kind']} {' '.join(e['signs'])}" for e in last.events],
    }


def main() -> None:
    """Measure every family and seed that is missing."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--families", default="vae,gan")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=12.0)
    parser.add_argument("--unit", default="words")
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--options", default="", help="of the model: NAME=VALUE, with commas between")
    parser.add_argument("--again", action="store_true")
    asked = parser.parse_args()
    options: dict[str, Any] = pairs(asked.options)
    said = [f"batch {asked.batch}"] if asked.batch != 100 else []
    chosen = ", ".join([*said, *(f"{name} {value}" for name, value in options.items())])
    protocol = (
        f"{asked.minutes:g} minutes on one thread, {chosen or 'defaults'}, captions in {asked.unit}; "
        f"{ASKED} captions of combinations that are not among the {SHARE:.0%} in training"
    )
    for seed in range(asked.seeds):
        for family in asked.families.split(","):
            measure(
                NAME,
                {
                    "family": family,
                    "unit": asked.unit,
                    "seed": seed,
                    **({"chosen": chosen} if chosen else {}),
                },
                protocol,
                lambda f=family, s=seed: measured(f, s, asked, options),
                again=asked.again,
            )


if __name__ == "__main__":
    main()

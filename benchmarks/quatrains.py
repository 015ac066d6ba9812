"""Chinese quatrains of five characters: do samples keep the form, and are they copied?

    ./dev bench quatrains [--again]

The 16,394 poems of shi.txt (Tang and later, each four lines of five characters with ，。，。), read as words,
which here are single characters and marks; equal poems stay on one side of the split. Language models
write 1,000 poems each at temperature 1. Well-formed: four lines of five characters with their four
marks, and then the end. Copied: whole poems that stand in the train split, and the longest stretch of a poem
that does, both beside those of as many held-out poems. Nats per symbol of the test split: 20 characters,
4 marks, the end. One thread.
"""

from __future__ import annotations

import re
import time
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from _record import measure, options
from _sources import folder

from ectype.assembly import build
from ectype.data.data import Data
from ectype.data.reading import read
from ectype.jobs.sample import sample
from ectype.kinds import Array
from ectype.kinds.text import Text
from ectype.metrics.bounds import bounds
from ectype.metrics.texts import copied, said
from ectype.models import Autoencoder, Model
from ectype.runs import Run
from ectype.training.loop import fit

NAME = "quatrains"
COUNT, SAMPLES = 1000, 20
CASES: dict[str, tuple[str, int, dict[str, Any]]] = {
    "lm": ("lm", 500, {}),
    "lm transformer": ("lm", 1500, {"network": "transformer"}),
}
FORM = re.compile("[^，。]{5}，[^，。]{5}。[^，。]{5}，[^，。]{5}。")


def well_formed(texts: list[str]) -> float:
    """The share of texts, with or without spaces, that are four lines of five characters with their marks."""
    return sum(FORM.fullmatch(text.replace(" ", "")) is not None for text in texts) / len(texts)


def stored(kind: Text, texts: list[str]) -> Array:
    """Texts of any length as (N, T): a model may write an empty one, or one without an end."""
    numbers = [[kind.numbers[symbol] for symbol in kind.part(text)] for text in texts]
    return np.stack([kind.row(np.array(one, np.int32)) for one in numbers])


def copies(x: Array, train: Array) -> dict[str, float]:
    """Of poems (N, T): the share that stand in train (M, T), and their longest stretches that do."""
    known = set(said(train))
    longest = copied(x, train)
    whole = float(np.mean([poem in known for poem in said(x)]))
    return {"whole": whole, "stretch": round(float(longest.mean()), 2), "longest": int(longest.max())}


@torch.no_grad()
def nats(model: Model, data: Data) -> dict[str, float]:
    """Nats of a test poem and of each of its symbols, exact or at most."""
    batches = list(data.batches("test", 250))
    if isinstance(model, Autoencoder):
        each = -bounds(model, batches, samples=SAMPLES).iwae
    else:
        each = torch.cat([model.loss(b).each for b in batches])
    symbols = sum(int(b.seen.sum()) for b in batches if b.seen is not None)
    return {"nll": round(float(each.mean()), 2), "per symbol": round(float(each.sum()) / symbols, 4)}


def measured(case: str) -> dict[str, Any]:
    """Train one case and score what it writes."""
    torch.set_num_threads(1)
    family, steps, chosen = CASES[case]
    data = read(folder("chinese_quatrains") / "shi.txt", kind="words")
    model = build(family, data, **chosen)
    began, worked = time.perf_counter(), time.process_time()
    *_, last = fit(model, data, steps=steps, threads=1)
    seconds, cpu = time.perf_counter() - began, time.process_time() - worked
    print(f"{last.number} steps in {cpu:.0f} s of CPU time: {last.parts}", flush=True)
    texts = sample(Run.of(model.eval(), data), COUNT)
    train, held = (data.store.gather(data.splits[name]).numpy() for name in ("train", "test"))
    return {
        "well-formed": well_formed(texts),
        "real well-formed": well_formed(data.items(data.splits["test"])),
        "made": copies(stored(cast(Text, data.kind), texts), train),
        "held out": copies(held[:COUNT], train),
        **nats(model, data),
        "first": texts[:3],
        "steps": last.number,
        "seconds": round(seconds, 1),
        "cpu": round(cpu, 1),
    }


def main() -> None:
    """Measure every case that is missing."""
    chosen = options(__doc__)
    for case, (family, steps, given) in CASES.items():
        said = ", ".join(f"{name} {value}" for name, value in given.items()) or "defaults"
        protocol = (
            f"{family}, {said}, {steps} steps of 100 poems of shi.txt, one thread; {COUNT:,} made at "
            f"temperature 1; K {SAMPLES}"
        )
        measure(NAME, {"case": case, "seed": 0}, protocol, partial(measured, case), again=chosen.again)


if __name__ == "__main__":
    main()

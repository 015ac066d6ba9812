"""COCO captions by words: samples of a text VAE by BLEU and self-BLEU in Texygen's way.

    ./dev bench coco [--again]

The VAE as it is learns from image_coco.txt (10,000 captions, of which it holds two tenths back) and writes
10,000 captions at each of three temperatures. BLEU-2..5 is the mean of each caption's against all 10,000 of
test_coco.txt, self-BLEU-2..5 that of each against all others: equal weights, counts clipped by the reference
that has most, brevity penalty of the nearest length, smoothing 1 of Chen and Cherry, which is nltk's
`sentence_bleu` with `method1`. The temperature is the one whose least margin to the goals is largest with
image_coco.txt in place of the test file; the others stand beside it. Beside: the same of image_coco.txt
itself, which is published as .740 .520 .337 .218 and .892 .747 .573 .415 (docs/evaluation.md of
geek-ai/Texygen); words are parted as ectype does and not by nltk's tokeniser.
"""

from __future__ import annotations

import time
from typing import Any

import torch
from _record import measure, options
from _sources import folder

from ectype.assembly import build
from ectype.data.reading import read
from ectype.jobs.sample import sample
from ectype.kinds.units import parted
from ectype.metrics.texts import References, Words
from ectype.runs import Run
from ectype.training.loop import fit

NAME = "coco"
SET = "coco_captions_texygen"
STEPS, COUNT, ORDERS = 800, 10_000, (2, 3, 4, 5)
TEMPERATURES = (0.7, 0.85, 1.0)
BLEU, SELF = (0.745, 0.498, 0.294, 0.180), (0.950, 0.840, 0.670, 0.489)
"""What SeqGAN reaches in Texygen's table: to be above the one and not above the other."""


def numbered(texts: list[str], known: dict[str, int]) -> list[Words]:
    """Texts as the numbers of their words; new ones get the next number in `known`."""
    return [tuple(known.setdefault(word, len(known)) for word in parted(text, "words")) for text in texts]


def bleu(texts: list[Words], against: References, *, among: bool = False) -> list[float]:
    """BLEU-2..5, means over texts; `among`: each text is one of the references and does not count."""
    found = torch.tensor([against.bleu(text, among=among) for text in texts], dtype=torch.float64).mean(0)
    return [float(found[n - 1]) for n in ORDERS]


def alone(texts: list[Words]) -> list[float]:
    """Self-BLEU-2..5 of texts."""
    return bleu(texts, References(texts, ORDERS[-1]), among=True)


def margin(like: list[float], same: list[float]) -> float:
    """The least that BLEU lies above and self-BLEU below what is to be reached."""
    above = [own - least for own, least in zip(like, BLEU, strict=True)]
    return min(above + [most - own for own, most in zip(same, SELF, strict=True)])


def captions(name: str) -> list[str]:
    """The captions of a file."""
    lines = (folder(SET) / name).read_text(encoding="utf-8").split("\n")
    return [line for line in lines if line.strip()]


def scored(run: Run) -> dict[str, Any]:
    """What a trained model's captions are worth at each temperature, and real ones."""
    known: dict[str, int] = {}
    train, test = (numbered(captions(name), known) for name in ("image_coco.txt", "test_coco.txt"))
    learned, unseen = References(train, ORDERS[-1]), References(test, ORDERS[-1])
    margins, found = {}, {}
    for temperature in TEMPERATURES:
        texts = sample(run, COUNT, temperature=temperature)
        made = numbered(texts, known)
        like, same = bleu(made, unseen), alone(made)
        margins[temperature] = margin(bleu(made, learned), same)
        new = 1 - len(set(train) & set(made)) / len(set(made))
        found[f"{temperature:g}"] = {
            "bleu": [round(value, 4) for value in like],
            "self": [round(value, 4) for value in same],
            "margin on train": round(margins[temperature], 4),
            "new": round(new, 4),
            "first": texts[:3],
        }
    chosen = max(margins, key=margins.__getitem__)
    real = {"bleu": [round(v, 4) for v in bleu(train, unseen)], "self": [round(v, 4) for v in alone(train)]}
    return {"temperature": chosen, "at": found, "real": real}


def measured(seed: int) -> dict[str, Any]:
    """Train and score."""
    torch.set_num_threads(1)
    data = read(folder(SET) / "image_coco.txt", kind="words", seed=seed)
    model = build("vae", data, seed=seed)
    began, worked = time.perf_counter(), time.process_time()
    *_, last = fit(model, data, steps=STEPS, threads=1, seed=seed)
    seconds, cpu = time.perf_counter() - began, time.process_time() - worked
    print(f"{last.number} steps in {cpu:.0f} s of CPU time: {last.parts}", flush=True)
    figures = scored(Run.of(model.eval(), data))
    return {**figures, "steps": last.number, "seconds": round(seconds, 1), "cpu": round(cpu, 1)}


def main() -> None:
    """Measure what is missing."""
    chosen = options(__doc__)
    protocol = (
        f"vae, defaults, words, {STEPS:,} steps of 100 captions of image_coco.txt, one thread; {COUNT:,} "
        "made; BLEU against all of test_coco.txt, self-BLEU against all others, smoothing 1 of "
        "Chen and Cherry"
    )
    measure(NAME, {"seed": 0}, protocol, lambda: measured(0), again=chosen.again)


if __name__ == "__main__":
    main()

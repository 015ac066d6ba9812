"""Text → emoji: is what is made of a caption never seen what the caption says?

    ./dev bench text_emoji [--families vae,gan] [--captions tags,keywords,name] [--sheet FOLDER] …

Noto emoji, 32 x 32 over white, in splits that part no emoji from its skin tones. A model learns to draw them
from their captions: the words of name and keywords as a set (tags), the same in their order (keywords), or
the name alone. One picture is made for each held-out emoji, of its caption without the words that occur in no
caption of the train split. A judge that was fitted to real pictures of the train split (`_emoji.py`) says
which of ten held-out descriptions each picture shows; chance is 1 in 10. Beside: the same for the real
held-out pictures, which is what the judge can see, for pictures made of another emoji's caption, which is
what chance looks like, and for captions of the train split.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _emoji import WORDS, Judge, Row, emoji, firsts
from _record import measure
from PIL import Image as Pillow
from PIL import ImageDraw

from ectype.assembly import build
from ectype.data.data import Condition, Data
from ectype.jobs.sample import sample
from ectype.kinds.attributes import BETWEEN, Attributes
from ectype.kinds.text import Text
from ectype.runs import Run
from ectype.training.loop import fit

NAME = "text_emoji"
OPTIONS: dict[str, dict[str, Any]] = {
    "vae": {"width": 16, "depth": 1, "likelihood": "normal", "share": 0.3, "latent": 32},
    "gan": {"network": "dcgan", "width": 16, "latent": 64},
}
FIT: dict[str, dict[str, Any]] = {
    "vae": {"steps": 3000, "batch": 50, "rate": 2e-3},
    "gan": {"steps": 2500, "batch": 50},
}
SHOWN = 24


def caption(row: Row, sort: str) -> str:
    """What a model is told of an emoji: lower-case words."""
    texts = [row["name"], *(() if sort == "name" else row["keywords"])]
    return " ".join(dict.fromkeys(word for text in texts for word in WORDS.findall(text.lower())))


def captioned(data: Data, rows: list[Row], sort: str) -> list[str]:
    """Give the data its captions, in words of the train split; what each then says ("": nothing is left)."""
    texts = [caption(row, sort) for row in rows]
    known = [texts[i] for i in data.splits["train"].tolist()]
    kind = Attributes.fit(text.split() for text in known) if sort == "tags" else Text.fit(known, "words")
    most = kind.length - 1 if isinstance(kind, Text) else None
    between = BETWEEN if sort == "tags" else " "
    told = [between.join([word for word in text.split() if word in kind.numbers][:most]) for text in texts]
    blank = np.zeros_like(kind.pack(told[0]))
    stored = [kind.pack(text) if text else blank for text in told]
    present = torch.tensor([bool(text) for text in told])
    data.given = {"caption": Condition(kind, torch.from_numpy(np.stack(stored)), present)}
    return told


def drawn(run: Run, told: list[str], seed: int) -> tuple[list[Pillow.Image], torch.Tensor]:
    """One picture of each caption, also as (N, 3, 32, 32) in [0, 1]."""
    made = sample(run, given=[{"caption": text} if text else {} for text in told], seed=seed)
    x = np.stack([np.asarray(picture) for picture in made]).transpose(0, 3, 1, 2)
    return made, torch.from_numpy(x).float() / 255


def sheet(captions: list[str], real: list[Pillow.Image], made: list[Pillow.Image], path: Path) -> None:
    """Real and made picture side by side under the caption's first words, six in a row."""
    page = Pillow.new("RGB", (6 * 138, -(-len(made) // 6) * 84), "white")
    pen = ImageDraw.Draw(page)
    for n, (text, *pair) in enumerate(zip(captions, real, made, strict=True)):
        left, top = n % 6 * 138, n // 6 * 84
        pen.text((left + 2, top + 2), text[:22].encode("latin-1", "replace").decode("latin-1"), fill="black")
        for i, picture in enumerate(pair):
            page.paste(picture.resize((64, 64), Pillow.Resampling.NEAREST), (left + 2 + 66 * i, top + 16))
    path.parent.mkdir(parents=True, exist_ok=True)
    page.quantize(64).save(path, optimize=True)


def measured(
    family: str, sort: str, seed: int, fitting: dict[str, Any], folder: Path | None
) -> dict[str, Any]:
    """Train one model, draw the held-out captions, and have them recognised."""
    torch.set_num_threads(1)
    data, rows = emoji()
    told = captioned(data, rows, sort)
    model = build(family, data, seed=seed, **OPTIONS[family])
    began, worked = time.perf_counter(), time.process_time()
    *_, last = fit(model, data, seed=seed, threads=1, **fitting)
    seconds, cpu = time.perf_counter() - began, time.process_time() - worked
    run = Run.of(model.eval(), data)
    held = firsts(rows, data.splits["test"])
    began = time.perf_counter()
    judge = Judge(data, rows)
    judged = time.perf_counter() - began
    made, x = drawn(run, [told[i] for i in held], seed)
    known = firsts(rows, data.splits["train"])[::10]
    _, seen = drawn(run, [told[i] for i in known], seed)
    if folder is not None:
        some = list(range(0, len(held), -(-len(held) // SHOWN)))  # evenly, as neighbours resemble each other
        names = [rows[held[n]]["name"] for n in some]
        pictures = data.items([held[n] for n in some]), [made[n] for n in some]
        sheet(names, *pictures, folder / f"emoji-{family}-{sort}-{seed}.png")
    found, error = judge.found(x, held, held)
    return {
        "found": round(found, 4),
        "error": round(error, 4),
        "real": round(judge.found(data.batch(held).x, held, held)[0], 4),
        "shuffled": round(judge.found(x.roll(len(x) // 2, 0), held, held)[0], 4),
        "seen": round(judge.found(seen, known, held)[0], 4),
        "items": len(held),
        "without words": sum(not told[i] for i in held),
        "seconds": round(seconds, 1),
        "cpu": round(cpu, 1),
        "judge seconds": round(judged, 1),
        "steps": last.number,
    }


def main() -> None:
    """Measure every family, caption and seed that is missing."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--families", default="vae,gan")
    parser.add_argument("--captions", default="tags")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--steps", type=int, default=None, help="default: 3,000 of the vae, 2,500 of the gan")
    parser.add_argument("--sheet", type=Path, default=None, help="folder for a page of captions and pictures")
    parser.add_argument("--again", action="store_true")
    asked = parser.parse_args()
    for seed in range(asked.seeds):
        for family in asked.families.split(","):
            for sort in asked.captions.split(","):
                fitting = FIT[family] | ({} if asked.steps is None else {"steps": asked.steps})
                measure(
                    NAME,
                    {"family": family, "captions": sort, "seed": seed},
                    f"one thread, {OPTIONS[family]}, {fitting}, split by base",
                    lambda f=family, c=sort, s=seed, t=fitting: measured(f, c, s, t, asked.sheet),
                    again=asked.again,
                )


if __name__ == "__main__":
    main()

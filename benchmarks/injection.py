"""Failures put into a GAN's training on purpose: are they noticed, and does the run recover?

    ./dev bench injection [--seeds 10] [--again]

A small fully connected GAN on the ring of 8, 3,000 steps, one thread. At a random step between 40 and 70 %
of the run one of these happens, or nothing:

    nan         one batch is NaN            nans        20 batches in a row are NaN
    rate        the learning rate is 1,000 times as high, for one step
    frozen      the generator's last layer is zero: every item is the same
    leak        for 150 steps the critic is shown real items moved aside: it can tell them by that
    corrupted   for 60 steps the batches are noise

Noticed: an event within 200 steps. Recovered: the energy distance at the end is within 1.5 times that of
the undisturbed run of the same seed, plus what chance does. An event in an undisturbed run is a false alarm.
"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import torch
from _record import measure, options
from torch import Tensor

from ectype.assembly import build
from ectype.data.batch import Batch
from ectype.data.reading import read
from ectype.models import Loss
from ectype.training.session import Session
from ectype.training.step import Settings

NAME = "injection"
KINDS = ("none", "nan", "nans", "rate", "frozen", "leak", "corrupted")
LASTS = {"nan": 1, "nans": 20, "rate": 1, "frozen": 1, "leak": 150, "corrupted": 60}
STEPS = 3000
PROTOCOL = f"gan of 3 x 64 on the ring of 8, batch 64, {STEPS} steps, one thread"


def session(seed: int, steps: int, family: str = "gan", source: str = "ring", **chosen: Any) -> Session:
    """A run about to begin."""
    data = read(source)
    size = {"hidden": (64, 64, 64), "waves": 0} if source == "ring" else {}
    model = build(family, data, seed=seed, **{**size, **chosen})
    settings = Settings(64, 1e-3, 0.0, 5.0, 0.1, 0.02, 0, "fp32", 1, seed)
    made = Session(model, data, settings, torch.device("cpu"))
    made.begin(steps, None, None)
    return made


def disturbed(run: Session, kind: str, first: int) -> None:
    """Put one failure into a run, from step `first` on."""
    batch, step, critic = run._batch, run.step, run.model.balance.critic_loss
    noise = torch.Generator().manual_seed(first)

    def on() -> bool:
        return first <= run.progress.step < first + LASTS.get(kind, 0) and run.supervisor.now.salt == 0

    def of(indices: Tensor) -> Batch:
        found = batch(indices)
        if on() and kind in ("nan", "nans"):
            return replace(found, x=found.x * torch.nan)
        if on() and kind == "corrupted":
            return replace(found, x=3 * torch.randn(found.x.shape, generator=noise))
        return found

    def shown(judge: Any, real: Batch, *rest: Any) -> Loss:
        moved = replace(real, x=real.x + 3) if on() and kind == "leak" else real
        return critic(judge, moved, *rest)

    def stepped() -> None:
        if on() and kind == "frozen":
            with torch.no_grad():
                list(run.model.decoder.parameters())[-2].zero_()
        usual = run.settings
        if on() and kind == "rate":
            run.settings = replace(usual, rate=1000 * usual.rate)
        step()
        run.settings = usual

    run._batch, run.step = of, stepped  # type: ignore[method-assign]
    run.model.balance.critic_loss = shown


def followed(kind: str, seed: int, steps: int = STEPS) -> dict[str, Any]:
    """One run with one failure: when it was noticed, what was done, how it ended."""
    torch.set_num_threads(1)
    run = session(seed, steps)
    first = random.Random(seed).randint(int(0.4 * steps), int(0.7 * steps))  # noqa: S311
    if kind != "none":
        disturbed(run, kind, first)
    while not run.finished:
        run.step()
        run.check_if_due()
    events = run.supervisor.now.events
    after = [e["step"] for e in events if e["step"] >= first]
    run.take_best()
    return {
        "first": first,
        "noticed": min(after) - first if after else None,
        "acted": sum("action" in e for e in events),
        "events": [f"{e['step']} {e['kind']} {' '.join(e['signs'])}" for e in events],
        "energy": round(float(run.judge(run.average) or 0.0), 5),
        "chance": round(run.judging.margin, 5),
    }


def main() -> None:
    """Measure every seed that is missing and print what became of each failure."""
    asked = options(__doc__, seeds=10)
    for seed in range(asked.seeds):
        for kind in KINDS:
            key = {"kind": kind, "seed": seed}
            measure(NAME, key, PROTOCOL, lambda k=kind, s=seed: followed(k, s), again=asked.again)


if __name__ == "__main__":
    main()

"""The one loop, as a generator: whoever iterates logs, draws, stops or saves.

for stage in model.stages:  for step:  for player:  loss → backward → clip → Adam;  average
every 1/30 of the run: the averaged weights are judged on the select split, the best are kept
at the end: the best averaged weights become the model's, and `settle` fits what is fitted
then, where the prior has a share of the run: the same for it alone, with the codes as data (parts.py)
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Generator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from ectype.data.data import Data
from ectype.errors import UsageError, spelled
from ectype.hardware import choose_device, choose_precision
from ectype.models import Model
from ectype.shapes import Row
from ectype.training.budget import check_length
from ectype.training.parts import Part, first, following, resumed
from ectype.training.session import Session
from ectype.training.signals import Stop
from ectype.training.step import Settings, Step

WIRED = {"state", "resume", "stop"}  # keywords that a caller wires up, not options of a run
_READ_EVERY = 1.0  # seconds between two looks at the metrics
_SAVE_EVERY = 30.0  # seconds between two writes of the state
_FEW = 2000  # items that a stopped run's density is fitted to, in a second or two


@spelled
def fit(
    model: Model,
    data: Data,
    *,
    steps: int | None = None,
    epochs: float | None = None,
    minutes: float | None = None,
    batch: int = 100,
    rate: float | None = None,
    decay: float = 0.0,
    clip: float = 5.0,
    drop: float = 0.1,
    half_life: float = 0.02,
    patience: int | None = None,
    device: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    seed: int = 0,
    supervise: bool = True,
    state: str | Path | None = None,
    resume: bool = False,
    stop: Stop | None = None,
) -> Generator[Step]:
    """Train `model` on the train split of `data`; yields a `Step` about once a second.

    Settings are checked and the length is decided at the call; iterating trains. When it ends, also
    when it is closed early, the model holds the best averaged weights.

    Arguments:
        steps: length of the run in steps; or give epochs, or minutes (default 5 minutes).
        epochs: length in passes over the train split.
        minutes: length in time, turned into steps by a short trial.
        batch: items per step.
        rate: learning rate at its height; it rises over the first steps and falls as a cosine; default: the
            family's: of pictures 3e-3 for a gan and 2e-3 for a vaegan, else 1e-3.
        decay: decoupled weight decay.
        clip: longest gradient in units of its running mean; 0: no clipping.
        drop: share of items whose conditions are dropped, each step and condition anew.
        half_life: of the weights' running average, as a share of the run; 0: no averaging.
        patience: checks without a better select loss before stopping; 0: never stop early; default: 10,
            and 0 for families of two players.
        device: auto, cpu, cuda, …
        precision: auto, fp32 or bf16; auto is fp32 for rows.
        threads: CPU threads; default: as torch has it, or with minutes the faster of that and one.
        seed: of order and noise.
        supervise: watch for divergence and collapse, and put the run back when they come.
        state: file that keeps the run resumable, written at the start, every half minute and at the end.
        resume: go on from that file, bit for bit, with the length and settings it holds.
        stop: asks the loop to end after the step it is in (see `stop_signals`).

    Raises UsageError for a setting out of range, DataError for an empty train split, ModelFileError
    where the state cannot be resumed, TrainingError when nothing finite is left.
    """
    where = choose_device(device)
    bits = choose_precision(precision, where, data.kind.shape)
    rate = model.default_rate if rate is None else rate
    patience = (0 if model.adversarial else 10) if patience is None else patience
    settings = Settings(batch, rate, decay, clip, drop, half_life, patience, bits, threads, seed, supervise)
    if resume and state is None:
        raise UsageError("resume needs the file to go on from: state=")
    session = Session(model, data, settings, where)
    file = None if state is None else Path(state)
    if resume and file is not None:
        part = resumed(session, file)
    else:
        part = first(session, {"steps": steps, "epochs": epochs, "minutes": minutes})
    return _drive(part, file, stop or Stop())


def check(options: Mapping[str, Any]) -> None:
    """Raise UsageError for options of `fit` that are out of range, before there is any data."""
    usual = {name: p.default for name, p in inspect.signature(fit).parameters.items()}
    asked = {**usual, **options}
    asked |= {name: 1 for name in ("rate", "patience") if asked[name] is None}  # the family's, not known here
    choose_precision(asked["precision"], choose_device(asked["device"]), Row((1,)))
    check_length(asked["steps"], asked["epochs"], asked["minutes"])
    Settings(**{field.name: asked[field.name] for field in fields(Settings)})


def _drive(part: Part, file: Path | None, stop: Stop) -> Generator[Step]:
    """Each part of the training in its turn."""
    now: Part | None = part
    while now is not None:
        yield from _driven(now, file, stop)
        now = None if stop.signal else following(now)


def _driven(part: Part, file: Path | None, stop: Stop) -> Generator[Step]:
    """Step until the end, a stop or patience runs out; read, save and yield by the clock."""
    session = part.session
    read = saved = time.perf_counter()
    try:
        if file is not None:
            session.save(file)  # so that a run killed in its first half minute can be resumed too
        while not session.finished and not stop.signal:
            session.step()
            checked = session.check_if_due()
            now = time.perf_counter()
            if file is not None and now - saved > _SAVE_EVERY:
                session.save(file)
                saved = now
            if checked or now - read > _READ_EVERY:
                read = now
                if not session.finished:
                    yield part.report()
        if file is not None:
            session.save(file)
        # a stopped run may be drawn from too; whoever stopped it does not want to wait for all items
        session.settle(None if session.finished else _FEW)
        yield part.report(stopped=bool(stop.signal))
    except GeneratorExit:
        if file is not None and not session.is_settled:
            session.save(file)
        raise
    finally:
        session.hand_over()

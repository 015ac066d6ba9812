"""The parts of a training, one after the other: the model, then its prior where that has a part of its own.

    model ── settle ──→ codes of the train split ── the prior's part ──→ a model that is drawn from

Each part is a `Session` of the same loop, with its own length, players, average, judge and supervisor. The
state is that of the part that is under way; the second part's holds the first one's weights too.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ectype.data.batch import Batch
from ectype.data.data import Data
from ectype.hardware import channels_last, choose_precision
from ectype.models import Autoencoder, Model
from ectype.models.codes import data_of, draw_from, learner_of, moving
from ectype.models.density import BATCH, LONG, Density
from ectype.noise import mix
from ectype.priors.flow import Flow
from ectype.training.budget import DEFAULT_MINUTES
from ectype.training.session import Session
from ectype.training.state import Progress, load_state, restore
from ectype.training.step import Settings, Step

Length = dict[str, Any]
"""Of a part: its steps, epochs or minutes, the others None."""


@dataclass
class Part:
    """One part of a training.

    Arguments:
        session: what trains it.
        model: the whole model, with averaged weights, to draw from.
        past: how far the part before it came, or None.
    """

    session: Session
    model: Model
    past: Progress | None = None

    @property
    def last(self) -> bool:
        """Whether no other follows."""
        return not self.session.progress.rest

    def report(self, stopped: bool = False) -> Step:
        """The session's, in steps and seconds of the whole training."""
        step = self.session.report(stopped)
        if self.past is None:
            to_come = self.session.progress.rest.get("steps") or 0
            return replace(step, total=step.total + to_come, done=step.done and self.last)
        before = self.past.step
        events = [{**e, **{k: e[k] + before for k in ("step", "to") if k in e}} for e in step.events]
        return replace(
            step,
            number=step.number + before,
            total=step.total + before,
            seconds=step.seconds + self.past.seconds,
            skipped=step.skipped + self.past.skipped,
            early=step.early or self.past.step < self.past.decisions["total"],
            model=self.model,
            events=(*self.past.supervisor["now"]["events"], *events),
            of="codes" if self.session.model.adversarial else "prior",
        )


def first(session: Session, length: Length) -> Part:
    """The first part, at its first step, as long as the second leaves it."""
    share = session.model.later
    ours, theirs = _divided(length, share)
    session.begin(**ours)
    session.progress.rest = theirs
    return Part(session, session.average)


def _divided(length: Length, share: float) -> tuple[Length, Length]:
    """The two parts' lengths; nothing for the second where it has no share, or no step."""
    if all(value is None for value in length.values()):
        length = {**length, "minutes": DEFAULT_MINUTES}
    steps = length["steps"]
    if share == 0 or (steps is not None and steps < 2):
        return length, {}
    ours: Length = {k: v if v is None else v * (1 - share) for k, v in length.items()}
    theirs: Length = {k: v if v is None else v * share for k, v in length.items()}
    if steps is not None:
        theirs["steps"] = min(steps - 1, max(1, round(steps * share)))
        ours["steps"] = steps - theirs["steps"]
    return ours, theirs


def following(part: Part) -> Part | None:
    """The part after one that has ended and settled, at its first step; or None."""
    if part.last:
        return None
    session = part.session
    progress = replace(session.progress, supervisor=session.supervisor.state())
    found = _fitting(session.model, session.data, session.settings, session.device, progress)
    found.session.begin(**progress.rest)
    if isinstance(found.session.model, Density):
        found.session.check_if_due()  # a prior that gets no better stays as it was
        _renew(found.session)
    told = asdict(progress)
    told["supervisor"] = {"now": {"events": session.supervisor.now.events}}
    found.session.progress.past = told
    return _drawing(found)


def _renew(session: Session) -> None:
    """New weights for a prior that has steps enough to learn from nothing; the judged ones stay the best.

    Not under conditions: there combinations nobody has seen came out no better (docs/log.md, 2026-11-22).
    """
    prior = session.model.prior
    if isinstance(prior, Flow) and session.total >= LONG and not prior.context:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(mix(session.settings.seed, 13))
            prior.reset()
        if session.supervisor.active:
            session.supervisor.snapshots.take(0, session.tensors())


def resumed(session: Session, path: Path) -> Part:
    """The part that a state is of, where it was; raises ModelFileError."""
    saved, progress = load_state(path)
    if not progress.past:
        session.resume(path)
        return Part(session, session.average)
    model, past = session.model, progress.parts[0]
    settings = Settings.decided(past.decisions, path)
    if settings.threads is not None:  # sums are of another order with another number, also those of codes
        torch.set_num_threads(settings.threads)
    restore(_still(model), {k: v for k, v in saved.items() if k.startswith("whole/")}, path)
    found = _fitting(model, session.data, settings, session.device, past)
    found.session.resume(path)
    return _drawing(found)


def _drawing(part: Part) -> Part:
    """The part, its model's prior drawing from the average of what learns."""
    draw_from(part.model.prior, part.session.average)
    return part


def _still(model: Model) -> dict[str, Tensor]:
    """What the prior's own part does not move, by name."""
    places = {p.data_ptr() for p in moving(model.prior).parameters()}
    return {f"whole/{k}": v for k, v in model.state_dict().items() if v.data_ptr() not in places}


def _fitting(model: Model, data: Data, settings: Settings, device: torch.device, past: Progress) -> Part:
    """The part of a trained model's prior, not begun."""
    prior = model.prior
    if not isinstance(model, Autoencoder):
        raise TypeError(f"{type(model).__name__} has no codes that a prior could learn")
    channels_last(model)
    model.eval()

    def batches(split: str) -> Iterator[Batch]:
        noise = torch.Generator(device=device).manual_seed(mix(settings.seed, 11))
        for batch in data.batches(split, 500, mix(settings.seed, 5)):
            yield batch.to(device).drop(settings.drop, noise)

    codes = data_of(model, prior, batches("train"), batches("select"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(mix(settings.seed, 12))
        learner = learner_of(prior, len(codes.splits["train"]))
    precision = choose_precision("auto", device, codes.kind.shape)
    chosen = replace(settings, rate=learner.default_rate, drop=0.0, patience=0, precision=precision)
    if isinstance(learner, Density):
        chosen = replace(chosen, batch=max(chosen.batch, BATCH))
    session = Session(learner, codes, chosen, device)
    session.beside = _still(model)
    return Part(session, copy.deepcopy(model), past)

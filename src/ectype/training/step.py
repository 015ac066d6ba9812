"""What a run is told at its start (`Settings`) and what it reports while it goes (`Step`)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ectype.errors import ModelFileError, UsageError
from ectype.models import Model, Stage


@dataclass(frozen=True)
class Step:
    """What the loop reports.

    Arguments:
        number: steps done; total: steps planned.
        seconds: time spent training, over all sittings.
        loss: mean train loss since the last report, nats per item.
        parts: the same for what the loss is made of.
        select: the select split's loss if it was just measured, nats per item.
        rate: items per second since the last report.
        skipped: steps so far whose gradient was not finite.
        stopped: ended by a stop signal; early: ended because the select loss no longer fell.
        done: this is the last report of a run that has nothing left to do.
        model: the averaged weights; draw from it, do not change it.
        of: while the prior learns by itself "codes" (a latent GAN: loss and parts are those of its game,
            select is an energy distance of codes) or "prior" (a density: all are its KL, nats); else nothing.
        events: what the supervisor noticed and did so far.
    """

    number: int
    total: int
    seconds: float
    loss: float
    parts: dict[str, float]
    select: float | None
    rate: float
    skipped: int
    stopped: bool
    early: bool
    done: bool
    model: Model = field(repr=False)
    events: tuple[dict[str, Any], ...] = ()
    of: str = ""


@dataclass(frozen=True)
class Settings:
    """What the user chose; kept in the state, so a resumed run takes it from there."""

    batch: int
    rate: float
    decay: float
    clip: float
    drop: float
    half_life: float
    patience: int
    precision: str
    threads: int | None
    seed: int
    supervise: bool = True

    @classmethod
    def decided(cls, decisions: Mapping[str, Any], path: Path) -> Settings:
        """What a state says was decided; raises ModelFileError where it does not say all."""
        try:
            return cls(**{k: v for k, v in decisions.items() if k != "total"})
        except TypeError as error:
            raise ModelFileError(f"{path} is damaged and cannot be resumed ({error})") from error

    def __post_init__(self) -> None:
        wrong = [n for n in ("rate", "batch") if not getattr(self, n) > 0]
        wrong += [n for n in ("decay", "clip", "half_life", "patience") if not getattr(self, n) >= 0]
        wrong += [] if 0 <= self.drop < 1 else ["drop"]
        wrong += [] if self.threads is None or self.threads > 0 else ["threads"]
        if wrong:
            found = ", ".join(f"{n}={getattr(self, n)}" for n in wrong)
            raise UsageError(
                f"out of range: {found} (rate, batch, threads > 0; 0 <= drop < 1; the rest >= 0)"
            )


def schedule(number: int, total: int) -> float:
    """Share of the learning rate at a step: a linear rise, then a cosine down to 1 %.

    Loshchilov and Hutter 2017, "SGDR: Stochastic gradient descent with warm restarts", equation 5.
    """
    rise = max(1, min(500, total // 50))
    if number < rise:
        return (number + 1) / rise
    passed = (number - rise) / max(1, total - rise)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * passed))


def stage_at(stages: tuple[Stage, ...], number: int, total: int) -> Stage:
    """The stage with players that step `number` of `total` belongs to."""
    moving = [stage for stage in stages if stage.players]
    end = 0.0
    for stage in moving:
        end += stage.share
        if number < end * total:
            return stage
    return moving[-1]

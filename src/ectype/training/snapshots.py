"""Where a run can be put back to: copies of all that moves, trusted only after a while without alarm.

A copy taken just before trouble shows holds the trouble already; going back to it would loop. So a new
copy is a candidate until a stretch of steps has passed without a sign, and a run always has one that is
good: that of its first step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

_GOOD = 3  # good ones that are kept: the first step's and the newest
_PROBATION = 2  # windows without a sign


@dataclass
class Snapshot:
    """All that moves, at a step; `clean` counts the windows without a sign since."""

    step: int
    tensors: dict[str, Tensor]
    clean: int = 0

    @property
    def good(self) -> bool:
        """Whether it may be gone back to."""
        return self.clean >= _PROBATION or self.step == 0


@final
class Snapshots:
    """The first step's, the newest good ones, and at most one candidate."""

    def __init__(self) -> None:
        self.kept: list[Snapshot] = []

    @torch.no_grad()
    def take(self, step: int, tensors: dict[str, Tensor]) -> None:
        """A new candidate, unless one is waiting already."""
        if self.kept and not self.kept[-1].good:
            return
        self.kept.append(Snapshot(step, {k: v.detach().clone() for k, v in tensors.items()}))

    def passed(self) -> None:
        """A window without a sign."""
        for snapshot in self.kept:
            snapshot.clean += 1
        good = [s for s in self.kept if s.good]
        self.kept = good[:1] + good[1:][1 - _GOOD :] + [s for s in self.kept if not s.good]

    def doubted(self) -> None:
        """A window with a sign: the candidate is dropped."""
        self.kept = [s for s in self.kept if s.good]

    def newest(self, back: int = 0) -> Snapshot:
        """The newest good one, or one that is `back` older; the oldest where there are fewer."""
        good = [s for s in self.kept if s.good]
        return good[max(0, len(good) - 1 - back)]

    def state(self) -> list[dict[str, int]]:
        """As JSON; the tensors go into the state file beside."""
        return [{"step": s.step, "clean": s.clean} for s in self.kept]

    def tensors(self) -> dict[str, Tensor]:
        """All tensors by name."""
        return {f"snapshot{i}/{k}": v for i, s in enumerate(self.kept) for k, v in s.tensors.items()}

    def restore(self, state: list[dict[str, Any]], saved: dict[str, Tensor]) -> None:
        """Take over what `state` and `tensors` gave; tensors are taken out of `saved`."""
        self.kept = []
        for i, told in enumerate(state):
            prefix = f"snapshot{i}/"
            mine = {k: saved.pop(k) for k in list(saved) if k.startswith(prefix)}
            tensors = {k.removeprefix(prefix): v for k, v in mine.items()}
            self.kept.append(Snapshot(int(told["step"]), tensors, int(told["clean"])))

"""Watches a training, and puts it back and changes something when it goes wrong.

    ok ── a sign ──→ watch ── two signs at once, or three windows with one, or a strong one ──→ act ──→ ok

    rung 1   back to the newest good snapshot, rate × 0.5, γ × 2, new order and noise
    rung 2   back to an older one, rate × 0.5, γ × 2, augmentation + 0.1
    rung 3   back to the first step, rate × 0.25, γ × 2, augmentation + 0.1; from there on the
             critic's weights are kept short (`Critic.restrain`)
    rung 4   stop, with the best averaged weights

A rung is left behind after ten windows without a sign; rate and restraint stay as they were put. Time
spent stays spent: the step count goes on. Steps without a finite gradient move nothing in the first place
(`Player.move`); here it is noticed that there are many. Every act is an event in the record and in the
report: a run that was put back is never shown as one that was not.

It also notices a latent that says nothing: a KL that stays near 0 is an event. Where the model can learn
its latent before the KL weighs anything (`Model.warm_starts`), the run is begun anew in that way; and where
it then falls silent again, a second time with a KL that is not pressed below what a code has to say.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, final

import torch
from torch import Tensor

from ectype.models import Loss, Model
from ectype.training.signs import STRONG, WINDOW, Signs
from ectype.training.snapshots import Snapshots

LOOK = WINDOW  # steps between two looks at made items
_CLEAN = 10
_IN_A_ROW = 3
_SETTLED = 0.2  # share of the run after which a latent that says nothing should say something
_TIMES = 2  # that a run is begun anew for a latent that says nothing
_SILENT = 0.1  # nats of KL per item below which the latent says nothing
_RUNGS = ((0, 0.5, 0.0), (1, 0.5, 0.1), (-1, 0.25, 0.1))  # how much older, rate, augmentation


@dataclass
class Condition:
    """What the supervisor has to remember, besides histories and snapshots: JSON.

    Arguments:
        rung: of the ladder, 0 before anything was done.
        factor: of the learning rate.
        salt: how often the run was put back; mixed into the seeds, so that it does not repeat itself.
        bad, clean: windows in a row with and without a sign.
        skipping: whether the last window had steps without a finite gradient.
        restrained: whether the model is kept within bounds after each step.
        silent: whether the latent was found to say nothing.
        anew: share of the run after which it was begun anew for that, the last time; 0: never.
        begun: how often it was.
        given_up: the ladder has ended.
        events: what happened, oldest first.
    """

    rung: int = 0
    factor: float = 1.0
    salt: int = 0
    bad: int = 0
    clean: int = 0
    restrained: bool = False
    silent: bool = False
    anew: float = 0.0
    begun: int = 0
    skipping: bool = False
    given_up: bool = False
    events: list[dict[str, Any]] = field(default_factory=list)


@final
class Supervisor:
    """Signs, snapshots and the ladder of one run.

    Arguments:
        active: whether it acts; one that is off notes nothing.
    """

    def __init__(self, active: bool) -> None:
        self.active = active
        self.now = Condition()
        self.signs = Signs()
        self.snapshots = Snapshots()
        self._rows: dict[str, list[Tensor]] = {}
        self._kl: list[Tensor] = []

    def note(self, player: str, total: Tensor, loss: Loss, length: Tensor, broken: Tensor) -> None:
        """One move of a player, on the device: nothing waits for it."""
        if not self.active:
            return
        nothing = torch.full_like(broken, math.nan)
        game = [loss.parts.get(name, nothing).float() for name in ("accuracy", "penalty")]
        row = [broken, length.float(), total.detach().float(), *game]
        self._rows.setdefault(player, []).append(torch.stack([v.reshape(()) for v in row]))
        if "kl" in loss.parts:
            self._kl.append(loss.parts["kl"].float().mean())

    @property
    def lost(self) -> bool:
        """Whether it gave up without a finite gradient, and can return to nothing but the first step."""
        never = self.now.given_up and self.snapshots.newest().step == 0
        return never and self.now.events[-1]["signs"] == ["non-finite"]

    def due(self, step: int) -> bool:
        """Whether a window ends with this step."""
        return self.active and step % WINDOW == 0

    def window(self, step: int, model: Model, seen: set[str]) -> str:
        """Read the window: "ok", "watch", "act", or "anew" where the latent has to be learned anew.

        Arguments:
            step: steps done.
            seen: signs that were found in made items.
        """
        found = set(seen)
        for player, rows in self._rows.items():
            found |= self.signs.read(player, torch.stack(rows).tolist(), model.settled)
        self._skipped(step)
        fell_silent = self._collapsed(step, model)
        self._rows, self._kl = {}, []
        if fell_silent and model.warm_starts and self.now.begun < _TIMES:
            return "anew"
        now = self.now
        if not found:
            now.bad, now.clean = 0, now.clean + 1
            now.rung = 0 if now.clean >= _CLEAN else now.rung
            self.snapshots.passed()
            return "ok"
        now.bad, now.clean = now.bad + 1, 0
        self.snapshots.doubted()
        acts = found & STRONG or len(found) > 1 or now.bad >= _IN_A_ROW
        if acts or now.bad == 1:
            self._event(step, "act" if acts else "watch", sorted(found))
        return "act" if acts else "watch"

    def _event(self, step: int, kind: str, signs: list[str]) -> None:
        self.now.events.append({"step": step, "kind": kind, "signs": signs})

    def _skipped(self, step: int) -> None:
        """Note steps that moved nothing, once for each stretch of such windows."""
        count = int(sum(float(torch.stack(rows)[:, 0].sum()) for rows in self._rows.values()))
        if count and not self.now.skipping:
            self._event(step, "skipped", ["non-finite"])
            self.now.events[-1]["steps"] = count
        self.now.skipping = count > 0

    def _collapsed(self, step: int, model: Model) -> bool:
        """Note, once, that the posterior says nothing about the item."""
        if not self._kl or self.now.silent or model.progress < _SETTLED:
            return False
        kl = float(torch.stack(self._kl).mean())
        if kl < _SILENT:
            self.now.silent = True
            self._event(step, "collapse", ["posterior"])
            self.now.events[-1]["kl"] = round(kl, 4)
        return self.now.silent

    def act(self, model: Model, verdict: str) -> dict[str, Tensor] | None:
        """The tensors to go back to, after changing what the next rung changes; None: there are none."""
        if verdict == "anew":
            return self._begin_anew(model)
        if verdict != "act":
            return None
        now, event = self.now, self.now.events[-1]
        if now.rung >= len(_RUNGS):
            now.given_up = True
            event["action"] = "stopped with the best averaged weights"
            return None
        older, rate, more = _RUNGS[now.rung]
        target = self.snapshots.kept[0] if older < 0 else self.snapshots.newest(older)
        now.rung, now.salt, now.bad, now.factor = now.rung + 1, now.salt + 1, 0, now.factor * rate
        now.restrained = now.restrained or older < 0
        event |= {"action": "put back", "to": target.step, "rung": now.rung, "rate": now.factor}
        event["restrained"] = now.restrained and model.adversarial
        self.signs.forget()
        self.snapshots.doubted()
        changed = model.steadied(2.0, more)
        return {k: changed.get(k.removeprefix("model/"), v) for k, v in target.tensors.items()}

    def _begin_anew(self, model: Model) -> dict[str, Tensor]:
        """The tensors of the first step, to learn the latent from before its KL weighs anything."""
        first = self.snapshots.kept[0]
        now = self.now
        now.begun += 1
        now.events[-1] |= {"action": "begun anew", "to": first.step, "begun": now.begun}
        now.anew, now.salt, now.bad = model.progress, now.salt + 1, 0
        self.now.silent = False
        self.signs.forget()
        self.snapshots.doubted()
        return first.tensors

    # ---- resuming ----

    def state(self) -> dict[str, Any]:
        """As JSON."""
        rows = {k: torch.stack(v).tolist() for k, v in self._rows.items()}
        return {
            "active": self.active,
            "now": vars(self.now),
            "signs": self.signs.state(),
            "rows": rows,
            "kl": [float(v) for v in self._kl],
            "snapshots": self.snapshots.state(),
        }

    def restore(self, state: Mapping[str, Any], saved: dict[str, Tensor], device: torch.device) -> None:
        """Take over what `state` gave, and the snapshots out of the saved tensors."""
        self.active = bool(state["active"])
        self.now = Condition(**state["now"])
        self.signs = Signs(state["signs"])
        self._rows = {k: list(torch.tensor(v, device=device).unbind()) for k, v in state["rows"].items()}
        self._kl = [torch.tensor(v, device=device) for v in state["kl"]]
        self.snapshots.restore(state["snapshots"], saved)

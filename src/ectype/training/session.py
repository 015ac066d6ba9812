"""One training in progress: the model, its average, its players, and what has been decided."""

from __future__ import annotations

import copy
import math
import time
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import Tensor

from ectype.data.batch import Batch
from ectype.data.data import Data
from ectype.errors import DataError, TrainingError
from ectype.hardware import channels_last, computing, is_convolutional, keep_memory, seed_dropout
from ectype.models import Model
from ectype.noise import mix
from ectype.training.average import Average
from ectype.training.budget import CHECKS, best_threads, count_steps, time_steps
from ectype.training.judge import Judge
from ectype.training.meter import Meter
from ectype.training.order import Order
from ectype.training.player import Player
from ectype.training.state import Progress, load_state, restore, save_state
from ectype.training.step import Settings, Step, schedule, stage_at
from ectype.training.supervisor import LOOK, Supervisor

_HOPELESS = 100  # moves without a finite gradient, none between them, after which training is given up


class Session:
    """One training in progress. `begin` or `resume` first, then `step` until `finished`."""

    def __init__(self, model: Model, data: Data, settings: Settings, device: torch.device) -> None:
        if len(data.splits["train"]) == 0:
            raise DataError("there is nothing to train on: the train split is empty")
        keep_memory()
        self.model = model.to(device)
        self.data = data
        self.beside: dict[str, Tensor] = {}
        """What the state keeps and no step moves."""
        self.device = device
        self.configure(settings)

    def configure(self, settings: Settings) -> None:
        """Take the settings: players, order, and an average that starts at the weights."""
        self.settings = settings
        if settings.threads is not None:
            torch.set_num_threads(settings.threads)
        channels_last(self.model)
        self.averaging = Average(self.model, settings.half_life)
        self.average = self.averaging.model
        self.convolutional = is_convolutional(self.model)
        self.players = {
            name: Player(self.model.player(name), settings.decay, settings.clip, self.model.betas)
            for stage in self.model.stages
            for name in stage.players
        }
        self.judging = Judge(self.data, self.model, self.device, settings.precision, settings.seed)
        self.order = Order(self.data.splits["train"], settings.batch, settings.seed)
        self.noise = torch.Generator(device=self.device)
        self.drawing = torch.Generator()  # of the data, which lies on the CPU
        self.best: dict[str, Tensor] | None = None
        self.supervisor = Supervisor(settings.supervise)
        self.is_settled = False
        self._hopeless = 0
        self._fresh()

    def begin(self, steps: int | None, epochs: float | None, minutes: float | None) -> None:
        """Decide how long the run is and stand at step 0."""
        total = count_steps(steps, epochs, minutes, self.order.per_epoch, self._trial)
        decided = asdict(self.settings) | {"threads": torch.get_num_threads(), "total": total}
        self.progress = Progress(0, decided)
        if self.supervisor.active:
            self.supervisor.snapshots.take(0, self.tensors())

    @property
    def total(self) -> int:
        """Steps planned."""
        return int(self.progress.decisions["total"])

    @property
    def early(self) -> bool:
        """Whether the select loss has not fallen for as many checks as patience allows."""
        return 0 < self.settings.patience <= self.progress.patience

    @property
    def finished(self) -> bool:
        """Whether there is no step left to do."""
        return self.progress.step >= self.total or self.early or self.supervisor.now.given_up

    def step(self) -> None:
        """One step of every player of the stage, then the average."""
        began = time.perf_counter()
        number = self.progress.step
        self._advance(number, self.total)
        self.progress.step = number + 1
        if self.supervisor.due(number + 1):
            self._supervise(number + 1)
        self.progress.seconds += time.perf_counter() - began

    def _advance(self, number: int, total: int) -> None:
        seed = self._seed
        self.noise.manual_seed(mix(seed, number, 2))
        self.drawing.manual_seed(mix(seed, number, 6))
        seed_dropout(self.device, mix(seed, number, 3))
        if not self.model.training:
            self.model.train()
        now = self.supervisor.now
        self.model.progress, self.model.anew, self.model.begun = number / total, now.anew, now.begun
        batch = self._batch(self.order.at(number))
        rate = self.settings.rate * schedule(number, total) * now.factor
        for name in stage_at(self.model.stages, number, total).players:
            player = self.players[name]
            with self.computing():
                loss = self.model.loss(batch, name, self.noise)
                total_loss = loss.total
                broken = player.move(total_loss, rate)
            self.model.follow(name, loss, broken)
            self.meter.add(name, total_loss, loss.parts, broken)
            self.supervisor.note(name, total_loss, loss, player.length, broken)
        if now.restrained:
            self.model.restrain()
        self.averaging.follow(number, total)
        self._items += len(batch)

    @property
    def _seed(self) -> int:
        """Of order and noise: another one after the run was put back, so that it does not repeat itself."""
        salt = self.supervisor.now.salt
        return mix(self.settings.seed, salt, 9) if salt else self.settings.seed

    def _supervise(self, number: int) -> None:
        """Let the supervisor read a window, and put the run back where it says so."""
        seen = self.judging.signs(self.model, self.supervisor.signs) if number % LOOK == 0 else set()
        verdict = self.supervisor.window(number, self.model, seen)
        if verdict == "ok":
            self.supervisor.snapshots.take(number, self.tensors())
        elif (tensors := self.supervisor.act(self.model, verdict)) is not None:
            restore(self.tensors(), tensors, Path("snapshot"))
            self.order = Order(self.data.splits["train"], self.settings.batch, self._seed)
            if verdict == "anew":  # a latent that says nothing may be as likely, and was not asked for
                self.best, self.progress.best, self.progress.patience = None, None, 0

    def computing(self) -> AbstractContextManager[None]:
        """The precision of this run, for a block that computes."""
        return computing(self.convolutional, self.device, self.settings.precision)

    def _batch(self, indices: Tensor) -> Batch:
        batch = self.data.batch(indices, self.drawing).to(self.device)
        return batch.drop(self.settings.drop, self.noise)

    # ---- what is reported ----

    def _fresh(self) -> None:
        self.meter = Meter()
        self._items = 0
        self._since = time.perf_counter()
        self._select: float | None = None

    def report(self, stopped: bool = False) -> Step:
        """The means since the last report; raises TrainingError when nothing finite is left."""
        self._count_skipped()
        means = self.meter.means()
        step = Step(
            self.progress.step,
            self.total,
            self.progress.seconds,
            means.pop("loss", math.nan),
            means,
            self._select,
            self._items / max(time.perf_counter() - self._since, 1e-9),
            self.progress.skipped,
            stopped,
            self.early,
            self.finished,
            self.average,
            tuple(self.supervisor.now.events),
        )
        self._fresh()
        return step

    def _count_skipped(self) -> None:
        skipped, moves = self.meter.skipped, self.meter.moves
        self.progress.skipped += skipped
        if moves:
            self._hopeless = self._hopeless + skipped if skipped == moves else 0
        never = self.finished and 0 < self.progress.step <= self.progress.skipped
        if self._hopeless >= _HOPELESS or (self._hopeless and never) or self.supervisor.lost:
            raise TrainingError(
                f"the last {self._hopeless} steps had no finite gradient, up to step {self.progress.step}; "
                "lower the rate, or use precision fp32"
            )

    # ---- the select split ----

    def check_if_due(self) -> bool:
        """Judge the average on the select split every 1/30 of the run; keep the best weights."""
        number, every = self.progress.step, max(1, self.total // CHECKS)
        if number % every and number != self.total:
            return False
        self.averaging.catch_up()
        if (loss := self.judge(self.average)) is None:
            return False
        self._select = loss
        # the average may be broken when it is first judged: NaN is below nothing, and nothing below it
        best = math.inf if self.progress.best is None else self.progress.best
        if math.isfinite(loss) and loss < self.judging.as_good_as(best):
            self.progress.best, self.progress.best_step, self.progress.patience = min(loss, best), number, 0
            self.best = {k: v.clone() for k, v in self.average.state_dict().items()}
        elif self.model.settled:  # before, warm-up and the rising rate decide, not the data
            self.progress.patience += 1
        return True

    def judge(self, model: Model) -> float | None:
        """How good a model is on the select split, lower is better; None without one."""
        began = time.perf_counter()
        found = self.judging.of(model)
        self.progress.seconds += time.perf_counter() - began
        return found

    def settle(self, few: int | None = None) -> None:
        """Take the best weights; fit what is computed from the data, all of it or `few` random items."""
        self.take_best()
        seed = mix(self.settings.seed, 5)
        for stage in self.model.stages:
            if not stage.players:
                train = (b.to(self.device) for b in self.data.batches("train", 500, seed, few))
                select = (b.to(self.device) for b in self.data.batches("select", 500, seed, few))
                self.average.settle(train, select)
        self.is_settled = True

    def take_best(self) -> None:
        """The best average so far becomes the average; without a select split, the last one stays."""
        if self.best is None:
            self.averaging.catch_up()
        else:
            self.average.load_state_dict(self.best)

    def hand_over(self) -> None:
        """The averaged weights become the model's."""
        if not self.is_settled:
            self.take_best()
        self.model.load_state_dict(self.average.state_dict())
        self.model.progress = 1.0
        self.model.eval()

    def _trial(self, seconds: float) -> int:
        """How many steps fit, with as many threads as torch has or with one, whichever is faster."""
        now = torch.get_num_threads()
        free = self.settings.threads is None and self.device.type == "cpu"
        return best_threads({now, 1} if free else {now}, self._steps_in, seconds)

    def _steps_in(self, seconds: float) -> int:
        """How many steps fit: tried on a copy of everything that moves."""
        twin = Session(copy.deepcopy(self.model), self.data, self.settings, self.device)
        twin.progress = Progress(0, {"total": 1000})

        def wait() -> None:
            if self.device.type == "cuda":  # elsewhere a step is over when it returns
                torch.cuda.synchronize(self.device)

        return time_steps(
            lambda i: twin._advance(i * 389 % 1000, 1000), lambda: twin.judge(twin.average), wait, seconds
        )

    def tensors(self) -> dict[str, Tensor]:
        """All that moves, by name."""
        out = {f"model/{k}": v for k, v in self.model.state_dict().items()}
        out |= {f"average/{k}": v for k, v in self.average.state_dict().items()}
        for name, player in self.players.items():
            out |= {f"player/{name}/{k}": v for k, v in player.tensors().items()}
        return out

    def save(self, path: Path) -> None:
        """Write the state; raises OutputError."""
        best = {} if self.best is None else {f"best/{k}": v for k, v in self.best.items()}
        # steps that nobody has looked at yet count too
        skipped = self.progress.skipped + self.meter.skipped
        progress = replace(self.progress, skipped=skipped, supervisor=self.supervisor.state())
        tensors = {**self.tensors(), **self.beside, **best, **self.supervisor.snapshots.tensors()}
        save_state(path, tensors, progress)

    def resume(self, path: Path) -> None:
        """Stand where the state was written; raises ModelFileError."""
        saved, progress = load_state(path)
        self.configure(Settings.decided(progress.decisions, path))
        self.supervisor.restore(progress.supervisor, saved, self.device)
        self.order = Order(self.data.splits["train"], self.settings.batch, self._seed)
        targets = {**self.tensors(), **self.beside}
        if any(name.startswith("best/") for name in saved):
            self.best = {k: v.clone() for k, v in self.average.state_dict().items()}
            targets |= {f"best/{k}": v for k, v in self.best.items()}
        restore(targets, saved, path)
        self.progress = progress
        self.progress.resumed += 1

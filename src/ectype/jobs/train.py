"""Train a model on data: one command from raw files to a model, samples and a report."""

from __future__ import annotations

import json
import math
import shlex
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ectype.errors import DataError, ModelFileError, Stopped, UsageError
from ectype.jobs import outputs

if TYPE_CHECKING:
    from ectype.data.data import Data
    from ectype.models import Model
    from ectype.runs import Run
    from ectype.training.step import Step

STATE_FILE = "state.safetensors"
METRICS_FILE = "metrics.jsonl"
_SHOWN = 64  # samples on a sheet, seeds 0 to 63, never chosen


def train(
    source: str | None = None,
    *,
    model: str = "vae",
    network: str | None = None,
    likelihood: str | None = None,
    prior: str | None = None,
    latent: int | None = None,
    given: str | None = None,
    out: Path | None = None,
    resume: Path | None = None,
    overwrite: bool = False,
    seed: int = 0,
    tensorboard: bool = False,
    **options: Any,
) -> Run:
    """Train a model on data and write its folder: model, samples, numbers, report.

    Arguments:
        source: folder or zip of images, .npy, .npz, idx, hf:owner/name, or digits, shapes, ring, grid.
        model: family: ae or vae.
        network: conv or mlp; default: what suits the data.
        likelihood: bernoulli, logistic, normal, laplace or categorical; default: what suits the data.
        prior: normal, mixture, vamp or fitted; default: what suits the family.
        latent: numbers in the code; default: grows with the size of an item.
        given: conditions by name, such as label; several with commas.
        out: folder for the run; default: a free name under runs/.
        resume: folder of a run to go on with, bit for bit; takes no other option.
        overwrite: replace a run that is already in the folder.
        seed: of the splits, the initial weights, the order and the noise.
        tensorboard: write the curves for TensorBoard too.
        options: of the parts, of reading the data and of training.

    Raises UsageError, DataError, OutputError, TrainingError; Stopped after Ctrl-C or SIGTERM, when
    everything has been saved.
    """
    if resume is not None:
        if source is not None or options or out is not None:
            raise UsageError("--resume goes on with a run as it was; it takes no source and no other option")
        return _Training.again(resume, tensorboard).run()
    if source is None:
        raise UsageError("SOURCE is missing: what to train on, such as a folder of images, or digits")
    request = {
        "source": str(source),
        "given": given,
        "model": model,
        "network": network,
        "likelihood": likelihood,
        "prior": prior,
        "latent": latent,
        "seed": seed,
        "options": options,
    }
    folder = Path(out) if out is not None else outputs.free(Path("runs") / _name(str(source)))
    outputs.refuse(folder, overwrite)
    return _Training(folder, request, tensorboard).run()


def _name(source: str) -> str:
    """A folder's name for a source: its last part without suffixes."""
    return Path(source.rstrip("/")).name.split(".")[0].replace(":", "-") or "run"


class _Training:
    """One run being trained into its folder."""

    def __init__(self, folder: Path, request: dict[str, Any], tensorboard: bool, again: bool = False) -> None:
        self.folder = folder
        self.request = request
        self.is_resumed = again
        self.board = _board(folder) if tensorboard else None
        self.last: Step | None = None

    @classmethod
    def again(cls, folder: Path, tensorboard: bool) -> _Training:
        """Take up the run in a folder; raises ModelFileError where there is none."""
        try:
            record = json.loads((folder / "record.json").read_text())
            return cls(folder, record["request"], tensorboard, again=True)
        except FileNotFoundError as error:
            raise ModelFileError(f"there is no run to resume in {folder}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise ModelFileError(f"{folder / 'record.json'} is damaged and cannot be resumed") from error

    def run(self) -> Run:
        """Read, build, train, save, evaluate, report."""
        from ectype.assembly import build, options_of
        from ectype.data.reading import read
        from ectype.runs import Run
        from ectype.training.loop import WIRED, fit
        from ectype.training.signals import stop_signals

        options = dict(self.request["options"])
        reading = {k: options.pop(k) for k in list(options) if k in options_of(read)}
        training = {k: options.pop(k) for k in list(options) if k in set(options_of(fit)) - WIRED}
        seed = self.request["seed"]
        given = self.request["given"]
        data = read(self.request["source"], given=given.split(",") if given else None, seed=seed, **reading)
        parts = {k: self.request[k] for k in ("network", "likelihood", "prior", "latent")}
        model = build(self.request["model"], data, **parts, seed=seed, **options)
        self.start(model, data)
        run = Run.of(model, data)
        created = datetime.now(UTC).isoformat(timespec="seconds")
        run.record |= {
            "request": self.request,
            "command": _command(),
            "created": created,
            "notes": list(data.notes),
        }
        with stop_signals() as stop:
            state = self.folder / STATE_FILE
            steps = fit(model, data, **training, seed=seed, state=state, resume=self.is_resumed, stop=stop)
            self.watch(steps, data)
            self.finish(run)
        if stop.signal:
            raise Stopped(
                f"stopped; everything is saved. Go on with: ectype train --resume {self.folder}",
                stop.exit_code,
            )
        self.conclude(run)
        return run

    def start(self, model: Model, data: Data) -> None:
        """Say what is about to happen, and make sure that its result can be written."""
        from ectype.training.state import write_atomically

        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / "sheets").mkdir(exist_ok=True)
        except OSError as error:
            raise outputs.cannot_write(self.folder, error) from error
        if not self.is_resumed:
            text = json.dumps({"request": self.request, "command": _command(), "data": data.source})
            write_atomically(self.folder / "record.json", text.encode())
            (self.folder / METRICS_FILE).unlink(missing_ok=True)
        counts = ", ".join(f"{len(v):,} {k}" for k, v in data.splits.items() if k != "all")
        outputs.tell(f"{self.request['source']}: {data.kind.name}, {counts}")
        for note in data.notes:
            outputs.tell(f"note: {note}")
        numbers = sum(p.numel() for p in model.parameters())
        spec = model.spec
        outputs.tell(
            f"{spec['model']} with {spec['network']} networks, {spec['likelihood']} likelihood, "
            f"{spec['prior']} prior, latent {spec['latent']}: {numbers:,} parameters"
        )

    def watch(self, steps: Any, data: Data) -> None:
        """Show progress, keep the curves, draw a sheet at every check."""
        from tqdm import tqdm

        if self.is_resumed:
            self._forget_after_state()
        try:
            with (
                open(self.folder / METRICS_FILE, "a") as file,
                tqdm(
                    unit="step",
                    file=sys.stderr,
                    dynamic_ncols=True,
                    mininterval=0.5,
                    disable=None,
                    smoothing=0.1,
                ) as bar,
            ):
                for step in steps:
                    if step.number and bar.total != step.total:
                        bar.reset(step.total)
                        bar.initial = step.number
                    bar.update(step.number - bar.n)
                    bar.set_postfix_str(_line(step), refresh=False)
                    self._write(step, file)
                    if step.select is not None and not step.stopped:
                        self._sheet(step, data)
                    self.last = step
        except OSError as error:
            raise outputs.cannot_write(self.folder, error) from error

    def _write(self, step: Step, file: Any) -> None:
        rows: list[dict[str, Any]] = []
        if math.isfinite(step.loss):
            rows.append({"split": "train", "loss": step.loss, "parts": step.parts})
        if step.select is not None:
            rows.append({"split": "select", "loss": step.select, "parts": {}})
        for row in rows:
            row |= {"step": step.number, "seconds": round(step.seconds, 2)}
            file.write(json.dumps(row) + "\n")
            if self.board is not None:
                self.board.add_scalar(f"loss/{row['split']}", row["loss"], step.number)
                for name, value in row["parts"].items():
                    self.board.add_scalar(f"{row['split']}/{name}", value, step.number)
        file.flush()

    def _forget_after_state(self) -> None:
        """Drop curve points later than the state that training goes on from."""
        from ectype.training.state import load_state

        _, progress = load_state(self.folder / STATE_FILE)
        path = self.folder / METRICS_FILE
        lines = path.read_text().splitlines() if path.exists() else []
        kept = [x for x in lines if _step_of(x) <= progress.step]
        path.write_text("".join(x + "\n" for x in kept))

    def _sheet(self, step: Step, data: Data) -> None:
        from ectype.jobs.sample import sample
        from ectype.runs import Run

        run = Run(step.model, data.kind, dict(data.conditions), {})
        count = min(_SHOWN, 64)
        path = self.folder / "sheets" / f"step-{step.number:07d}.png"
        data.kind.sheet(sample(run, count)).save(path)

    def finish(self, run: Run) -> None:
        """Write the model and what there is to know about its training."""
        from ectype.training.state import load_state

        _, progress = load_state(self.folder / STATE_FILE)
        step = self.last
        run.record["training"] = {
            "steps": progress.step,
            "planned": progress.decisions["total"],
            "seconds": round(progress.seconds, 1),
            "best_step": progress.best_step,
            "best_select": progress.best,
            "skipped": progress.skipped,
            "resumed": progress.resumed,
            "stopped": bool(step and step.stopped),
            "early": bool(step and step.early),
            **{k: v for k, v in progress.decisions.items() if k != "total"},
        }
        run.save(self.folder)

    def conclude(self, run: Run) -> None:
        """Samples, numbers and the report of a finished run."""
        from ectype.jobs.evaluate import evaluate
        from ectype.jobs.report import report
        from ectype.jobs.sample import sample

        began = time.perf_counter()
        try:
            run.kind.sheet(sample(run, _SHOWN)).save(self.folder / "samples.png")
        except OSError as error:
            raise outputs.cannot_write(self.folder, error) from error
        try:
            evaluate(run)
        except DataError as error:  # no held-out data: the model is good all the same
            outputs.tell(f"not evaluated: {error}")
        page = report(self.folder, overwrite=True)
        outputs.tell(f"evaluated and reported in {time.perf_counter() - began:.0f} s")
        places = {"model": self.folder / "model.safetensors", "samples": self.folder / "samples.png"}
        for name, path in {**places, "report": page}.items():
            outputs.tell(f"{name:8s} {path}")


def _line(step: Step) -> str:
    parts = " ".join(f"{k} {v:.2f}" for k, v in step.parts.items())
    select = "" if step.select is None else f" select {step.select:.2f}"
    return f"loss {step.loss:.2f} {parts}{select} {step.rate:,.0f} items/s"


def _step_of(line: str) -> float:
    """The step of a curve point; a line cut short by a kill counts as later than any."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")


def _command() -> str:
    return shlex.join(["ectype", *sys.argv[1:]])


def _board(folder: Path) -> Any:
    from ectype.errors import MissingExtra

    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MissingExtra("tensorboard", "tensorboard") from error
    return SummaryWriter(str(folder / "tensorboard"))

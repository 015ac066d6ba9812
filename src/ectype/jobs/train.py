"""Train a model on data: one command from raw files to a model, samples and a report."""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ectype.errors import DataError, ModelFileError, Stopped, UsageError
from ectype.jobs import events, outputs
from ectype.jobs.curves import BOARD, Curves, writer
from ectype.jobs.inversions import FILE as INVERSION_FILE

if TYPE_CHECKING:
    from ectype.data.data import Data
    from ectype.models import Model
    from ectype.runs import Run
    from ectype.training.step import Step

STATE_FILE = "state.safetensors"
_OF_A_RUN = (STATE_FILE, "model.safetensors", "evaluation.json", "samples.png", "samples.txt", "report.html")
_JUDGED = 1000  # test items read in the first evaluation; `ectype evaluate` takes all of them
_MADE = 2000  # made items that are compared with as many test items then
_VALUES = 20_000_000  # values it decodes at most, which is what it takes its time for
_REQUEST = {"source", "given", "model", "network", "likelihood", "prior", "latent", "seed", "options"}
_SHOWN = 64  # samples on a sheet, seeds 0 to 63, never chosen


def train(
    source: str | None = None,
    *,
    model: str = "vae",
    network: str | None = None,
    likelihood: str | None = None,
    prior: str | None = None,
    latent: int | None = None,
    given: Sequence[str] | None = None,
    out: Path | None = None,
    resume: Path | None = None,
    overwrite: bool = False,
    seed: int = 0,
    tensorboard: bool = False,
    **options: Any,
) -> Run:
    """Train a model on data and write its folder: model, samples, numbers, report.

    Arguments:
        source: folder or zip of images, table that names some or holds texts or series (.csv, .jsonl), .txt
            or a folder of them, .npy, .npz, idx, hf:owner/name, or digits, shapes, ring, grid.
        model: family: ae, gan, vae or vaegan; of texts also lm, a language model.
        network: conv, dcgan, mlp or sequence, of texts recurrent, transformer or causal; default: what suits
            the data.
        likelihood: bernoulli, logistic, normal, laplace or categorical; default: what suits the data.
        prior: normal, mixture, vamp, flow, fitted or gan; default: what suits the family.
        latent: numbers in the code; default: grows with the size of an item.
        given: conditions: label or another column, captions.jsonl:name, or a folder such as outline/; several
            with commas or given again.
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
        others = (source, network, likelihood, prior, latent, given, out)
        if any(x is not None for x in others) or options or overwrite or seed or model != "vae":
            raise UsageError("--resume goes on with a run as it was; it takes no source and no other option")
        return _Training.again(Path(resume), tensorboard).run()
    if source is None:
        raise UsageError("SOURCE is missing: what to train on, such as a folder of images, or digits")
    request = {
        "source": str(source),
        "given": given if given is None or isinstance(given, str) else list(given),
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

    def __init__(
        self, folder: Path, request: dict[str, Any], tensorboard: bool, record: dict[str, Any] | None = None
    ) -> None:
        self.folder = folder
        self.request = request
        self.record = record
        self.tensorboard = tensorboard
        self.last: Step | None = None

    @classmethod
    def again(cls, folder: Path, tensorboard: bool) -> _Training:
        """Take up the run in a folder; raises ModelFileError where there is none."""
        try:
            record = json.loads((folder / "record.json").read_text())
            request = {**record["request"]}
            if request.keys() != _REQUEST or not {"data", "command"} <= record.keys():
                raise KeyError("request")
        except (FileNotFoundError, NotADirectoryError) as error:
            raise ModelFileError(f"there is no run to resume in {folder}") from error
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise ModelFileError(
                f"{folder / 'record.json'} is damaged and cannot be resumed; train anew with --overwrite"
            ) from error
        return cls(folder, request, tensorboard, record)

    def made(self) -> tuple[Data, Model, dict[str, Any]]:
        """The data, the new model, and the options that are left for training."""
        from ectype.assembly import build, options_of
        from ectype.data.reading import read, reread
        from ectype.training.loop import WIRED, check, fit

        asked = self.request
        options = dict(asked["options"])
        reading = {k: options.pop(k) for k in list(options) if k in options_of(read)}
        training = {k: options.pop(k) for k in list(options) if k in set(options_of(fit)) - WIRED}
        check(training)
        if self.record is not None:  # the same items in the same splits, or an error that says why not
            data = reread(self.record["data"])
        else:
            data = read(asked["source"], given=asked["given"], seed=asked["seed"], **reading)
        parts = {k: asked[k] for k in ("network", "likelihood", "prior", "latent", "seed")}
        return data, build(asked["model"], data, **parts, **options), {**training, "seed": asked["seed"]}

    def run(self) -> Run:
        """Read, build, train, save, evaluate, report."""
        from ectype.runs import Run
        from ectype.training.loop import fit
        from ectype.training.signals import stop_signals

        if self.tensorboard:
            writer()  # before anything is read: it may not be there
        data, model, training = self.made()
        self.announce(model, data)
        run = Run.of(model, data)
        created = datetime.now(UTC).isoformat(timespec="seconds")
        # a resumed run was still made by the command that began it
        command = _command() if self.record is None else self.record["command"]
        run.record |= {"request": self.request, "command": command, "created": created}
        run.record["notes"] = list(data.notes)
        with stop_signals() as stop:
            state, again = self.folder / STATE_FILE, self.record is not None
            steps = fit(model, data, **training, state=state, resume=again, stop=stop)
            self.prepare(data)  # only now: settings that fit refuses leave nothing behind
            self.watch(steps, data)
            self.finish(run)
        if stop.signal:
            again_with = f"ectype train --resume {self.folder}"
            raise Stopped(f"stopped; everything is saved. Go on with: {again_with}", stop.exit_code)
        self.conclude(run)
        return run

    def announce(self, model: Model, data: Data) -> None:
        """Say what is about to happen."""
        counts = ", ".join(f"{len(v):,} {k}" for k, v in data.splits.items() if k != "all")
        outputs.tell(f"{self.request['source']}: {data.kind.name}, {counts}")
        outputs.tell_kinds(data)
        for note in (*data.notes, *([model.remark] if model.remark else [])):
            outputs.tell(f"note: {note}")
        numbers = sum(p.numel() for p in model.parameters())
        spec = model.spec
        outputs.tell(
            f"{spec['model']} with {spec['network']} networks, {spec['likelihood']} likelihood, "
            f"{spec['prior']} prior, latent {spec['latent']}: {numbers:,} parameters"
        )

    def prepare(self, data: Data) -> None:
        """Make the folder, so that a result that cannot be written fails before the work and not after."""
        from ectype.training.state import write_atomically

        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / "sheets").mkdir(exist_ok=True)
        except OSError as error:
            raise outputs.cannot_write(self.folder, error) from error
        if self.record is None:
            # what an overwritten run left must not pass for this one's, nor its state be resumed as this one
            for name in (*_OF_A_RUN, INVERSION_FILE):
                (self.folder / name).unlink(missing_ok=True)
            for pattern in ("sheets/step-*.png", f"{BOARD}/events.out.tfevents.*"):
                for old in self.folder.glob(pattern):
                    old.unlink()
            text = json.dumps({"request": self.request, "command": _command(), "data": data.source})
            write_atomically(self.folder / "record.json", text.encode())

    def watch(self, steps: Iterator[Step], data: Data) -> None:
        """Show progress, keep the curves, draw a sheet at every check."""
        from tqdm import tqdm

        from ectype.training.state import load_state

        after = load_state(self.folder / STATE_FILE)[1].steps if self.record is not None else 0
        look = {"file": sys.stderr, "dynamic_ncols": True, "disable": None, "smoothing": 0.1}
        with (
            Curves(self.folder, after=after, tensorboard=self.tensorboard) as curves,
            tqdm(unit="step", initial=after, **look) as bar,
        ):
            for step in steps:
                if bar.total != step.total:
                    bar.total = step.total
                bar.update(step.number - bar.n)
                bar.set_postfix_str(_line(step), refresh=False)
                for event in curves.add(step):
                    bar.clear()
                    outputs.tell(events.told(event))
                if step.select is not None and not step.stopped:
                    self._sheet(step, data)
                self.last = step

    def _sheet(self, step: Step, data: Data) -> None:
        from ectype.jobs.sample import sample
        from ectype.runs import Run

        run = Run(step.model, data.kind, dict(data.conditions), {})
        path = self.folder / "sheets" / f"step-{step.number:07d}.png"
        outputs.write(path, data.kind.sheet(sample(run, _SHOWN)).save, overwrite=True, quiet=True)

    def finish(self, run: Run) -> None:
        """Write the model and what there is to know about its training."""
        from ectype.training.state import load_state

        _, progress = load_state(self.folder / STATE_FILE)
        step = self.last
        run.record["training"] = {
            **events.measured(progress),
            "stopped": bool(step and step.stopped),
            "early": bool(step and step.early),
            "events": list(step.events) if step else [],
            **{k: v for k, v in progress.parts[0].decisions.items() if k != "total"},
        }
        run.save(self.folder)

    def conclude(self, run: Run) -> None:
        """Samples, numbers and the report of a finished run."""
        from ectype.jobs.evaluate import evaluate
        from ectype.jobs.report import report
        from ectype.jobs.sample import sample

        began = time.perf_counter()
        done = run.record["training"]
        outputs.tell(events.spent(done, self.request["options"].get("minutes")))
        if 2 * done["skipped"] > done["steps"]:
            outputs.tell(
                f"warning: {done['skipped']:,} of {done['steps']:,} steps had no finite gradient and moved "
                "nothing: this model is hardly trained; lower --rate, or use --precision fp32"
            )
        made = sample(run, _SHOWN)
        outputs.write(self.folder / "samples.png", run.kind.sheet(made).save, overwrite=True, quiet=True)
        if run.kind.name == "text":  # no machine has a font for every script
            put = partial(Path.write_text, data="\n\n".join(made), encoding="utf-8", errors="replace")
            outputs.write(self.folder / "samples.txt", put, overwrite=True, quiet=True)
        try:
            sites = run.kind.shape.sites
            evaluate(run, count=_JUDGED, made=_MADE, samples=max(5, min(50, _VALUES // (_JUDGED * sites))))
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


def _command() -> str:
    """The command line that is running, for the record."""
    if Path(sys.argv[0]).name in ("ectype", "ectype.exe", "__main__.py"):
        return shlex.join(["ectype", *sys.argv[1:]])
    return "ectype.train(…), called from Python"

"""Let a model that only makes read too: an encoder trained after the fact, beside the model."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ectype.errors import DataError, OutputError, Stopped, UsageError
from ectype.jobs import outputs

if TYPE_CHECKING:
    from ectype.data.data import Data
    from ectype.jobs.inputs import Items
    from ectype.metrics import Score
    from ectype.models.inversion import Inverted
    from ectype.runs import Run

_NEW = 4  # mixed into the seed, so that items are judged that nothing else is made from
_SHOWN = 10_000  # training items that the spread of the data is taken from
LEAST = 100
"""Items below which a mean over items says little."""


def invert(
    run: Run | str | Path,
    source: str | Path | None = None,
    *,
    minutes: float = 1.0,
    steps: int | None = None,
    batch: int = 100,
    rate: float = 1e-3,
    count: int = 1000,
    seed: int = 0,
    device: str = "auto",
    overwrite: bool = False,
) -> list[Score]:
    """Train an encoder for a model that only makes, such as a GAN: encode, reconstruct, edit work then.

    The model stays as it is. The encoder learns from made items, whose codes are known, and from real ones;
    it is the file inversion.safetensors in the run's folder. How near items come back is measured on held-out
    ones, beside the mean item; how near codes come back on items that are made for it, beside the mean code.

    Arguments:
        run: a run's folder, or its model file.
        source: real items, anything train reads; default: the data the run was trained on.
        minutes: how long to train.
        steps: the same in steps.
        batch: real items per step, and as many made ones.
        rate: learning rate at its height.
        count: items measured on, at most.
        seed: of the initial weights, the order and the noise.
        device: auto, cpu, cuda, …
        overwrite: replace an encoder that is there.

    Raises UsageError for a model that has an encoder of its own, DataError where the items cannot be read,
    OutputError where the run's folder cannot be written, TrainingError where training diverged.
    """
    from ectype.jobs import inversions
    from ectype.jobs.inputs import device_of, opened

    if count < 1:
        raise UsageError(f"count is at least 1, not {count}")
    run = opened(run)
    if run.folder is None:
        raise UsageError(
            "the encoder is kept in the run's folder, and this run has none: use run.save() first"
        )
    if not overwrite and (run.folder / inversions.FILE).exists():
        raise OutputError(f"{run.folder} has an encoder already: replace it with --overwrite")
    before, training = device_of(run), run.model.training
    model, data = _new(run, seed), _data(run, source, seed)
    length: dict[str, Any] = {"minutes": minutes} if steps is None else {"steps": steps}
    try:
        done = _fit(model, data, batch=batch, rate=rate, seed=seed, device=device, **length)
        scores = measured(run, model, data, count=count, seed=seed)
    finally:
        run.model.to(before).train(training)
    outputs.tell_scores(scores)
    file = inversions.save(run, model.encoder, run.folder)
    run.record["inversion"] = {**done, "scores": [score.state() for score in scores]}
    run.save_record()
    outputs.tell(f"wrote {file}")
    return scores


def _new(run: Run, seed: int) -> Inverted:
    """The run's model with a new encoder; UsageError where it has one of its own."""
    import torch

    from ectype.jobs import inversions
    from ectype.jobs.inputs import check_coded
    from ectype.models import Autoencoder
    from ectype.models.inversion import Inverted, check_invertible

    if isinstance(run.model, Autoencoder):
        name = run.spec.get("model", "model")
        raise UsageError(f"this {name} has an encoder of its own: encode and reconstruct work as it is")
    check_coded(run)
    check_invertible(run.model)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = inversions.made(run, inversions.described(run))
    return Inverted(run.model, encoder)


def _data(run: Run, source: Any, seed: int) -> Data:
    """The data to learn from, with splits; a source that is named gets new ones, and says so."""
    from ectype.data.data import Data
    from ectype.data.fitted import read_with
    from ectype.data.splits import digests, split
    from ectype.data.store import chunks
    from ectype.jobs.inputs import own_data

    if source is None:
        return own_data(run)
    if isinstance(source, Data):
        if source.kind.state() != run.kind.state():
            raise UsageError("this data was not read for this model; give its path, or use run.kind")
        return source
    data = read_with(source, run.kind, conditions=run.conditions)
    data.splits = split(digests(chunks(data.store), seed), None, data.notes)
    outputs.tell("note: the model itself may have been trained on the items that are held out here")
    for note in data.notes:
        outputs.tell(f"note: {note}")
    return data


def _fit(model: Inverted, data: Data, **training: Any) -> dict[str, Any]:
    """Train the encoder with a progress bar; returns steps and seconds. Stopped after Ctrl-C or SIGTERM."""
    from tqdm import tqdm

    from ectype.training.loop import fit
    from ectype.training.signals import stop_signals

    train = data.splits["train"]
    if not len(train):
        raise DataError("there is nothing to learn from: the train split is empty")
    model.begin(len(train), data.batch(train[:_SHOWN]))
    look: dict[str, Any] = {"file": sys.stderr, "dynamic_ncols": True, "disable": None, "smoothing": 0.1}
    done: dict[str, Any] = {}
    with stop_signals() as stop, model.alone(), tqdm(unit="step", **look) as bar:
        for step in fit(model, data, stop=stop, **training):
            bar.total = step.total
            bar.update(step.number - bar.n)
            bar.set_postfix_str(" ".join(f"{k} {v:.3f}" for k, v in step.parts.items()), refresh=False)
            done = {"steps": step.number, "seconds": round(step.seconds, 1)}
    if stop.signal:
        raise Stopped("stopped before the encoder had learned: nothing was written", stop.exit_code)
    return done


def measured(run: Run, model: Inverted, data: Data, *, count: int, seed: int) -> list[Score]:
    """How near held-out items come back, and codes of made ones.

    Arguments:
        count: items at most, of the test split; where it is empty, of train.
        seed: of the noise.
    """
    from ectype.jobs.evaluate import mean_item
    from ectype.jobs.inputs import Items
    from ectype.jobs.reconstruct import there_and_back
    from ectype.metrics.fidelity import fidelity

    split = "test" if len(data.split("test")) else "train"
    items = Items(data, data.split(split)[:count], split)
    pairs = there_and_back(run, model, items, seed=seed)
    return fidelity(pairs, mean=mean_item(data), split=split) + [_codes_back(run, model, items, seed)]


def _codes_back(run: Run, model: Inverted, items: Items, seed: int) -> Score:
    """mean_D (ε - e(G(z)))² of as many made items, under the conditions of these; 1 for the mean code."""
    import torch

    from ectype.jobs.decoding import evaluating
    from ectype.jobs.inputs import device_of
    from ectype.metrics import Score, mean_error
    from ectype.noise import PerItem, mix

    found, floor = [], []
    with evaluating(run):
        for at, batch in zip(items.indices.split(256), items.batches(256, seed), strict=True):
            context = model.condition(batch.to(device_of(run)))
            z = model.latents(len(batch), context).draw(PerItem(mix(seed, _NEW), at.tolist()))
            x = model.decode(z, context).mean
            e = model.standard(z, context)
            found.append(
                (e - model.standard(model.posterior(x, context).mean, context)).square().mean(1).cpu()
            )
            floor.append(e.square().mean(1).cpu())
    value, error = mean_error(torch.cat(found))
    return Score(
        "code mse",
        value,
        "",
        "lower",
        len(items.indices),
        "made items",
        seed=seed,
        error=error,
        floor=float(torch.cat(floor).mean()),
        floor_name="mean code",
        least=LEAST,
    )

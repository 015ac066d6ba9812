"""How good a model is: every number with its split, its N, its seed and its error bar."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ectype.errors import EctypeError, UsageError
from ectype.jobs import outputs

if TYPE_CHECKING:
    from torch import Tensor

    from ectype.jobs.inputs import Items
    from ectype.metrics import Score
    from ectype.metrics.bounds import Bounds
    from ectype.models import Autoencoder
    from ectype.runs import Run

EVALUATION_FILE = "evaluation.json"
_MEAN_OF = 10_000
LEAST = 100
"""Items below which a mean over items says little."""


def evaluate(
    run: Run | str | Path,
    source: str | Path | None = None,
    *,
    split: str = "test",
    samples: int = 100,
    count: int | None = None,
    seed: int = 0,
    device: str = "auto",
) -> list[Score]:
    """Bounds on log p(x), what the latent carries, and how near reconstructions are.

    ELBO and IWAE bound, bits/dim, KL and active units exist for models whose codes have a density;
    MSE, PSNR and SSIM for all that can read. The scores are kept in the run's folder: evaluation.json
    holds the last evaluation, record.json the last of each split.

    Arguments:
        run: a run's folder, or its model file.
        source: items, anything train reads; default: the data the run was trained on.
        split: which part of that data: train, select, test or all.
        samples: K of the IWAE bound; more is tighter and takes longer.
        count: items at most; default: all.
        seed: of the noise.
        device: auto, cpu, cuda, …

    Raises UsageError for a model that cannot read, DataError where there are no items, OutputError
    where the run's folder cannot be written.
    """
    from ectype.hardware import choose_device
    from ectype.jobs.inputs import device_of, items_of, opened, reader
    from ectype.metrics.fidelity import fidelity

    if samples < 1:
        raise UsageError(f"samples is at least 1, not {samples}")
    run = opened(run)
    model = reader(run)
    items = items_of(run, source, split=split, count=count)
    before = device_of(run)
    model.to(choose_device(device)).eval()
    try:
        scores = _bounded(run, model, items, samples, seed) if model.bounded else []
        from ectype.jobs.reconstruct import there_and_back

        pairs = there_and_back(run, model, items, seed=seed)
        scores += fidelity(pairs, mean=_mean_item(run, items, own=source is None), split=items.split)
    finally:
        model.to(before)
    outputs.tell_scores(scores)
    _keep(run, scores)
    return scores


def _bounded(run: Run, model: Autoencoder, items: Items, samples: int, seed: int) -> list[Score]:
    """What only a model with densities has: bounds, bits/dim, KL and active units."""
    from ectype.jobs.inputs import device_of
    from ectype.metrics.activity import activity
    from ectype.metrics.bounds import bounds

    device = device_of(run)
    found = bounds(model, (b.to(device) for b in items.batches(seed=seed)), samples=samples, seed=seed)
    known = ", ".join(run.conditions)
    scores = bound_scores(
        found,
        items.split,
        seed=seed,
        sites=run.kind.shape.sites,
        discrete=model.likelihood.discrete,
        note=f"log p(x | {known}) of items that have it" if known else "",
    )
    batches = (b.to(device) for b in items.batches(seed=seed))
    return scores + activity(model, batches, split=items.split, seed=seed)


def bound_scores(
    found: Bounds, split: str, *, seed: int, sites: int, discrete: bool, note: str = ""
) -> list[Score]:
    """Bounds as scores: mean over the items ± its standard error.

    Arguments:
        found: per-item bounds.
        split: which part of the data they are of.
        seed: of the noise.
        sites: values per item; bits/dim = -bound / (sites · log 2).
        discrete: whether log p(x) is a probability; a density has no bits/dim.
        note: what else a reader has to know.
    """
    from ectype.metrics import Score, mean_error

    if not discrete:
        note = "; ".join([*([note] if note else []), "a density in the model's own scale, not a probability"])
    best = f"iwae-{found.samples}"
    rows: list[tuple[str, Tensor, str, Literal["higher", "lower"], str]] = [
        ("elbo", found.elbo, "nats", "higher", note),
        (best, found.iwae, "nats", "higher", note),
        ("distortion", found.distortion, "nats", "lower", ""),
    ]
    if discrete:
        bits = found.iwae / (-sites * math.log(2))
        rows.append(("bits/dim", bits, "bits", "lower", f"at most; from the {best} bound"))
    scores = []
    for name, each, unit, better, said in rows:
        value, error = mean_error(each)
        scores.append(
            Score(name, value, unit, better, len(each), split, seed=seed, error=error, least=LEAST, note=said)
        )
    return scores


def _mean_item(run: Run, items: Items, *, own: bool) -> Tensor | None:
    """The mean of up to 10,000 training items (*form), or None where they are not at hand."""
    import torch

    from ectype.jobs.inputs import Items, own_data

    try:
        data = items.data if own else own_data(run)
    except EctypeError:
        return None
    indices = data.splits.get("train", torch.zeros(0, dtype=torch.int64))[:_MEAN_OF]
    if not len(indices):
        return None
    total = sum(batch.x.double().sum(0) for batch in Items(data, indices, "train").batches())
    return (torch.as_tensor(total) / len(indices)).float()


def _keep(run: Run, scores: Sequence[Score]) -> None:
    """Write the scores into the run's folder, in place of older ones of the same name and split."""
    new = [score.state() for score in scores]
    names = {(score["name"], score["split"]) for score in new}
    old = [s for s in run.record.get("scores", ()) if (s.get("name"), s.get("split")) not in names]
    run.record["scores"] = [*old, *new]
    if run.folder is None:
        return
    text = json.dumps(new, indent=1, ensure_ascii=False)
    with outputs.file(run.folder / EVALUATION_FILE, overwrite=True) as path:
        path.write_text(text + "\n", encoding="utf-8")
    run.save_record()

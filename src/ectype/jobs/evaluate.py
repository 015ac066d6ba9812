"""How good a model is: every number with its split, its N, its seed and its error bar."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ectype.errors import EctypeError, UsageError
from ectype.jobs import outputs

if TYPE_CHECKING:
    from torch import Tensor

    from ectype.data.data import Data
    from ectype.jobs.inputs import Items
    from ectype.kinds import Kind
    from ectype.metrics import Score
    from ectype.metrics.bounds import Bounds
    from ectype.models import Autoencoder
    from ectype.runs import Run

EVALUATION_FILE = "evaluation.json"
_MEAN_OF = 10_000
_MADE = 2000
_SHUFFLED, _TOGETHER = 2000, 250  # items whose codes are shuffled, so many at a time
LEAST = 100
"""Items below which a mean over items says little."""


def evaluate(
    run: Run | str | Path,
    source: str | Path | None = None,
    *,
    split: str = "test",
    samples: int = 100,
    count: int | None = None,
    made: int | None = None,
    judge: bool = True,
    guidance: float = 1.0,
    seed: int = 0,
    device: str = "auto",
) -> list[Score]:
    """How good a model is: how well it reads, and how near what it makes is to real items.

    ELBO and IWAE bound, bits/dim, KL and active units exist for models whose codes have a density;
    MSE, PSNR and SSIM for all that can read. Energy and Fréchet distance, precision, recall, density and
    coverage exist for all: as many made items as real ones, under the same conditions. Where the data
    has labels, a classifier fitted on the spot says which classes are made. For a model with conditions, what
    shuffling them costs says whether they are read; agreement, as a judge fitted on the spot sees it, and
    diversity within a condition say whether what is made heeds them. The scores are kept in the
    run's folder: evaluation.json holds the last evaluation, record.json the last of each split.

    Arguments:
        run: a run's folder, or its model file.
        source: items, anything train reads; default: the data the run was trained on.
        split: which part of that data: train, select, test or all.
        samples: K of the IWAE bound; more is tighter and takes longer.
        count: items at most; default: all to read, 2,000 to compare made ones with.
        made: made items at most; default: count, or 2,000.
        judge: fit a judge where there are labels or conditions (up to a minute).
        guidance: how strongly conditions act on what is made; any but 1 measures made items only, and the
            names of the scores say so.
        seed: of the noise.
        device: auto, cpu, cuda, …

    Raises UsageError for an option that makes no sense, DataError where there are no items,
    OutputError where the run's folder cannot be written.
    """
    from ectype.hardware import choose_device
    from ectype.jobs import conditioned
    from ectype.jobs.comparing import compared
    from ectype.jobs.inputs import check_guidance, device_of, items_of, opened
    from ectype.metrics.conditions import GUIDED

    for name, value in (("samples", samples), ("count", count), ("made", made)):
        if value is not None and value < 1:
            raise UsageError(f"{name} is at least 1, not {value}")
    run = opened(run)
    check_guidance(run, guidance)
    found = items_of(run, source, split=split)
    home = _home(run, found, own=source is None)
    before = device_of(run)
    run.model.to(choose_device(device)).eval()
    try:
        scores = _read(run, found.first(count), home, samples, seed) if guidance == 1 else []
        few = found.first(made or count or _MADE)
        scores += compared(run, few, home, seed=seed, judged=judge, guidance=guidance)
    finally:
        run.model.to(before)
    if guidance != 1:
        scores = [replace(s, name=f"{s.name}{GUIDED}{guidance:g})") for s in scores]
    outputs.tell_scores(scores)
    conditioned.warn(scores)
    _keep(run, scores)
    return scores


def _read(run: Run, items: Items, home: Data | None, samples: int, seed: int) -> list[Score]:
    """What a model says of items: their likelihood or bounds on it, and of one that can read, fidelity."""
    from ectype.jobs.reconstruct import there_and_back
    from ectype.metrics.fidelity import fidelity_of
    from ectype.models import Autoencoder

    if run.model.exact:
        return _exact(run, items)
    if not isinstance(run.model, Autoencoder):
        return []
    scores = _bounded(run, run.model, items, samples, seed) if run.model.bounded else []
    pairs = there_and_back(run, run.model, items, seed=seed)
    return scores + fidelity_of(run.kind, pairs, mean=mean_item(home), split=items.split)


def _exact(run: Run, items: Items) -> list[Score]:
    """The negative log-likelihood of items, whole and by value, by a model that has it exactly."""
    import torch

    from ectype.jobs.decoding import evaluating
    from ectype.jobs.inputs import device_of
    from ectype.metrics import Score, mean_error

    with evaluating(run):
        rows = [run.model.loss(b.to(device_of(run))).each.double().cpu() for b in items.batches()]
    nats = torch.cat(rows)
    bits = nats / (_sites(items) * math.log(2))
    found: list[tuple[str, Tensor, str]] = [("nll", nats, "nats"), ("bits/dim", bits, "bits")]
    scores = []
    for name, each, unit in found:
        value, error = mean_error(each)
        scores.append(Score(name, value, unit, "lower", len(each), items.split, error=error, least=LEAST))
    return scores + per_symbol(run.kind, nats, _sites(items), items.split)


def per_symbol(
    kind: Kind, nats: Tensor, sites: float, split: str, seed: int | None = None, note: str = ""
) -> list[Score]:
    """Nats (N,) of texts as nats of each symbol; nothing for other kinds.

    Arguments:
        sites: symbols of a text on average: its end is one, what stands before it is none.
        note: what else a reader has to know.
    """
    from ectype.kinds.text import Text
    from ectype.metrics import Score, mean_error

    if not isinstance(kind, Text):
        return []
    value, error = mean_error(nats / sites)
    said = f"the end is counted, the start is not: {sites:.2f} {kind.unit} of a text"
    note = "; ".join(filter(None, [note, said]))
    return [
        Score("nll/symbol", value, "nats", "lower", len(nats), split, seed, error, least=LEAST, note=note)
    ]


def _sites(items: Items) -> float:
    """How many values of an item are there, on average: of a text its symbols and its end."""
    seen = [b.seen for b in items.batches()]
    known = [int(s.sum()) for s in seen if s is not None]
    return sum(known) / len(items.indices) if known else items.data.kind.shape.sites


def _bounded(run: Run, model: Autoencoder, items: Items, samples: int, seed: int) -> list[Score]:
    """What only a model with densities has: bounds, bits/dim, KL and active units."""
    from ectype.jobs.conditioned import gap_scores
    from ectype.jobs.inputs import device_of
    from ectype.metrics.activity import activity
    from ectype.metrics.bounds import bounds
    from ectype.metrics.reading import reading

    device = device_of(run)
    found = bounds(model, (b.to(device) for b in items.batches(seed=seed)), samples=samples, seed=seed)
    known = ", ".join(run.conditions)
    scores = bound_scores(
        found,
        items.split,
        seed=seed,
        sites=_sites(items),
        discrete=model.likelihood.discrete,
        note=f"log p(x | {known}) of items that have it" if known else "",
    )
    scores += per_symbol(
        run.kind, -found.iwae, _sites(items), items.split, seed, f"at most, by iwae-{samples}"
    )
    batches = (b.to(device) for b in items.batches(seed=seed))
    scores += activity(model, batches, split=items.split, seed=seed)
    few = (b.to(device) for b in items.first(_SHUFFLED).batches(_TOGETHER, seed))
    scores += reading(model, few, split=items.split, seed=seed)
    return scores + gap_scores(run, model, items, samples=samples, seed=seed)


def bound_scores(
    found: Bounds, split: str, *, seed: int, sites: float, discrete: bool, note: str = ""
) -> list[Score]:
    """Bounds as scores: mean over the items ± its standard error.

    Arguments:
        found: per-item bounds.
        split: which part of the data they are of.
        seed: of the noise.
        sites: values per item, on average; bits/dim = -bound / (sites · log 2).
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


def _home(run: Run, items: Items, *, own: bool) -> Data | None:
    """The data the run was trained on, or None where it is not at hand."""
    from ectype.jobs.inputs import own_data

    try:
        return items.data if own else own_data(run)
    except EctypeError:
        return None


def mean_item(home: Data | None) -> Tensor | None:
    """The mean of up to 10,000 training items (*form), or None where they are not at hand."""
    import torch

    from ectype.jobs.inputs import Items

    indices = torch.zeros(0) if home is None else home.splits.get("train", torch.zeros(0))[:_MEAN_OF]
    if home is None or not len(indices):
        return None
    total = sum(batch.x.double().sum(0) for batch in Items(home, indices, "train").batches())
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

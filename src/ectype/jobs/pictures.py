"""What a report shows of a run: samples, reconstructions, codes. Each part can fail alone.

A report has to appear even when the data has been moved, so what cannot be drawn becomes a sentence
in `problems` instead of an error.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image as Pillow

from ectype.errors import DataError, EctypeError
from ectype.metrics import Score
from ectype.shapes import Grid

if TYPE_CHECKING:
    from ectype.data.batch import Batch
    from ectype.data.data import Data
    from ectype.kinds import Kind
    from ectype.models import Autoencoder
    from ectype.runs import Run

COUNT = 64
"""Samples shown: seeds 0 to 63, whatever they look like."""
ROW = 8
CLASSES = 20
SHOWN = 16
CODED = 2000
_SIZE = 500


@dataclass(frozen=True)
class Pictures:
    """What the page shows; every part may be missing.

    Arguments:
        samples: the first samples, in order.
        by_label: class → some samples of it.
        by_whom: how those came to be of that class, in a sentence.
        by_item: (conditions in words, picture) of held-out items and what is made under the same.
        pairs: (caption, picture) of originals and reconstructions.
        codes: (N, D) posterior means, or None.
        labels: one name per code, or none at all.
        split: which part of the data reconstructions and codes come from.
        notes: what reading the data had to say, such as which files were passed over.
        scores: what was measured on the way.
        problems: what could not be drawn and why.
        adversarial: whether the model's loss says nothing about quality.
    """

    samples: Pillow.Image | None = None
    by_label: dict[str, Pillow.Image] = field(default_factory=dict)
    by_whom: str = ""
    by_item: list[tuple[str, Pillow.Image]] = field(default_factory=list)
    pairs: list[tuple[str, Pillow.Image]] = field(default_factory=list)
    codes: np.ndarray[Any, Any] | None = None
    labels: list[str] = field(default_factory=list)
    split: str = ""
    notes: list[str] = field(default_factory=list)
    scores: list[Score] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    adversarial: bool = False


def draw(run: Run) -> Pictures:
    """Everything a report can show of a run."""
    from ectype.jobs import inversions
    from ectype.jobs.decoding import evaluating
    from ectype.jobs.inputs import own_data, reader
    from ectype.jobs.sheets import by_item
    from ectype.models import Autoencoder

    problems: list[str] = []
    made: dict[str, Any] = {}
    try:
        made |= {"samples": _samples(run), **(_asked(run) or _sorted(run))}
    except EctypeError as error:
        problems.append(f"no samples: {error}")
    try:
        data = own_data(run)
        made["notes"] = list(data.notes)
        made["by_item"] = by_item(run, data)
        inverted = run.folder is not None and (run.folder / inversions.FILE).is_file()
        if inverted or isinstance(run.model, Autoencoder):
            with evaluating(run):
                made |= _read(reader(run), data)
    except EctypeError as error:
        problems.append(f"no reconstructions and no codes: {error}")
    return Pictures(**made, problems=problems, adversarial=run.model.adversarial)


def _samples(run: Run) -> Pillow.Image:
    from ectype.jobs.sample import sample

    return run.kind.sheet(sample(run, COUNT, seed=0), ROW)


def _asked(run: Run) -> dict[str, Any]:
    """The first samples of each value of the conditions that have names for their values."""
    from ectype.jobs.sheets import by_value

    rows = by_value(run)
    return {"by_label": rows, "by_whom": "Asked for each value: seeds 0 to 7, uncurated."} if rows else {}


def _sorted(run: Run) -> dict[str, Any]:
    """Made items of each class, as the last evaluation's judge sorted them; only without conditions."""
    from ectype.jobs.comparing import SORTED
    from ectype.jobs.decoding import items, numbered

    told = run.record.get(SORTED)
    if run.conditions or not isinstance(told, dict):
        return {}
    try:
        seed, made = int(told["seed"]), int(told["made"])
        chosen = {str(k): [int(i) for i in v][:ROW] for k, v in list(told["first"].items())[:CLASSES]}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError("what the judge sorted is damaged; run `ectype evaluate` again") from error
    rows = {k: run.kind.sheet(items(run, numbered(run, v, seed)), ROW) for k, v in chosen.items() if v}
    how = (
        f"Sorted by a classifier that was fitted to the data: the first {ROW} of {made:,} made items that it "
        "takes for each class, in order. A class without a row was never made."
    )
    return {"by_label": rows, "by_whom": how}


def _read(model: Autoencoder, data: Data) -> dict[str, Any]:
    """Reconstructions and codes of items the model was not trained on, where there are any."""
    split = next((s for s in ("test", "select", "train") if len(data.splits.get(s, ()))), "all")
    codes, labels = _codes(model, data, split)
    return {
        "pairs": _pairs(model, data, split),
        "codes": codes,
        "labels": labels,
        "split": split,
        "scores": _measured(model, data, split),
    }


def _pairs(model: Autoencoder, data: Data, split: str) -> list[tuple[str, Pillow.Image]]:
    kind = data.kind
    batch = next(data.batches(split, SHOWN))
    context = model.condition(batch)
    z = model.posterior(batch.x, context, batch.seen).mean
    back = model.decode(z, context).mean
    # the originals go through the model's scale too, so that a binarised item is shown as it was read
    items, back_items = ([kind.unpack(array) for array in kind.stored(x)] for x in (batch.known, back))
    return paired(kind, items, back_items)


def paired(kind: Kind, items: Sequence[Any], back: Sequence[Any]) -> list[tuple[str, Pillow.Image]]:
    """Originals and their reconstructions: row above row for images, else sheet beside sheet."""
    if not isinstance(kind.shape, Grid):
        return [("originals", kind.sheet(items, ROW)), ("reconstructions", kind.sheet(back, ROW))]
    rows: list[Any] = []
    for start in range(0, len(items), ROW):
        rows += [*items[start : start + ROW], *back[start : start + ROW]]
    columns = min(ROW, len(items))
    whole = len(items) - len(items) % columns
    # a last row that is not full would shift the reconstructions below it out of place
    rows = rows[: 2 * whole]
    return [("each original above its reconstruction", kind.sheet(rows, columns))]


def _codes(model: Autoencoder, data: Data, split: str) -> tuple[np.ndarray[Any, Any], list[str]]:
    from ectype.models.settling import codes_of

    indices = data.splits[split][:CODED]
    codes, _ = codes_of(model, _first(data, split))
    if data.labels is None or data.label_kind is None:
        return codes.numpy().astype(np.float64), []
    numbers = data.labels[indices].tolist()
    names = data.label_kind.classes
    return codes.numpy().astype(np.float64), [str(names[n]) if n >= 0 else "no label" for n in numbers]


def _measured(model: Autoencoder, data: Data, split: str) -> list[Score]:
    """The activity of the latent dimensions, cheap enough for every report."""
    from ectype.metrics.activity import activity

    if not model.bounded:
        return []
    return activity(model, _first(data, split), split=split)


def _first(data: Data, split: str) -> Iterator[Batch]:
    """The batches of the first items of a split: as many as a latent picture can show."""
    return islice(data.batches(split, _SIZE), CODED // _SIZE)

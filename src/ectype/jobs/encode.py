"""Items to codes, and what the codes know about labels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ectype.errors import EctypeError
from ectype.jobs import outputs

if TYPE_CHECKING:
    from ectype.jobs.codes import Codes
    from ectype.jobs.inputs import Items
    from ectype.metrics import Score
    from ectype.models import Autoencoder
    from ectype.runs import Run

OUT = "codes.npz"


def encode(
    run: Run | str | Path,
    source: str | Path | None = None,
    *,
    split: str = "test",
    seed: int = 0,
    out: Path | None = None,
    overwrite: bool = False,
) -> Codes:
    """Codes of items, the means of q(z | x, c), and what they know about labels.

    Where there are labels, a linear probe and nearest neighbours are fitted on the train split of the
    run's own data and scored on the items' codes; where that is not at hand, they are fitted on one
    half of the items and scored on the other. A model that only makes, such as a GAN, reads with the
    encoder that `ectype invert` gave it.

    Arguments:
        run: a run's folder, or its model file.
        source: items to encode, anything train reads; default: the data the run was trained on.
        split: which part of that data: train, select, test or all.
        seed: of the noise and of what the probes are fitted on.
        out: .npz (arrays codes, names, labels) or .csv.
        overwrite: replace a file that exists.

    Raises UsageError for a model that cannot read, DataError where the source cannot be read,
    OutputError where `out` cannot be written.
    """
    from ectype.jobs import codes as files
    from ectype.jobs.inputs import items_of, opened, reader

    if out is not None:
        files.check(out)
        outputs.refuse(out, overwrite)
    run = opened(run)
    model = reader(run)
    items = items_of(run, source, split=split)
    z = _codes(model, items, seed)
    if run.conditions:
        outputs.tell(f"note: the encoder was given {', '.join(run.conditions)} where an item has it")
    scores = _probes(run, model, items, z, seed=seed, own=source is None)
    found = files.Codes(z, items.names, _label_names(items), scores)
    if out is not None:
        outputs.write(out, lambda path: files.save(found, path), overwrite=overwrite)
    outputs.tell_scores(scores)
    return found


def _codes(model: Autoencoder, items: Items, seed: int) -> Any:
    """(N, D) posterior means as a float32 array."""
    from ectype.models.settling import codes_of

    model.eval()
    return codes_of(model, items.batches(seed=seed))[0].numpy()


def _label_names(items: Items) -> list[str]:
    labels, kind = items.labels, items.data.label_kind
    if labels is None or kind is None:
        return []
    return [kind.classes[i] if i >= 0 else "" for i in labels.tolist()]


def _probes(run: Run, model: Autoencoder, items: Items, z: Any, *, seed: int, own: bool) -> list[Score]:
    """Scores of the codes (N, D) against the items' labels; says what they were fitted on."""
    import numpy as np

    from ectype.metrics.probes import gap, probes

    names = np.array(_label_names(items))
    if not len(names):
        return []
    train = _train_codes(run, model, items, own=own, seed=seed)
    if train is None:
        order = np.random.default_rng(seed).permutation(len(z))
        half, rest = np.sort(order[: len(z) // 2]), np.sort(order[len(z) // 2 :])
        outputs.tell("probes: fitted on one half of the items and scored on the other")
        train, test = (z[half], names[half]), (z[rest], names[rest])
    else:
        both = "" if own else " (items that are in both make the scores too good)"
        outputs.tell(f"probes: fitted on the train split of the run's own data{both}")
        test = (z, names)
    numbers = {name: i for i, name in enumerate(np.unique(np.concatenate([train[1], test[1]])))}

    def numbered(pair: tuple[Any, Any]) -> tuple[Any, Any]:
        return pair[0], np.array([numbers[name] if name else -1 for name in pair[1].tolist()])

    train, test = numbered(train), numbered(test)
    why_not = gap(train[1], test[1])
    if why_not:
        outputs.tell(why_not)
    return probes(train, test, split=items.split, seed=seed)


def _train_codes(
    run: Run, model: Autoencoder, items: Items, *, own: bool, seed: int
) -> tuple[Any, Any] | None:
    """Codes (N, D) and label names (N,) of training items, or None where they are not at hand."""
    import numpy as np
    import torch

    from ectype.jobs.inputs import Items, own_data
    from ectype.metrics.probes import MOST

    if own and items.split in ("train", "all"):
        return None  # scored on what they were fitted on, probes would flatter
    try:
        data = items.data if own else own_data(run)
    except EctypeError as error:
        outputs.tell(f"note: the data the run was trained on is not at hand ({error})")
        return None
    indices = data.splits.get("train", torch.zeros(0, dtype=torch.int64))
    if data.labels is None or not len(indices):
        return None
    if len(indices) > MOST:  # probes use no more
        stream = torch.Generator().manual_seed(seed)
        indices = indices[torch.randperm(len(indices), generator=stream)[:MOST].sort().values]
    chosen = Items(data, indices, "train")
    return _codes(model, chosen, seed), np.array(_label_names(chosen))

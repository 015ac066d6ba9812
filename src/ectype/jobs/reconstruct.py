"""Items through the model and back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ectype.jobs import outputs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from ectype.jobs.inputs import Items
    from ectype.kinds import Kind
    from ectype.models import Autoencoder
    from ectype.runs import Run

OUT = "reconstructions"
COMPARISON = "comparison.png"
_OWN = 64
_COLUMNS = 8
_DRAWN = 2  # mixed into the seed, so that reconstructions do not reuse the noise of samples


def reconstruct(
    run: Run | str | Path,
    source: str | Path | None = None,
    *,
    split: str = "test",
    count: int | None = None,
    noise: bool = False,
    seed: int = 0,
    out: Path | None = None,
    overwrite: bool = False,
) -> list[Any]:
    """Items encoded and decoded again: the mean of p(x | z, c) at the mean of q(z | x, c).

    Nothing is drawn unless `noise` asks for it. An item's own conditions are used on both ways.

    Arguments:
        run: a run's folder, or its model file.
        source: items, anything train reads; default: the data the run was trained on.
        split: which part of that data: train, select, test or all.
        count: items at most; default: all of a source, 64 of the run's own data.
        noise: draw z from q(z | x, c) and x from p(x | z, c).
        seed: of that noise.
        out: folder for one file each and comparison.png, originals above; or one .png or .npz.
        overwrite: replace files that exist.

    Raises UsageError for a model that cannot read, DataError where the source cannot be read,
    OutputError where `out` cannot be written.
    """
    from ectype.jobs.inputs import items_of, opened, reader
    from ectype.metrics.fidelity import fidelity

    if out is not None:
        outputs.refuse(out, overwrite)
    run = opened(run)
    model = reader(run)
    items = items_of(run, source, split=split, count=_OWN if source is None and count is None else count)
    pairs = list(there_and_back(run, model, items, noise=noise, seed=seed))
    back = [run.kind.unpack(array) for _, y in pairs for array in run.kind.stored(y)]
    if out is not None:
        originals = [run.kind.unpack(array) for x, _ in pairs for array in run.kind.stored(x)]
        _put(run.kind, originals, back, out, names=items.names, overwrite=overwrite)
    outputs.tell_scores(fidelity(pairs, split=items.split, seed=seed if noise else None))
    return back


def there_and_back(
    run: Run, model: Autoencoder, items: Items, *, noise: bool = False, seed: int = 0, size: int = 256
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of items and their reconstructions, each (B, *form) in the model's scale, on the CPU.

    Arguments:
        noise: draw z and x instead of using the means.
        seed: of that noise; that of item i depends on (seed, i) only.
    """
    from ectype.jobs.decoding import evaluating, shown
    from ectype.jobs.inputs import device_of
    from ectype.noise import PerItem, mix

    for at, batch in zip(items.indices.split(size), items.batches(size, seed), strict=True):
        with evaluating(run):
            batch = batch.to(device_of(run))
            context = model.condition(batch)
            stream = PerItem(mix(seed, _DRAWN), at.tolist())
            q = model.posterior(batch.x, context, batch.seen)
            p = model.decode(q.draw(stream) if noise else q.mean, context)
            x = shown(run, p, noise, stream)
        yield batch.x.cpu(), x.cpu()


def _put(
    kind: Kind,
    originals: Sequence[Any],
    back: Sequence[Any],
    out: Path,
    *,
    names: Sequence[str],
    overwrite: bool,
) -> None:
    """Write reconstructions, and originals above them on one sheet."""
    rows: list[Any] = []
    for start in range(0, min(len(back), _OWN), _COLUMNS):
        rows += [*originals[start : start + _COLUMNS], *back[start : start + _COLUMNS]]
    sheet = kind.sheet(rows, min(_COLUMNS, len(back)))
    if out.suffix.lower() == ".png":
        outputs.write(out, sheet.save, overwrite=overwrite)
        return
    outputs.put_items(kind, back, out, names=names, overwrite=overwrite)
    if out.suffix.lower() != ".npz":
        outputs.write(out / COMPARISON, sheet.save, overwrite=overwrite)

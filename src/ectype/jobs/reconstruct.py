"""Items through the model and back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ectype.errors import UsageError
from ectype.jobs import outputs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from PIL.Image import Image
    from torch import Tensor

    from ectype.jobs.inputs import Items
    from ectype.kinds import Kind
    from ectype.models import Autoencoder
    from ectype.runs import Run

OUT = "reconstructions"
COMPARISON = "comparison.png"
_OWN = 64
_COLUMNS, _TEXTS = 8, 4
_DRAWN = 2  # mixed into the seed, so that reconstructions do not reuse the noise of samples


def reconstruct(
    run: Run | str | Path,
    source: str | Path | None = None,
    *,
    split: str = "test",
    count: int | None = None,
    noise: bool = False,
    refine: int = 0,
    beam: int = 1,
    seed: int = 0,
    out: Path | None = None,
    overwrite: bool = False,
) -> list[Any]:
    """Items encoded and decoded again: the mean of p(x | z, c) at the mean of q(z | x, c).

    Nothing is drawn unless `noise` asks for it. An item's own conditions are used on both ways. A model
    that only makes, such as a GAN, reads with the encoder that `ectype invert` gave it.

    Arguments:
        run: a run's folder, or its model file.
        source: items, anything train reads; default: the data the run was trained on.
        split: which part of that data: train, select, test or all.
        count: items at most; default: all of a source, 64 of the run's own data.
        noise: draw z from q(z | x, c) and x from p(x | z, c).
        refine: steps by which each code is moved to where it gives the item back best.
        beam: of texts: search for the most probable one with so many beginnings at a time, its log p not
            divided by its length; 1 takes the most probable symbol after each beginning.
        seed: of that noise.
        out: folder for one file each and comparison.png, originals above; or one .png or .npz.
        overwrite: replace files that exist.

    Raises UsageError for a model that cannot read, DataError where the source cannot be read,
    OutputError where `out` cannot be written.
    """
    from ectype.jobs.inputs import items_of, opened, reader
    from ectype.metrics.fidelity import fidelity_of

    if out is not None:
        outputs.refuse(out, overwrite)
    if noise and refine:
        raise UsageError("refine looks for the best code and noise draws another: use one of them")
    if noise and beam != 1:
        raise UsageError("beam looks for the most probable text and noise draws another: use one of them")
    run = opened(run)
    model = reader(run)
    items = items_of(run, source, split=split, count=_OWN if source is None and count is None else count)
    pairs = list(there_and_back(run, model, items, noise=noise, refine=refine, beam=beam, seed=seed))
    back = [run.kind.unpack(array) for _, y in pairs for array in run.kind.stored(y)]
    if out is not None:
        originals = [run.kind.unpack(array) for x, _ in pairs for array in run.kind.stored(x)]
        put_compared(run.kind, [originals, back], out, names=items.names, overwrite=overwrite)
    if refine:
        plain = fidelity_of(run.kind, there_and_back(run, model, items, seed=seed), split=items.split)
        outputs.tell(f"before refining: {', '.join(f'{score.name} {score.figures}' for score in plain)}")
    outputs.tell_scores(fidelity_of(run.kind, pairs, split=items.split, seed=seed if noise else None))
    return back


def there_and_back(
    run: Run,
    model: Autoencoder,
    items: Items,
    *,
    noise: bool = False,
    refine: int = 0,
    beam: int = 1,
    seed: int = 0,
    size: int = 256,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of items and their reconstructions, each (B, *form) in the model's scale, on the CPU.

    What is missing of an item is NaN.

    Arguments:
        noise: draw z and x instead of using the means.
        refine: steps by which codes are moved to where they give the items back best; 0: none.
        beam: as in `decoding.likeliest`.
        seed: of that noise; that of item i depends on (seed, i) only.
    """
    from ectype.jobs.decoding import evaluating, likeliest
    from ectype.jobs.inputs import codes, device_of
    from ectype.noise import PerItem, mix

    for at, batch in zip(items.indices.split(size), items.batches(size, seed), strict=True):
        with evaluating(run):
            batch = batch.to(device_of(run))
            context = model.condition(batch)
            stream = PerItem(mix(seed, _DRAWN), at.tolist())
            if noise:
                z = model.posterior(batch.x, context, batch.seen).draw(stream)
            else:
                z = codes(model, batch, context, refine)
            x = model.decode(z, context).draw(stream) if noise else likeliest(model, z, context, beam)
        yield batch.known.cpu(), x.cpu()


def put_compared(
    kind: Kind,
    rows: Sequence[Sequence[Any]],
    out: Path,
    *,
    names: Sequence[str],
    overwrite: bool,
) -> None:
    """Write the items of the last row, and one sheet with all rows, one above the other.

    Arguments:
        rows: lists of equally many raw items, originals first.
    """
    put_beside(kind, rows[-1], COMPARISON, blocks(kind, rows), out, names=names, overwrite=overwrite)
    outputs.tell_texts(kind, *rows)


def blocks(kind: Kind, rows: Sequence[Sequence[Any]]) -> Image:
    """One sheet of the first 64 items of equally long rows, one above the other."""
    columns = _TEXTS if kind.name == "text" else _COLUMNS
    count = min(len(rows[0]), _OWN)
    if count > columns:  # whole blocks, or what belongs together would not stand one above the other
        count -= count % columns
    tiles: list[Any] = []
    for start in range(0, count, columns):
        for row in rows:
            tiles += row[start : min(count, start + columns)]
    return kind.sheet(tiles, min(columns, count))


def put_beside(
    kind: Kind,
    items: Sequence[Any],
    called: str,
    sheet: Image,
    out: Path,
    *,
    names: Sequence[str],
    overwrite: bool,
) -> None:
    """Write items as `put_items` does, and a sheet that shows what they were made from as `called`.

    A .png gets that sheet alone.
    """
    if out.suffix.lower() == ".png":
        outputs.write(out, sheet.save, overwrite=overwrite)
        return
    outputs.put_items(kind, items, out, names=names, overwrite=overwrite)
    if out.suffix.lower() not in (".npz", ".txt"):
        outputs.write(out / called, sheet.save, overwrite=overwrite)

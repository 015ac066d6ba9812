"""Holes in pictures filled, in several ways; what is known stays as it is, to the bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ectype.errors import DataError, UsageError
from ectype.jobs import outputs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL import Image as Pillow
    from torch import Tensor

    from ectype.jobs.inputs import Items
    from ectype.kinds.image import Image
    from ectype.runs import Run

OUT = "fills"
SHEET = "fills.png"
_OWN = 64
_ON_SHEET = 16
_BATCH = 64


def inpaint(
    run: Run | str | Path,
    source: str | Path | None = None,
    *,
    mask: Path | None = None,
    box: tuple[int, int, int, int] | None = None,
    side: Literal["lower", "upper", "left", "right", "centre"] | None = None,
    draws: int = 6,
    temperature: float = 1.0,
    split: str = "test",
    count: int | None = None,
    seed: int = 0,
    out: Path | None = None,
    overwrite: bool = False,
) -> list[list[Any]]:
    """Fill holes in pictures, in several ways; known pixels stay as they are, to the bit.

    A model trained with `--given known` draws its fills under that condition. Any other model is searched:
    of 32 draws from its prior the one nearest on the known pixels is refined until it fits them
    (`jobs/fills.py`). An item's own other conditions, such as its label, are used. Fill j of item i depends
    on (seed, i, j) only. Where the run's own data is filled, the distance to what was there is printed.

    Arguments:
        run: a run's folder, or its model file.
        source: pictures with holes, anything train reads; default: the data the run was trained on.
        mask: a picture that is white in the hole and black elsewhere, of the pictures' size; from Python also
            one of Pillow's or an array (H, W), true in the hole.
        box: the hole in pixels of the model's pictures: left, top, right, bottom; 8,8,20,20 is 12 by 12.
        side: half of the picture as the hole, or the box in its centre.
        draws: fills of each picture.
        temperature: below 1 nearer to the typical fill, above 1 further from it.
        split: which part of the run's own data: train, select, test or all.
        count: pictures at most; default: all of a source, 64 of the run's own data.
        seed: another seed, other fills.
        out: folder for one file each and fills.png (the hole, then its fills); or one .png or .npz.
        overwrite: replace files that exist.

    Raises UsageError for a run that makes no pictures and for a hole that is none, DataError where the
    source or the mask cannot be read, OutputError where `out` cannot be written.
    """
    import numpy as np

    from ectype.jobs.fills import check
    from ectype.jobs.inputs import items_of, opened

    check(draws, temperature, out, overwrite)
    run = opened(run)
    kind = pictures_of(run)
    hole = hole_of(kind, mask, box, side, source)
    items = items_of(run, source, split=split, count=_OWN if source is None and count is None else count)
    made = fills_of(run, items, ~hole, draws, seed=seed, temperature=temperature)
    true = items.data.store.gather(items.indices).numpy()
    stored = [np.where(hole.numpy(), kind.stored(fill), true) for fill in made]
    raw = [[kind.unpack(fill[i]) for fill in stored] for i in range(len(true))]
    if out is not None:
        empty = np.where(hole.numpy(), np.full_like(true, kind.white // 2), true)
        _put(kind, [kind.unpack(array) for array in empty], raw, items.names, out, overwrite)
    if source is None:
        _tell(run, kind, items, stored, hole, seed)
    return raw


def pictures_of(run: Run) -> Image:
    """The kind of a run that makes pictures; UsageError for any other."""
    from ectype.kinds.image import Image

    if not isinstance(run.kind, Image):
        raise UsageError(f"only pictures have pixels, and this model makes items of kind {run.kind.name}")
    return run.kind


def hole_of(
    kind: Image,
    mask: Any,
    box: tuple[int, int, int, int] | None,
    side: str | None,
    source: Any = None,
) -> Tensor:
    """The hole (H, W) bool that one of the three describes; raises UsageError where none or all is hole."""
    import torch

    from ectype.kinds import holes

    if sum(asked is not None for asked in (mask, box, side)) != 1:
        raise UsageError(
            "say where the hole is, in one way: --mask hole.png, --box 8,8,20,20 or --side lower"
        )
    h, w = kind.size
    if mask is not None:
        hole = _masked(kind, mask, source)
    elif box is not None:
        left, top, right, bottom = box
        if not (0 <= left < right <= w and 0 <= top < bottom <= h):
            raise UsageError(
                f"box {','.join(map(str, box))} is no part of {w}x{h} pixels: left, top, right, bottom, "
                "as in --box 8,8,20,20"
            )
        hole = torch.zeros(h, w, dtype=torch.bool)
        hole[top:bottom, left:right] = True
    else:
        if side not in holes.SIDES:
            raise UsageError(f"side='{side}': one of {', '.join(holes.SIDES)}")
        hole = holes.side(side, kind.size)
    what = (
        f"the mask {mask}" if isinstance(mask, str | Path) else "the mask" if mask is not None else "the hole"
    )
    if not hole.any():
        raise UsageError(f"{what} has no white pixel, so there is no hole: white is what is to be filled")
    if hole.all():
        raise UsageError(f"{what} covers every pixel, so nothing is known: use ectype sample")
    return hole


def _masked(kind: Image, mask: Any, source: Any) -> Tensor:
    """The white of a mask (H, W): as large as the model's pictures, or as the one picture that is filled.

    The latter is scaled and cut as the picture is. What is transparent is no hole, whatever colour it has.
    """
    import torch
    from PIL import Image as Pillow

    from ectype.kinds.image import Image as Kind
    from ectype.kinds.pixels import upright_size

    sizes = [kind.size]
    what = f"the mask {mask}" if isinstance(mask, str | Path) else "the mask"
    try:
        with _opened(mask) as opened:
            found = upright_size(opened)
            if isinstance(source, str | Path) and Path(source).is_file():
                try:
                    with Pillow.open(source) as picture:
                        sizes.append(upright_size(picture))
                except OSError:
                    pass  # no picture: whoever reads it says what it is
            if found not in sizes:
                wanted = " or ".join(f"{w}x{h}" for h, w in dict.fromkeys(sizes))
                raise DataError(
                    f"{what} has {found[1]}x{found[0]} pixels and the pictures {wanted}: make it of that size"
                )
            strokes: Pillow.Image = opened
            if opened.has_transparency_data:
                layer = opened.convert("RGBA")
                strokes = Pillow.alpha_composite(Pillow.new("RGBA", layer.size, "black"), layer)
            return torch.tensor(Kind(1, kind.size, bits=1).pack(strokes))[0] > 127
    except FileNotFoundError:
        raise DataError(f"the mask {mask}: there is no such file") from None
    except OSError as error:
        raise DataError(f"the mask {mask} is no readable picture ({error})") from None


def _opened(mask: Any) -> Pillow.Image:
    """A mask as a picture: a file's, Pillow's own, or an array (H, W), true or above 127 in the hole."""
    import numpy as np
    from PIL import Image as Pillow

    if isinstance(mask, str | Path):
        return Pillow.open(mask)
    if isinstance(mask, Pillow.Image):
        return mask.copy()
    array = np.asarray(mask)
    if array.ndim != 2 or array.dtype.kind not in "biuf":
        raise UsageError(f"a mask is a picture or an array (H, W), not one of form {array.shape}")
    return Pillow.fromarray(
        np.where(array > (127 if array.max(initial=0) > 1 else 0.5), 255, 0).astype(np.uint8)
    )


def fills_of(
    run: Run, items: Items, known: Tensor, draws: int, *, seed: int = 0, temperature: float = 1.0
) -> Tensor:
    """Fills of items whose pixels are known at `known` (H, W): x (draws, N, C, H, W), on the CPU."""
    import torch

    from ectype.jobs.decoding import evaluating
    from ectype.jobs.fills import drawn, searched
    from ectype.jobs.inputs import device_of
    from ectype.kinds.derived import Derived
    from ectype.models.inversion import misfit

    kinds = ((n, c) for n, c in run.conditions.items() if isinstance(c, Derived) and c.way == "known")
    name, part = next(kinds, (None, None))
    mask = known.float()[None, None].to(device_of(run))
    parts = []
    for at, batch in zip(items.indices.split(_BATCH), items.batches(_BATCH, seed), strict=True):
        # what else is made from the picture would tell what is in the hole
        told = {n: v for n, v in batch.given.items() if not isinstance(run.conditions.get(n), Derived)}
        batch = replace(batch, given=told).to(device_of(run))
        numbers, x, found = at.tolist(), batch.x, []
        with evaluating(run):
            if name is not None and part is not None:
                batch = replace(batch, given={**batch.given, name: part.of_known(x, mask)})
            context = run.model.condition(batch)
            for j in range(draws):
                if part is not None:
                    fill = drawn(run, context, numbers, j, seed=seed, temperature=temperature)
                else:
                    far = misfit(x, mask[:, 0].expand(len(x), -1, -1))
                    p = searched(run, context, numbers, j, far, seed=seed, temperature=temperature)
                    fill = p.mean
                found.append(fill)
        parts.append(torch.stack(found).cpu())
    return torch.cat(parts, 1)


def _put(
    kind: Image, empty: Sequence[Any], raw: list[list[Any]], names: Sequence[str], out: Path, overwrite: bool
) -> None:
    """Write the fills, and a sheet with a row for each of the first pictures: its hole, then its fills."""
    from ectype.jobs.reconstruct import put_beside

    draws = len(raw[0])
    rows = [[empty[i], *raw[i]] for i in range(min(len(raw), _ON_SHEET))]
    sheet = kind.sheet([tile for row in rows for tile in row], draws + 1)
    flat = [fill for row in raw for fill in row]
    each = [f"{name}-{j}" for name in names for j in range(draws)]
    put_beside(kind, flat, SHEET, sheet, out, names=each, overwrite=overwrite)


def _tell(run: Run, kind: Image, items: Items, stored: Sequence[Any], hole: Tensor, seed: int) -> None:
    """Say how near the fills are to what was there, beside the mean of the training pictures."""
    import torch

    from ectype.metrics.fills import fills

    def scaled(levels: Any) -> Tensor:
        return torch.as_tensor(levels).double() / kind.white

    train = items.data.split("train")[:5000]
    plain = scaled(items.data.store.gather(train).numpy()).mean(0) if len(train) else None
    made = torch.stack([scaled(fill) for fill in stored])
    truth = scaled(items.data.store.gather(items.indices).numpy())
    scores = fills(truth, made, hole, plain=plain, plain_name="mean picture", split=items.split, seed=seed)
    outputs.tell_scores(scores)

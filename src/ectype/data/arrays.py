"""Arrays as pictures or rows: layout, scale, and whether they fit into memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch

from ectype.data.found import Found
from ectype.data.pictures import Form, Size, exact_size, target
from ectype.data.store import CHUNK, Mapped, Resident, Store, room
from ectype.errors import DataError
from ectype.kinds.image import Image
from ectype.kinds.levels import Scale, dtype, requantise, scale_of, top
from ectype.kinds.pixels import to_picture

Array = np.ndarray[Any, Any]
CHANNELS = (1, 3, 4)


class Survey(NamedTuple):
    """What one pass over an array's numbers found."""

    low: float
    high: float
    whole: bool
    binary: bool


def parts(values: Array) -> Iterator[Array]:
    """The array in pieces that fit into memory."""
    for start in range(0, len(values), CHUNK):
        yield np.asarray(values[start : start + CHUNK])


def check(values: Array, where: str) -> None:
    """Refuse arrays that are no numbers, are empty, or hold NaN or infinity, and say in which items."""
    if values.dtype.kind not in "buif":
        raise DataError(f"{where}: holds {values.dtype}, not numbers")
    if values.size == 0:
        raise DataError(f"{where}: holds no items (form {values.shape})")
    if values.dtype.kind != "f":
        return
    bad: list[int] = []
    for i, part in enumerate(parts(values)):
        rows = ~np.isfinite(part.reshape(len(part), -1)).all(1)
        bad += (np.flatnonzero(rows) + i * CHUNK).tolist()
    if bad:
        shown = ", ".join(map(str, bad[:5])) + (", …" if len(bad) > 5 else "")
        raise DataError(
            f"{where}: NaN or infinity in {len(bad)} of {len(values)} items (numbers {shown}); "
            "remove or fill them first"
        )


def survey(values: Array) -> Survey:
    """Extremes, whether all numbers are whole, and whether only two different ones occur."""
    low = min(float(part.min()) for part in parts(values))
    high = max(float(part.max()) for part in parts(values))
    whole = values.dtype.kind != "f" or all(bool((p == np.rint(p)).all()) for p in parts(values))
    binary = low != high and all(bool(((p == low) | (p == high)).all()) for p in parts(values))
    return Survey(low, high, whole, binary)


def layout(values: Array, first: bool | None, where: str) -> Callable[[Array], Array]:
    """What turns a piece of the array into (B, C, H, W), a view.

    Channels stand where there are 1, 3 or 4; where both ends could be, they are last in arrays and
    first in tensors (`first`). Raises DataError where there are none.
    """
    if values.ndim == 3:
        return lambda part: part[:, None]
    if values.ndim == 4:
        front, back = values.shape[1] in CHANNELS, values.shape[3] in CHANNELS
        if front and (first or not back):
            return lambda part: part
        if back:
            return lambda part: part.transpose(0, 3, 1, 2)
    raise DataError(
        f"{where}: form {values.shape} holds no pictures: (N, H, W), (N, H, W, C) or (N, C, H, W) with 1, 3 "
        "or 4 channels do; rows of numbers (N, D) are read with kind='vector'"
    )


def squared(values: Array, size: tuple[int, int] | None, where: str, cure: str) -> Array:
    """Flattened pictures (N, D) as (N, H, W): of that size, or square where D is a square.

    Raises DataError where that is not possible, with what to do about it.
    """
    side = int(round(values.shape[1] ** 0.5))
    height, width = size or (side, side)
    if height * width != values.shape[1]:
        raise DataError(
            f"{where}: rows of {values.shape[1]} numbers are no {height}x{width} pictures; {cure}"
        )
    return values.reshape(-1, height, width)


def image_store(
    found: Found,
    where: str,
    *,
    size: Size = None,
    channels: int | None = None,
    bits: int | None = None,
    limit: float | None = None,
    fitted: Image | None = None,
) -> tuple[Image, Store]:
    """An array of pictures as its kind and store.

    The array keeps its size and channels (who made it chose them) unless `size` says otherwise or
    `fitted`, a kind that is there already, does.
    """
    values = found.values
    if values is None:
        raise DataError(f"{where}: holds no array")
    if values.ndim == 2:
        known, cure = exact_size(size), "give size="
        if fitted is not None:
            known, cure = fitted.size, "the model knows no others"
        values = squared(values, known, where, cure)
    turn = layout(values, found.first, where)
    seen = survey(values)
    scale = scale_of(seen.low, seen.high, values.dtype.kind, seen.whole, binary=seen.binary, where=where)
    if found.bits is not None:
        scale = Scale(0, top(found.bits), found.bits)
    elif fitted is not None and fitted.depth == 1 and seen.whole and 0 <= seen.low and seen.high <= 1:
        scale = Scale(0, 1, 1)  # a few pictures may happen to be all black or all white
    _, depth, height, width = turn(values[:1]).shape
    wanted = target([Form(height, width, depth, False)], size, []) if size is not None else (height, width)
    kind = fitted or Image(channels or depth, wanted, bits=bits or scale.bits)
    same = (depth, (height, width)) == (kind.channels, kind.size)

    def convert(part: Array) -> Array:
        levels = scale.levels(turn(part))
        if not same:
            return np.stack([kind.pack(to_picture(one, top(scale.bits))) for one in levels])
        return requantise(levels, scale.bits, kind.depth)

    return kind, gathered(values, convert, (len(values), *kind.shape.form), dtype(kind.depth), limit)


def gathered(
    values: Array, convert: Callable[[Array], Array], form: tuple[int, ...], sort: Any, limit: float | None
) -> Store:
    """The converted array in memory where it fits, else mapped and converted batch by batch."""
    if np.prod(form, dtype=np.float64) * np.dtype(sort).itemsize > room(limit):
        return Mapped(values, convert)
    out = np.empty(form, sort)
    for i, part in enumerate(parts(values)):
        out[i * CHUNK : i * CHUNK + len(part)] = convert(part)
    return Resident(torch.from_numpy(out))


def vector_store(values: Array, limit: float | None) -> Store:
    """Rows of numbers (N, D), or anything flattened to such, as float32."""
    flat = values.reshape(len(values), -1)
    return gathered(flat, lambda part: part.astype(np.float32), flat.shape, np.float32, limit)

"""What Python hands over: arrays, tensors, lists of pictures, and pairs of such with labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from PIL import Image as Pillow
from torch import Tensor

from ectype.data.arrays import layout, survey
from ectype.data.found import Array, Column, Found, Picture
from ectype.data.tables import typed
from ectype.errors import DataError
from ectype.kinds.levels import scale_of, top
from ectype.kinds.pixels import to_picture


def from_python(source: Any) -> Found:
    """An array, a tensor, a sequence of pictures, texts or rows, or a pair of such with labels (or {…}).

    Raises DataError for anything else, or where there are more or fewer labels than items.
    """
    if isinstance(source, tuple) and len(source) == 2 and not isinstance(source[0], Pillow.Image):
        found = from_python(source[0])
        found.columns |= columns_of(source[1], len(found))
        return found
    if isinstance(source, Tensor):
        return Found(values=source.detach().cpu().numpy(), first=True)
    if isinstance(source, np.ndarray):
        return Found(values=source)
    if isinstance(source, Pillow.Image):
        source = [source]
    if isinstance(source, Sequence) and len(source) and isinstance(source[0], Pillow.Image):
        return _pictures(source)
    if isinstance(source, Sequence) and len(source) and all(isinstance(item, str) for item in source):
        return _texts(source)
    if isinstance(source, Sequence) and not isinstance(source, str | bytes):
        return _stacked(source)
    raise DataError(
        f"data of type {type(source).__name__} cannot be read: give a path, a name, an array, a tensor, a "
        "list of pictures or texts, or a pair (items, labels)"
    )


def columns_of(values: Any, n: int) -> dict[str, Column]:
    """What stands beside `n` items in a pair: values by name, or labels.

    Raises DataError where there are more or fewer than items.
    """
    if isinstance(values, Mapping):
        return {str(k): as_values(v, n, str(k)) for k, v in values.items()}
    return {"label": as_column(values, n, "the labels")}


def _pictures(source: Sequence[Any]) -> Found:
    strange = [i for i, item in enumerate(source) if not isinstance(item, Pillow.Image)]
    if strange:
        sort = type(source[strange[0]]).__name__
        raise DataError(f"item {strange[0]} of the list is a {sort}, where others are pictures")
    return Found(pictures=[Picture(f"item {i}", item.copy) for i, item in enumerate(source)])


def _texts(source: Sequence[str]) -> Found:
    empty = [i for i, text in enumerate(source) if not text.strip()]
    if empty:
        raise DataError(f"item {empty[0]} of the list is an empty text; leave it out")
    return Found(texts=list(source))


def _stacked(source: Sequence[Any]) -> Found:
    if not len(source):
        raise DataError("an empty list holds no items")
    first = isinstance(source[0], Tensor)
    rows = [row.detach().cpu().numpy() if isinstance(row, Tensor) else row for row in source]
    try:
        values = np.stack([np.asarray(row) for row in rows])
    except (ValueError, TypeError):
        raise DataError("the items of the list have different forms: give equal ones, or pictures") from None
    return Found(values=values, first=first or None)


def as_values(values: Any, n: int, name: str) -> Column:
    """One value of any sort per item: what `as_column` takes, and lists of tags, of numbers or of pictures.

    An array in the form and the scale of pictures is pictures, any other with several axes rows of numbers.
    Raises DataError where there are not `n`.
    """
    where, first = f"'{name}'", isinstance(values, Tensor)
    if isinstance(values, Tensor):
        values = values.detach().cpu().numpy()
    if isinstance(values, np.ndarray) and values.ndim == 1:
        return as_column(values, n, where, label=name == "label")
    if len(values) != n:
        raise DataError(f"{where}: {len(values)} values where there are {n} items; give one per item")
    if isinstance(values, np.ndarray):
        return _drawn(values, first, where) or values.reshape(n, -1).astype(np.float32)
    pictures = [
        Picture(f"{where} {i}", v.copy) if isinstance(v, Pillow.Image) else v for i, v in enumerate(values)
    ]
    return typed([None if isinstance(v, float) and v != v else v for v in pictures])


def _drawn(values: Array, first: bool, where: str) -> list[Picture | None] | None:
    """An array of pictures as such, those with NaN missing; None where it holds none."""
    if values.ndim < 3 or values.dtype.kind not in "buif":
        return None
    there = np.asarray(np.isfinite(values.reshape(len(values), -1)).all(axis=1))
    if not there.any():
        return None
    try:
        turn = layout(values, first, where)
        seen = survey(values[there])
        scale = scale_of(seen.low, seen.high, values.dtype.kind, seen.whole, binary=seen.binary, where=where)
    except DataError:
        return None
    white = top(scale.bits)

    def picture(i: int) -> Pillow.Image:
        return to_picture(scale.levels(turn(values[i : i + 1]))[0], white)

    return [Picture(f"{where} {i}", partial(picture, i)) if there[i] else None for i in range(len(values))]


def as_column(values: Any, n: int, where: str, *, label: bool = True) -> Column:
    """One value per item: names, whole numbers or floats; None, "" and NaN are missing.

    Of a label negative whole numbers are missing too.

    Raises DataError where there are not `n`.
    """
    array = values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1 or len(array) != n:
        raise DataError(f"{where}: form {array.shape} where there are {n} items; give one per item")
    if array.dtype.kind == "f":
        gap = np.isnan(array)
        if (array[~gap] == np.rint(array[~gap])).all():
            return [None if gone else int(v) for v, gone in zip(array, gap, strict=True)]
        return array.astype(np.float32)
    if array.dtype.kind in "bui":
        return [None if label and v < 0 else int(v) for v in array.astype(np.int64)]
    names = [v.decode("utf-8", "replace") if isinstance(v, bytes) else v for v in array.tolist()]
    return [None if name is None or name == "" or name != name else str(name) for name in names]

"""From what was found to a kind and stored arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ectype.data import arrays, pictures, texts
from ectype.data.binarise import binarised, black_and_white, refuse_binary
from ectype.data.found import Found
from ectype.data.pictures import Size
from ectype.data.splits import digests, splits_of
from ectype.data.store import Resident, Store, chunks
from ectype.errors import DataError, UsageError
from ectype.kinds import Kind
from ectype.kinds.image import Image
from ectype.kinds.levels import requantise
from ectype.kinds.series import Series
from ectype.kinds.text import Text
from ectype.kinds.vector import Vector

FITTED_ON = 200_000
"""Rows whose mean and deviation are taken when the data is larger."""


def infer(found: Found, where: str) -> str:
    """ "text", "image" for pictures and arrays with height and width, or "vector" for rows of numbers."""
    if found.texts is not None:
        return "text"
    if found.pictures is not None or (found.values is not None and found.values.ndim in (3, 4)):
        return "image"
    if found.values is not None and found.values.ndim in (1, 2):
        return "vector"
    form = None if found.values is None else found.values.shape
    raise DataError(f"{where}: an array of form {form} is neither pictures (N, H, W[, C]) nor rows (N, D)")


def refuse(options: Mapping[str, Any], where: str, what: str = "rows of numbers") -> None:
    """Raise UsageError where options for pictures were given for something else."""
    set_ = [name for name, value in options.items() if value is not None]
    if set_:
        raise UsageError(
            f"{where}: {', '.join(set_)} are for pictures, and these are {what}; "
            "leave them out, or say kind='image'"
        )


def images(
    found: Found,
    where: str,
    *,
    size: Size,
    channels: int | None,
    bits: int | None,
    limit: float | None,
    strict: bool,
) -> tuple[Image, Store]:
    """Pictures or an array of them as their kind (not binarised yet) and store."""
    if found.pictures is None:
        if found.values is None:
            raise DataError(f"{where}: holds no items")
        arrays.check(found.values, where)
        kind, store = arrays.image_store(found, where, size=size, channels=channels, bits=bits, limit=limit)
    else:
        kind, store = _decoded(found, where, size, channels, bits, limit=limit, strict=strict)
    first = store.gather(torch.tensor([0]))
    if len(store) > 1 and all(bool((part == first.numpy()).all()) for part in chunks(store)):
        found.notes.append(f"all {len(store)} pictures are equal: there is nothing to learn but this one")
    return kind, store


def _decoded(
    found: Found,
    where: str,
    size: Size,
    channels: int | None,
    bits: int | None,
    *,
    limit: float | None,
    strict: bool,
) -> tuple[Image, Store]:
    forms = pictures.survey(found, where, strict)
    height, width = pictures.target(forms, size, found.notes)
    counts = {c: sum(form.channels == c for form in forms) for c in (1, 3, 4)}
    most = channels or max(c for c, n in counts.items() if n)
    if channels is None and sum(n > 0 for n in counts.values()) > 1:
        names = {1: "grey", 3: "RGB", 4: "RGBA"}
        mix = ", ".join(f"{n} {names[c]}" for c, n in counts.items() if n)
        found.notes.append(f"mixed colours ({mix}): all were made {names[most]}")
    sixteen = most == 1 and any(form.sixteen for form in forms)
    kind = Image(most, (height, width), bits=bits or (16 if sixteen else 8))
    store = pictures.decode(found, kind, where, strict, limit)
    if channels is None:
        kind, store = _useful_channels(kind, store, found.notes)
    if bits is None and black_and_white(kind, store) and isinstance(store, Resident):
        store = Resident(torch.from_numpy(requantise(store.tensor.numpy(), kind.depth, 1)))
        kind = Image(kind.channels, kind.size, bits=1)
    return kind, store


def _useful_channels(kind: Image, store: Store, notes: list[str]) -> tuple[Image, Store]:
    """Without an alpha that is opaque everywhere, and without colours that are all grey."""
    if kind.channels == 1 or not isinstance(store, Resident):
        return kind, store
    tensor, channels = store.tensor, kind.channels
    if channels == 4 and bool((tensor[:, 3] == kind.white).all()):
        channels = 3
        notes.append("the alpha channel is opaque everywhere and was dropped; channels=4 keeps it")
    if channels == 3 and bool((tensor[:, :1] == tensor[:, 1:3]).all()):
        channels = 1
        notes.append("the colours are all grey and were read as one channel; channels=3 keeps them")
    if channels == kind.channels:
        return kind, store
    return Image(channels, kind.size, bits=kind.depth), Resident(tensor[:, :channels].contiguous())


def _packed(found: Found, kind: Series, where: str) -> np.ndarray[Any, Any]:
    """Stored arrays (N, C, T) of series, each up to its end; raises DataError that names the series."""
    rows = []
    for i, row in enumerate([] if found.values is None else found.values):
        if kind.varies:
            there = np.flatnonzero(~np.isnan(row).all(1))
            row = row[: found.steps[i] if found.steps else there.max(initial=-1) + 1]
        try:
            rows.append(kind.pack(row))
        except DataError as error:
            raise DataError(f"{where}: series {found.names[i] if found.names else i}: {error}") from None
    return np.stack(rows)


def binarise(kind: Image, store: Store, how: str | None, seed: int, where: str) -> tuple[Image, Store]:
    """The kind and store after "static" or "dynamic" binarisation; refused for binary pictures."""
    if how is None:
        return kind, store
    if kind.depth == 1:
        refuse_binary(where)
    drawn = Image(kind.channels, kind.size, bits=kind.depth, binarise=how)
    return drawn, binarised(store, kind, seed) if how == "static" else store


def vectors(
    found: Found, where: str, *, limit: float | None, seed: int
) -> tuple[Vector, Store, dict[str, Tensor], np.ndarray[Any, Any]]:
    """Rows of numbers as their kind (standardised on train), store, splits and hashes."""
    store = _rows(found, where, limit)
    hashes = digests(chunks(store), seed)
    parts = splits_of(found, hashes, seed, where)
    train = parts["train"]
    rows = store.gather(train[:: max(1, len(train) // FITTED_ON)]).numpy()
    constant = int((rows.min(0) == rows.max(0)).sum())
    if constant:
        found.notes.append(f"{constant} of {rows.shape[1]} columns never change")
    return Vector.fit(rows), store, parts, hashes


def _rows(found: Found, where: str, limit: float | None) -> Store:
    if found.values is None:
        raise DataError(f"{where}: holds pictures, not rows of numbers; leave kind out")
    arrays.check(found.values, where)
    return arrays.vector_store(found.values, limit)


def series(
    found: Found, where: str, *, limit: float | None, seed: int
) -> tuple[Series, Store, dict[str, Tensor], np.ndarray[Any, Any]]:
    """Series (N, T, C) as their kind (standardised on train), store, splits and hashes."""
    values = found.values
    if values is None:
        raise DataError(f"{where}: holds no series")
    store = series_store(values, limit)
    hashes = digests(chunks(store), seed)
    parts = splits_of(found, hashes, seed, where)
    train = parts["train"]
    rows = store.gather(train[:: max(1, len(train) * values.shape[1] // FITTED_ON)]).numpy()
    names = found.features or []
    empty = np.isnan(rows).all((0, 2))
    if empty.any():
        which = ", ".join(names[c] if names else f"feature {c}" for c in np.flatnonzero(empty))
        raise DataError(f"{where}: no number of {which} in the training data; leave it out")
    constant = int((np.nanmin(rows, (0, 2)) == np.nanmax(rows, (0, 2))).sum())
    if constant:
        found.notes.append(f"{constant} of {rows.shape[1]} features never change")
    # in an array a series that ends before others is shorter; a gap at the end of a window or table is a gap
    varies = found.varies
    if varies is None:
        varies = bool(np.isnan(values[:, -1]).all(1).any())
    return Series.fit(rows, names, varies=varies), store, parts, hashes


def series_store(values: np.ndarray[Any, Any], limit: float | None) -> Store:
    """Series (N, T, C) as stored arrays (N, C, T)."""
    form = (len(values), values.shape[2], values.shape[1])
    turned = values.transpose(0, 2, 1)
    return arrays.gathered(
        turned, lambda part: np.ascontiguousarray(part, np.float32), form, np.float32, limit
    )


def by_kind(found: Found, kind: Kind, where: str, *, strict: bool, limit: float | None, seed: int) -> Store:
    """Stored arrays of items that are made to fit a kind; raises DataError where they cannot."""
    if isinstance(kind, Vector):
        store = _rows(found, where, limit)
        got, wanted = len(store.gather(torch.tensor([0]))[0]), len(kind.mean)
        if got != wanted:
            raise DataError(f"{where}: rows of {got} numbers, where the model knows rows of {wanted}")
        return store
    if isinstance(kind, Series):
        if found.values is None or found.values.ndim != 3:
            raise DataError(f"{where}: holds no series")
        return Resident(torch.from_numpy(_packed(found, kind, where)))
    if isinstance(kind, Text):
        return texts.packed(found, kind, where, strict=strict)[0]
    if not isinstance(kind, Image):
        raise DataError(f"{where}: items of kind '{kind.name}' cannot be read from a source")
    plain = Image(kind.channels, kind.size, bits=kind.depth)
    if found.pictures is None:
        if found.values is None:
            raise DataError(f"{where}: holds no items")
        arrays.check(found.values, where)
        _, store = arrays.image_store(found, where, limit=limit, fitted=plain)
    else:
        forms = pictures.survey(found, where, strict)
        others = sum((form.height, form.width) != kind.size for form in forms)
        if others:
            h, w = kind.size
            found.notes.append(
                f"{others} of {len(forms)} pictures were scaled and cut to {h}x{w}, the size this model makes"
            )
        store = pictures.decode(found, plain, where, strict, limit)
    return binarised(store, plain, seed) if kind.binarise == "static" else store

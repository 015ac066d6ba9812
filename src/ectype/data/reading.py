"""The door of the data room: anything that can be read → `Data`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from ectype.catalog import DATASETS
from ectype.data import fitting, texts
from ectype.data.asking import Asked, asked_for, refuse_twice
from ectype.data.beside import attach, homes
from ectype.data.columns import conditions, factors, labels, sort_of
from ectype.data.data import Data
from ectype.data.derived import derived
from ectype.data.embedding import encoders_for
from ectype.data.found import Found
from ectype.data.grouping import grouped
from ectype.data.joint import joined
from ectype.data.pictures import Size
from ectype.data.series import from_series
from ectype.data.sources import HUB, name_of, open_source, open_texts
from ectype.data.splits import digests, mixed, splits_of
from ectype.data.store import Store, Widened, chunks
from ectype.errors import DataError, UsageError, did_you_mean, spelled
from ectype.kinds import Kind
from ectype.kinds.image import BINARISE
from ectype.kinds.label import Label
from ectype.kinds.pixels import MODES
from ectype.kinds.units import SAID, is_unit

KINDS = ("image", "series", "vector", *SAID)


@spelled
def read(
    source: Any,
    *,
    kind: str | None = None,
    given: str | Path | Sequence[str | Path] | None = None,
    joint: str | Path | Sequence[str | Path] | None = None,
    encoder: str | Sequence[str] | None = None,
    size: Size = None,
    channels: int | None = None,
    bits: int | None = None,
    binarise: str | None = None,
    column: str | None = None,
    window: int | None = None,
    stride: int = 1,
    by: str | None = None,
    time: str | None = None,
    limit: float | None = None,
    strict: bool = False,
    split_by: str | None = None,
    seed: int = 0,
) -> Data:
    """Read data, infer its kind, and split it.

    Arguments:
        source: a built-in name, a folder or zip of pictures (sub-folder = label), an .npy, .npz or idx file,
            a folder of idx files, a table that names pictures or holds texts (.csv, .tsv, .jsonl, .json), a
            .txt (an item a line), a folder of .txt (an item each), hf:owner/name, or from Python an array, a
            tensor, a list of pictures or texts, or a pair (items, labels or {name: values}).
        kind: image, vector or series (which has to be said); of texts text (by characters), words, bytes or
            bpe (frequent runs of bytes; bpe4000 for so many symbols); inferred if not given.
        given: the condition or conditions to use: a column (label, caption:text), a column of a table beside
            the data (captions.jsonl:name), or a folder with a picture for each item (outline/).
        joint: columns to be made together with the items, such as caption, named as for given; either half
            then completes the other. A column that is to be both needs another name: other=caption.
        encoder: a Hugging Face network, frozen, that reads a condition, such as caption=owner/name or
            caption=folder/ (extra `encoders`); each item is read once and kept in the cache.
        size: of pictures in pixels: the longest side, or height and width as 32x48.
        channels: of pictures: 1 grey, 3 colour, 4 colour and alpha.
        bits: of pictures, 1 to 16.
        binarise: grey pictures as black and white: static (drawn once) or dynamic (drawn for each batch).
        column: of a table: the one that holds the texts to be made; the others can then be given.
        window: of series: steps of an item, cut from long ones; of texts: cut into items of so many symbols
            (a .txt is then one stream).
        stride: of series: steps from one window to the next.
        by: of series in a table: the column that says which series a row is of.
        time: of series in a table: the column rows are put in order by.
        limit: gigabytes the data may take in memory, else it is mapped; by default 40 % of what is free.
        strict: refuse damaged pictures and missing labels instead of leaving them out.
        split_by: a column, named as for given; items that have the same value there stay in one split.
        seed: of the splits and of static binarisation.

    Raises DataError for what cannot be read, UsageError for options that do not exist or do not fit.
    """
    _check(kind, channels, bits, binarise, limit)
    where = name_of(source)
    steps = {"column": column, "window": window, "stride": stride, "by": by, "time": time}
    found = _opened(source, kind, steps, where, seed)
    asked, beside = (attach(found, asked_for(named), homes(source), where) for named in (given, joint))
    refuse_twice([*asked, *beside])
    together = None if split_by is None else grouped(found, split_by, [*asked, *beside], homes(source), where)
    shape = {"size": size, "channels": channels, "bits": bits, "binarise": binarise}
    item, store, parts, hashes = _stored(found, kind, shape, where, limit=limit, strict=strict, seed=seed)
    how: dict[str, Any] = {"train": parts["train"], "limit": limit, "strict": strict}
    fitted, store = joined(found, item, store, beside, where, **how) if beside else (item, store)
    data = described(found, fitted, store, parts, strict=strict, where=where)
    own = derived([one.name for one in asked], found.columns, fitted, len(data), where)
    encoders = encoders_for(encoder, _sorts(found, asked), own)
    columns = {one.name: encoders.get(one.name, one.kind) for one in asked if one.name not in own}
    data.given = own | conditions(found, columns, where, item=item, **how)
    rest = {"kind": kind, **shape, **steps, "strict": strict, "split_by": together, "seed": seed}
    data.source = _source(source, {**rest, **_asked(asked, beside, encoders)}, data, hashes)
    return data


def _asked(
    asked: Sequence[Asked], beside: Sequence[Asked], encoders: Mapping[str, object]
) -> dict[str, list[str] | None]:
    """What was asked for beside the items, as it can be asked for again."""
    return {
        "given": [str(one) for one in asked] or None,
        "joint": [str(one) for one in beside] or None,
        "encoder": [f"{name}={one}" for name, one in encoders.items()] or None,
    }


def _opened(source: Any, kind: str | None, steps: dict[str, Any], where: str, seed: int) -> Found:
    """What the source holds, as series or texts where that is asked for."""
    textual = is_unit(kind) or kind is None
    column, series = steps["column"], {name: value for name, value in steps.items() if name != "column"}
    if column is not None and not textual:
        raise UsageError(f"{where}: column is for texts, and kind='{kind}' is none")
    if kind == "series":
        return from_series(source, **series, seed=seed)
    usual = {"stride": 1, "by": None, "time": None}  # a window may be of texts too
    said = [name for name, value in usual.items() if steps[name] != value]
    if said:
        raise UsageError(f"{where}: {', '.join(said)} are for series: say kind='series' too")
    if is_unit(kind) or column is not None or steps["window"] is not None:
        return open_texts(source, column, cut=steps["window"])
    return open_source(source)


def _stored(
    found: Found,
    kind: str | None,
    shape: dict[str, Any],
    where: str,
    *,
    limit: float | None,
    strict: bool,
    seed: int,
) -> tuple[Kind, Store, dict[str, torch.Tensor], Any]:
    """The items' kind, their stored arrays, the splits, and the hashes they go by."""
    if kind == "series":
        fitting.refuse(shape, where)
        return fitting.series(found, where, limit=limit, seed=seed)
    what = kind or fitting.infer(found, where)
    if is_unit(what) or found.cut is not None:
        fitting.refuse(shape, where, "texts")
        said = what if is_unit(what) else "text"
        return texts.texts(found, where, said=said, strict=strict, seed=seed)
    if what == "vector":
        fitting.refuse(shape, where)
        return fitting.vectors(found, where, limit=limit, seed=seed)
    look = {name: value for name, value in shape.items() if name != "binarise"}
    plain, store = fitting.images(found, where, **look, limit=limit, strict=strict)
    hashes = digests(chunks(store), seed)
    parts = splits_of(found, hashes, seed, where)
    return *fitting.binarise(plain, store, shape["binarise"], seed, where), parts, hashes


def _sorts(found: Found, asked: Sequence[Asked]) -> dict[str, str]:
    """What each condition is: as it was said, or as its column is."""
    return {one.name: one.kind or sort_of(one.name, found.columns.get(one.name, [])) for one in asked}


def _check(
    kind: str | None, channels: int | None, bits: int | None, binarise: str | None, limit: float | None
) -> None:
    if kind is not None and kind not in KINDS and not is_unit(kind):
        raise UsageError(f"kind='{kind}' cannot be read{did_you_mean(kind, KINDS)}")
    if channels is not None and channels not in MODES:
        raise UsageError(f"channels={channels}: 1 (grey), 3 (colour) or 4 (alpha)")
    if bits is not None and not 1 <= bits <= 16:
        raise UsageError(f"bits={bits}: from 1 to 16")
    if limit is not None and not limit >= 0:
        raise UsageError(f"limit={limit}: gigabytes of memory, from 0 (everything is mapped)")
    if binarise not in BINARISE:
        raise UsageError(f"binarise='{binarise}'{did_you_mean(str(binarise), ['static', 'dynamic'])}")


def described(
    found: Found,
    kind: Kind,
    store: Any,
    parts: dict[str, torch.Tensor],
    *,
    strict: bool,
    where: str,
    label_kind: Label | None = None,
) -> Data:
    """Items with the labels, names and factors that came with them, without conditions."""
    numbers, label_kind = labels(found, label_kind, where, strict)
    return Data(
        kind,
        store,
        mixed(parts),
        labels=numbers,
        label_kind=label_kind,
        names=found.names or [f"{i:0{max(4, len(str(len(store))))}d}" for i in range(len(store))],
        notes=found.notes,
        factors=factors(found),
        captions=found.captions,
        centres=None if found.centres is None else torch.from_numpy(found.centres),
        steps=None if found.steps is None else torch.tensor(found.steps),
    )


def _digest(data: Data) -> str:
    """A hash of the conditions and further parts of all items, in their order."""
    total = hashlib.blake2b(digest_size=8)
    if isinstance(data.store, Widened):
        total.update(data.store.further.numpy().tobytes())
    for name, condition in data.given.items():
        total.update(name.encode("utf-8", "replace") + condition.present.numpy().tobytes())
        total.update(condition.kind.source(condition.stored).contiguous().numpy().tobytes())
    return total.hexdigest()


def _source(source: Any, options: dict[str, Any], data: Data, hashes: Any) -> dict[str, Any]:
    """How to read the data again, and what tells whether it is the same."""
    path = str(source) if isinstance(source, str | Path) else None
    named = isinstance(source, str) and (source in DATASETS or source.startswith(HUB))
    digest = hashlib.blake2b(hashes.tobytes(), digest_size=8)
    for at in data.splits.values():
        digest.update(at.numpy().tobytes())
    return {
        "path": path,
        "absolute": path if path is None or named else str(Path(path).expanduser().resolve()),
        "options": {k: list(v) if isinstance(v, tuple) else v for k, v in options.items()},
        "counts": {name: len(at) for name, at in data.splits.items()},
        "digest": digest.hexdigest(),
        "conditions": _digest(data),
    }


def reread(source: Mapping[str, Any], *, limit: float | None = None) -> Data:
    """The data a run was trained on, with the same splits, from `Data.source`.

    Arguments:
        source: what `Data.source` held.
        limit: gigabytes the data may take in memory.

    Raises DataError where it was given from Python, is not there any more, or has changed: another
    content has other splits, and what was trained on could be measured on.
    """
    path, absolute = source.get("path"), source.get("absolute")
    if path is None:
        raise DataError("this run was trained on data given from Python; name the data to read")
    there = absolute if absolute == path or Path(str(absolute)).exists() else path
    options = dict(source["options"])
    if isinstance(options.get("size"), list):
        options["size"] = tuple(options["size"])
    data = read(there, limit=limit, **options)
    if data.source["digest"] != source["digest"]:
        raise DataError(
            f"{there}: has changed since training ({source['counts']['all']} items then, {len(data)} now): "
            "its splits are others; name the data to use"
        )
    if data.source["conditions"] != source.get("conditions", data.source["conditions"]):
        raise DataError(f"{there}: its conditions have changed since training; name the data to use")
    data.source = dict(source)
    return data

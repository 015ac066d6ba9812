"""The door of the data room: anything that can be read → `Data`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ectype.catalog import DATASETS
from ectype.data import fitting
from ectype.data.asking import Asked, asked_for, refuse_twice
from ectype.data.beside import attach, homes
from ectype.data.columns import conditions, factors, known, labels, sort_of
from ectype.data.data import Condition, Data
from ectype.data.derived import derived, made
from ectype.data.embedding import encoders_for
from ectype.data.found import Found
from ectype.data.joint import by_kind, joined
from ectype.data.pictures import Size
from ectype.data.sources import HUB, name_of, open_source
from ectype.data.splits import digests, split
from ectype.data.store import Store, Widened, chunks
from ectype.errors import DataError, UsageError, did_you_mean, spelled
from ectype.kinds import Kind
from ectype.kinds.derived import Derived
from ectype.kinds.image import BINARISE
from ectype.kinds.label import Label
from ectype.kinds.pixels import MODES
from ectype.kinds.record import Record

KINDS = ("image", "vector")


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
    limit: float | None = None,
    strict: bool = False,
    seed: int = 0,
) -> Data:
    """Read data, infer its kind, and split it.

    Arguments:
        source: a built-in name, a folder or zip of pictures (sub-folder = label), an .npy, .npz or idx file,
            a folder of idx files, a table that names pictures (.csv, .tsv, .jsonl, .json), hf:owner/name, or
            from Python an array, a tensor, a list of pictures, or a pair (items, labels or {name: values}).
        kind: "image" or "vector"; inferred if not given.
        given: the condition or conditions to use: a column (label, caption:text), a column of a table beside
            the data (captions.jsonl:name), or a folder with a picture for each item (outline/).
        joint: columns to be made together with the items, such as caption, named as for given; either half
            then completes the other. A column cannot be both.
        encoder: a Hugging Face network, frozen, that reads a condition, such as caption=owner/name or
            caption=folder/ (extra `encoders`); each item is read once and kept in the cache.
        size: of pictures in pixels: the longest side, or height and width as 32x48.
        channels: of pictures: 1 grey, 3 colour, 4 colour and alpha.
        bits: of pictures, 1 to 16.
        binarise: grey pictures as black and white: static (drawn once) or dynamic (drawn for each batch).
        limit: gigabytes the data may take in memory, else it is mapped; by default 40 % of what is free.
        strict: refuse damaged pictures and missing labels instead of leaving them out.
        seed: of the splits and of static binarisation.

    Raises DataError for what cannot be read, UsageError for options that do not exist or do not fit.
    """
    _check(kind, channels, bits, binarise)
    where = name_of(source)
    found = open_source(source)
    asked, beside = (attach(found, asked_for(named), homes(source), where) for named in (given, joint))
    refuse_twice([*asked, *beside])
    shape = {"size": size, "channels": channels, "bits": bits, "binarise": binarise}
    fitted, store, parts, hashes = _stored(found, kind, shape, where, limit=limit, strict=strict, seed=seed)
    item = fitted
    if beside:
        fitted, store = joined(found, item, store, beside, where, strict=strict, limit=limit)
    data = described(found, fitted, store, parts, strict=strict, where=where)
    own = derived([one.name for one in asked], found.columns, fitted, len(data), where)
    encoders = encoders_for(encoder, _sorts(found, asked), own)
    columns = {one.name: encoders.get(one.name, one.kind) for one in asked if one.name not in own}
    data.given = {**own, **conditions(found, columns, where, item=item, strict=strict, limit=limit)}
    options = {
        "given": [str(one) for one in asked] or None,
        "joint": [str(one) for one in beside] or None,
        "encoder": [f"{name}={one}" for name, one in encoders.items()] or None,
        **{"kind": kind, **shape, "strict": strict, "seed": seed},
    }
    data.source = _source(source, options, parts, hashes) | {"conditions": _digest(data)}
    return data


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
    if (kind or fitting.infer(found, where)) == "vector":
        fitting.refuse(shape, where)
        return fitting.vectors(found, where, limit=limit, seed=seed)
    look = {name: value for name, value in shape.items() if name != "binarise"}
    plain, store = fitting.images(found, where, **look, limit=limit, strict=strict)
    hashes = digests(chunks(store), seed)
    parts = split(hashes, found.split, found.notes)
    return *fitting.binarise(plain, store, shape["binarise"], seed, where), parts, hashes


def _sorts(found: Found, asked: Sequence[Asked]) -> dict[str, str]:
    """What each condition is: as it was said, or as its column is."""
    return {one.name: one.kind or sort_of(one.name, found.columns.get(one.name, [])) for one in asked}


def _check(kind: str | None, channels: int | None, bits: int | None, binarise: str | None) -> None:
    if kind is not None and kind not in KINDS:
        raise UsageError(f"kind='{kind}' cannot be read{did_you_mean(kind, KINDS)}")
    if channels is not None and channels not in MODES:
        raise UsageError(f"channels={channels}: 1 (grey), 3 (colour) or 4 (alpha)")
    if bits is not None and not 1 <= bits <= 16:
        raise UsageError(f"bits={bits}: from 1 to 16")
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
        parts,
        labels=numbers,
        label_kind=label_kind,
        names=found.names or [f"{i:0{max(4, len(str(len(store))))}d}" for i in range(len(store))],
        notes=found.notes,
        factors=factors(found),
        captions=found.captions,
        centres=None if found.centres is None else torch.from_numpy(found.centres),
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


def _source(
    source: Any, options: dict[str, Any], parts: dict[str, torch.Tensor], hashes: Any
) -> dict[str, Any]:
    path = str(source) if isinstance(source, str | Path) else None
    named = path is not None and (path in DATASETS or path.startswith(HUB))
    return {
        "path": path,
        "absolute": path if path is None or named else str(Path(path).expanduser().resolve()),
        "options": {k: list(v) if isinstance(v, tuple) else v for k, v in options.items()},
        "counts": {name: len(at) for name, at in parts.items()},
        "digest": hashlib.blake2b(hashes.tobytes(), digest_size=8).hexdigest(),
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


def read_with(
    source: Any,
    kind: Kind,
    *,
    conditions: Mapping[str, Kind] | None = None,
    trained: Mapping[str, Any] | None = None,
    label_kind: Label | None = None,
    strict: bool = False,
    limit: float | None = None,
    seed: int = 0,
) -> Data:
    """A user's items by a kind that is fitted already: all in the split "all".

    Arguments:
        source: as in `read`.
        kind: what the items are made to fit: pictures are scaled and converted, rows must have its columns.
        conditions: kinds by name; items without a known value are read as without that condition.
        trained: `Data.source` of the data the kinds were fitted to: what lay beside that is looked for under
            the same name in this source and beside it.
        label_kind: what label numbers mean; labels it does not know are missing.
        strict: refuse damaged pictures and missing or unknown labels.
        limit: gigabytes the data may take in memory.
        seed: of static binarisation.

    Raises DataError for what cannot be read or does not fit.
    """
    where = name_of(source)
    found = open_source(source)
    wanted = dict(conditions or {})
    parts = kind.parts if isinstance(kind, Record) else {}
    beside = [one for one in _beside(source, found, trained) if one.name in {**wanted, **parts}]
    attach(found, beside, homes(source), where)
    store = by_kind(found, kind, where, strict=strict, limit=limit, seed=seed)
    splits = {"all": torch.arange(len(store))}
    data = described(found, kind, store, splits, strict=strict, where=where, label_kind=label_kind)
    own = {n: made(c, len(store)) for n, c in wanted.items() if isinstance(c, Derived)}
    columns = {name: c for name, c in wanted.items() if name not in own}
    data.given = {**own, **_known(found, columns, where, kind, strict=strict, limit=limit)}
    data.source = {"path": str(source) if isinstance(source, str | Path) else None}
    return data


def _beside(source: Any, found: Found, trained: Mapping[str, Any] | None) -> list[Asked]:
    """What was asked for beside the data in training, where the same lies beside this source too."""
    options = (trained or {}).get("options") or {}
    named = [*asked_for(options.get("given")), *asked_for(options.get("joint"))]
    asked = [one for one in named if one.path or one.column not in found.columns]
    places = homes(source)
    if places and str(Path(source).expanduser().resolve()) == str((trained or {}).get("absolute")):
        return asked
    there = []
    for one in asked:
        name = Path(one.path).name if one.path else ""
        place = next((home / name for home in places if name and (home / name).exists()), None)
        if place is not None:
            there.append(replace(one, path=str(place)))
    return there


def _known(
    found: Found, wanted: Mapping[str, Kind], where: str, item: Kind, *, strict: bool, limit: float | None
) -> dict[str, Condition]:
    """The conditions the source has; those it does not have are said, or refused with `strict`."""
    there = {
        name: kind
        for name, kind in wanted.items()
        if name in found.columns and any(map(known, found.columns[name]))
    }
    if len(there) < len(wanted):
        text = f"has no column for {', '.join(name for name in wanted if name not in there)}"
        if strict:
            raise DataError(f"{where}: {text}; complete it, or read without strict")
        found.notes.append(f"{where} {text}: read without")
    return conditions(found, there, where, item=item, strict=strict, limit=limit)

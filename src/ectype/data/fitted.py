"""A user's items by kinds that are fitted already, as a trained model needs them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ectype.data.asking import Asked, asked_for
from ectype.data.beside import attach, homes
from ectype.data.columns import conditions, known
from ectype.data.data import Condition, Data
from ectype.data.derived import made
from ectype.data.found import Found
from ectype.data.joint import by_kind
from ectype.data.reading import described
from ectype.data.series import from_series, padded, whole
from ectype.data.sources import name_of, open_source, open_texts
from ectype.data.tables import is_table
from ectype.errors import DataError
from ectype.kinds import Kind
from ectype.kinds.derived import Derived
from ectype.kinds.label import Label
from ectype.kinds.record import Record
from ectype.kinds.series import Series
from ectype.kinds.text import Text


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
    by: str | None = None,
    time: str | None = None,
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
        by, time: of series in a table, as in `read`; None: as in training.

    Raises DataError for what cannot be read or does not fit.
    """
    where = name_of(source)
    found = _opened_with(source, kind, trained, by, time)
    wanted = dict(conditions or {})
    parts = kind.parts if isinstance(kind, Record) else {}
    beside = [one for one in _beside(source, found, trained) if one.name in {**wanted, **parts}]
    for one in beside:
        try:
            attach(found, [one], homes(source), where)
        except DataError as error:  # what lies there is of other items, such as those that were trained on
            if strict:
                raise
            found.notes.append(str(error))
    store = by_kind(found, kind, where, strict=strict, limit=limit, seed=seed)
    splits = {"all": torch.arange(len(store))}
    data = described(found, kind, store, splits, strict=strict, where=where, label_kind=label_kind)
    own = {n: made(c, len(store)) for n, c in wanted.items() if isinstance(c, Derived)}
    columns = {name: c for name, c in wanted.items() if name not in own}
    data.given = {**own, **_known(found, columns, where, kind, strict=strict, limit=limit)}
    data.source = {"path": str(source) if isinstance(source, str | Path) else None}
    return data


def _opened_with(
    source: Any, kind: Kind, trained: Mapping[str, Any] | None, by: str | None, time: str | None
) -> Found:
    """What the source holds, read as in training: by the same columns, cut where they were cut."""
    options = (trained or {}).get("options") or {}
    item = next(iter(kind.parts.values())) if isinstance(kind, Record) else kind
    if isinstance(item, Text):
        return _texts(source, options)
    if not isinstance(kind, Series):
        return open_source(source)
    usual = columns_of(source, trained)
    by, time = by or usual[0], time or usual[1]
    if kind.varies:
        return padded(*whole(source, by=by, time=time), name_of(source))
    found = from_series(source, window=None, stride=1, by=by, time=time, seed=0)
    if found.values is not None and found.values.shape[1] == kind.length:
        return found
    return from_series(source, window=kind.length, stride=kind.length, by=by, time=time, seed=0)


def columns_of(source: Any, trained: Mapping[str, Any] | None) -> tuple[str | None, str | None]:
    """The columns by which training told series apart and put rows in order; of what is no table none."""
    options = (trained or {}).get("options") or {}
    path = Path(source).expanduser() if isinstance(source, str | Path) else None
    if path is None or not (path.is_dir() or is_table(path)):
        return None, None
    return options.get("by"), options.get("time")


def _texts(source: Any, options: Mapping[str, Any]) -> Found:
    """Texts, of a table in the column that was trained on; what is no table has none."""
    table = isinstance(source, str | Path) and is_table(source)
    column = options.get("column") if table else None
    return open_texts(source, column, cut=options.get("window"))


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

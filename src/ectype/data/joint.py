"""Columns that are made together with the items: both become parts of a `Record`.

The items' own part is called by its kind, `image` or `vector`; the others by their columns. A text is made
word by word where at most 2,000 different words occur, unless its kind is said (caption:text).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ectype.data import fitting
from ectype.data.asking import Asked
from ectype.data.columns import conditions, known, sort_of
from ectype.data.data import Condition, Data
from ectype.data.found import Found
from ectype.data.store import Store, Widened
from ectype.errors import DataError, UsageError
from ectype.kinds import Kind
from ectype.kinds.record import Record
from ectype.kinds.text import Text

WORDS = 2000
"""Different words up to which a text is made word by word."""


def joined(
    found: Found,
    item: Kind,
    store: Store,
    asked: Sequence[Asked],
    where: str,
    *,
    train: Tensor,
    strict: bool,
    limit: float | None,
) -> tuple[Record, Store]:
    """Items with some of their columns as one kind, and their stored arrays.

    Arguments:
        found: the items, with the columns.
        item: their kind.
        store: their stored arrays.
        asked: the columns.
        where: the source's name, for messages.
        train: numbers of the items that are trained on.
        strict: refuse missing values; else they are missing parts.
        limit: gigabytes pictures among the columns may take in memory.

    Raises UsageError for a column called as the items' kind, DataError for one that cannot be read.
    """
    for one in asked:
        if one.name == item.name:
            raise UsageError(
                f"--joint {one}: the items themselves are called '{item.name}'; "
                f"call the column otherwise, such as other={one}"
            )
    wanted = {one.name: one.kind or _sort(found, one.name) for one in asked}
    columns = conditions(found, wanted, where, item=item, train=train, strict=strict, limit=limit)
    record = Record({item.name: item, **{name: column.kind for name, column in columns.items()}})
    return record, _beside(store, columns, record)


def by_kind(found: Found, kind: Kind, where: str, *, strict: bool, limit: float | None, seed: int) -> Store:
    """Stored arrays of items that are made to fit a kind; what a source lacks of a record is missing.

    Raises DataError where they cannot be, and with `strict` where a part is missing.
    """
    if not isinstance(kind, Record):
        return fitting.by_kind(found, kind, where, strict=strict, limit=limit, seed=seed)
    (_, item), *others = kind.parts.items()
    store = fitting.by_kind(found, item, where, strict=strict, limit=limit, seed=seed)
    there = {n: k for n, k in others if n in found.columns and any(map(known, found.columns[n]))}
    lacking = [name for name, _ in others if name not in there]
    if lacking:
        text = f"has no {' and no '.join(lacking)}"
        if strict:
            raise DataError(f"{where}: {text}; complete it, or read without strict")
        found.notes.append(f"{where} {text}: read without")
    columns = conditions(found, there, where, item=item, strict=strict, limit=limit)
    return _beside(store, columns, kind)


def apart(data: Data) -> Data:
    """Items of several parts as their first part, under the others as conditions; any other data as it is."""
    record, store = data.kind, data.store
    if not isinstance(record, Record) or not isinstance(store, Widened):
        return data
    (_, first), *others = record.parts.items()
    pieces = record.pieces(store.further.numpy(), 1)
    there = store.further[:, -len(others) :] > 0
    columns = {
        name: Condition(kind, torch.from_numpy(piece), there[:, i])
        for i, ((name, kind), piece) in enumerate(zip(others, pieces, strict=True))
    }
    return replace(data, kind=first, store=store.items, given=dict(data.given) | columns)


def _sort(found: Found, name: str) -> str | None:
    """Words for a text of few different ones; None: as the columns' own rule says."""
    column = found.columns.get(name)
    if column is None or sort_of(name, column) != "text":
        return None
    words = Text.fit([str(value) for value in column if known(value)], "words").symbols
    return "words" if len(words) <= WORDS else None


def _beside(store: Store, columns: Mapping[str, Condition], record: Record) -> Store:
    """The items' bytes with those of the columns and, of each part, whether it is there."""
    n = len(store)
    rows: list[Tensor] = []
    there = [torch.ones(n, dtype=torch.bool)]
    for name, kind in list(record.parts.items())[1:]:
        if name in columns:
            rows.append(torch.from_numpy(np.ascontiguousarray(columns[name].stored.numpy())).reshape(n, -1))
            there.append(columns[name].present)
        else:
            blank = torch.from_numpy(kind.stored(torch.zeros(1, *kind.shape.form)))
            rows.append(torch.zeros_like(blank).reshape(1, -1).expand(n, -1).contiguous())
            there.append(torch.zeros(n, dtype=torch.bool))
    presence = torch.stack(there, 1).to(torch.uint8)
    return Widened(store, torch.cat([*(row.view(torch.uint8) for row in rows), presence], 1))

"""Columns that come with the items: labels, and conditions of any kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ectype.data.data import Condition
from ectype.data.found import Array, Column, Found
from ectype.errors import DataError, did_you_mean
from ectype.kinds import Kind
from ectype.kinds.label import Label
from ectype.kinds.vector import Vector


def labels(found: Found, kind: Label | None, where: str, strict: bool) -> tuple[Tensor | None, Label | None]:
    """The main labels as class numbers (N,), -1 where missing, and what they mean; None where there are none.

    Arguments:
        found: the items.
        kind: the classes, where they are fixed already.
        where: the source's name, for messages.
        strict: refuse missing and unknown labels.
    """
    column = found.columns.get("label")
    if not isinstance(column, list) or all(value is None for value in column):
        return None, kind
    known = kind or Label.fit(v for v in column if v is not None)
    stored, present = _packed(known, column, "label", where, strict, found.notes)
    return torch.where(present, stored, -1), known


def conditions(
    found: Found, names: Sequence[str], where: str, strict: bool, *, kinds: Mapping[str, Kind] | None = None
) -> dict[str, Condition]:
    """The named columns as conditions; items whose value is missing do not have it.

    Arguments:
        found: the items.
        names: of the columns.
        where: the source's name, for messages.
        strict: refuse missing values.
        kinds: what the columns are, where that is fixed already; otherwise fitted here.

    Raises DataError for a column that does not exist.
    """
    made = {}
    for name in names:
        if name not in found.columns:
            there = (
                did_you_mean(name, found.columns)
                if found.columns
                else ("; put the pictures of each label into a sub-folder, or give pairs (items, labels)")
            )
            raise DataError(f"{where}: there is no '{name}' to be given{there}")
        column = found.columns[name]
        if isinstance(column, list) and all(value is None for value in column):
            raise DataError(f"{where}: '{name}' is missing for every item, so it cannot be given")
        kind = (kinds or {}).get(name) or _fitted(column)
        notes = [] if name == "label" else found.notes  # `labels` has said it already
        stored, present = _packed(kind, column, name, where, strict, notes)
        made[name] = Condition(kind, stored, present)
    return made


def factors(found: Found) -> dict[str, Tensor]:
    """Every column but the label as numbers (N,): floats, or class numbers (-1 where missing)."""
    made = {}
    for name, column in found.columns.items():
        if isinstance(column, np.ndarray):
            made[name] = torch.from_numpy(column)
        elif name != "label" and any(value is not None for value in column):
            kind = Label.fit(value for value in column if value is not None)
            made[name] = torch.tensor([-1 if v is None else kind.numbers[str(v)] for v in column])
    return made


def _fitted(column: Column) -> Kind:
    if isinstance(column, np.ndarray):
        return Vector.fit(column[np.isfinite(column)].reshape(-1, 1))
    return Label.fit(v for v in column if v is not None)


def _packed(
    kind: Kind, column: Column, name: str, where: str, strict: bool, notes: list[str]
) -> tuple[Tensor, Tensor]:
    """Stored arrays of a column and which are present; unknown and missing ones are counted."""
    seen: dict[Any, Any] = {}
    unknown: set[str] = set()
    rows: list[Array | None] = []
    blank = np.zeros(kind.shape.form, np.int64 if isinstance(kind, Label) else np.float32)
    for value in column:
        if value is None:
            rows.append(None)
            continue
        if value not in seen:
            try:
                seen[value] = kind.pack(value)
            except DataError:
                seen[value] = None
                unknown.add(str(value))
        rows.append(seen[value])
    present = torch.tensor([row is not None for row in rows])
    missing = int((~present).sum())
    if missing:
        extra = f" (unknown: {', '.join(sorted(unknown)[:5])})" if unknown else ""
        text = f"{missing} of {len(rows)} items have no {name}{extra}"
        if strict:
            raise DataError(f"{where}: {text}; complete them, or read without strict")
        notes.append(text)
    stack = np.stack([blank if row is None else row for row in rows])
    return torch.from_numpy(stack), present

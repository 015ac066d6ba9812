"""Columns that come with the items: labels, and conditions of any kind.

What a column is, unless it is said:

    pictures                                    image
    numbers with a fraction, lists of numbers   vector
    lists of tags, mappings, "a|b"              attributes
    whole numbers                               label; vector from 101 different ones on
    texts                                       text where two of three are true: more than half of them
                                                differ; they are of several words; more than 100 differ.
                                                Else label

The column "label" is a label whatever is in it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ectype.data.data import Condition
from ectype.data.embedding import embedded
from ectype.data.found import Array, Column, Found, Picture
from ectype.data.paired import paired
from ectype.errors import DataError, UsageError, did_you_mean
from ectype.kinds import Kind
from ectype.kinds.attributes import BETWEEN, Attributes
from ectype.kinds.embedded import Embedded
from ectype.kinds.encoders import Encoder
from ectype.kinds.image import Image
from ectype.kinds.label import Label
from ectype.kinds.text import Text
from ectype.kinds.units import is_unit
from ectype.kinds.vector import Vector

MANY = 100
_SHOWN = 40


def labels(found: Found, kind: Label | None, where: str, strict: bool) -> tuple[Tensor | None, Label | None]:
    """The main labels as class numbers (N,), -1 where missing, and what they mean; None where there are none.

    Arguments:
        found: the items.
        kind: the classes, where they are fixed already.
        where: the source's name, for messages.
        strict: refuse missing and unknown labels.
    """
    column = found.columns.get("label")
    if not isinstance(column, list) or sort_of("label", column) != "label":
        return None, kind
    classes = kind or Label.fit(v for v in column if v is not None)
    stored, present = _packed(classes, column, "label", where, strict, found.notes)
    return torch.where(present, stored, -1), classes


def _column(found: Found, name: str, where: str) -> Column:
    """The column of that name; raises UsageError where there is none, DataError where it says nothing."""
    if name not in found.columns:
        there = (
            did_you_mean(name, found.columns)
            if found.columns
            else "; put the pictures of each label into a sub-folder, give pairs (items, labels), or "
            "name a table beside the data, such as labels.csv:style"
        )
        raise UsageError(f"{where}: there is no '{name}' to be given{there}")
    if not any(known(value) for value in found.columns[name]):
        raise DataError(f"{where}: '{name}' is missing for every item, so it cannot be given")
    return found.columns[name]


def conditions(
    found: Found,
    wanted: Mapping[str, Kind | Encoder | str | None],
    where: str,
    *,
    item: Kind | None = None,
    train: Tensor | None = None,
    strict: bool = False,
    limit: float | None = None,
) -> dict[str, Condition]:
    """The named columns as conditions; items whose value is missing do not have it.

    Arguments:
        found: the items.
        wanted: the columns, each with its kind: fitted already, by name (`asking.KINDS`), or None; or with
            the encoder that is to read it.
        where: the source's name, for messages.
        item: the items' kind, whose size pictures take that have its aspect.
        train: numbers of the items that bpe learns from; None: all.
        strict: refuse missing values.
        limit: gigabytes pictures may take in memory.

    Raises UsageError for a column that does not exist, DataError for one that is not of the kind it is said
    to be.
    """
    made = {}
    for name, kind in wanted.items():
        column = _column(found, name, where)
        # `labels` has said it already, but for classes of a model that are not these items' own
        notes = [] if name == "label" and not isinstance(kind, Kind) else found.notes
        look: dict[str, Any] = {"item": item, "strict": strict, "limit": limit}
        if isinstance(kind, Embedded | Encoder):
            made[name] = embedded(column, kind, f"{where}: {name}", notes, **look)
            continue
        sort = kind.name if isinstance(kind, Kind) else kind or sort_of(name, column)
        if kind is None and sort == "label" and name != "label":
            _remark(name, column, notes)
        if sort == "image":
            fixed = kind if isinstance(kind, Image) else None
            made[name] = paired(column, fixed, f"{where}: {name}", notes, **look)
            continue
        try:
            fitted = kind if isinstance(kind, Kind) else _fitted(sort, column, train)
        except DataError as error:
            raise DataError(f"{where}: '{name}' cannot be {sort}: {error}") from None
        stored, present = _packed(fitted, column, name, where, strict, notes)
        made[name] = Condition(fitted, stored, present)
    return made


def factors(found: Found) -> dict[str, Tensor]:
    """Every column of numbers or classes but the label as numbers (N,): floats, or -1 for no class."""
    made = {}
    for name, column in found.columns.items():
        sort = sort_of(name, column)
        if isinstance(column, np.ndarray) and column.ndim == 1:
            made[name] = torch.from_numpy(column)
        elif sort == "vector" and all(v is None or isinstance(v, int) for v in column):
            made[name] = torch.tensor([np.nan if v is None else v for v in column], dtype=torch.float32)
        elif name != "label" and sort == "label":
            kind = Label.fit(value for value in column if value is not None)
            made[name] = torch.tensor([-1 if v is None else kind.numbers[str(v)] for v in column])
    return made


def sort_of(name: str, column: Column) -> str:
    """The name of the kind that a column is, by the rule at the top; "" where it holds nothing."""
    if isinstance(column, np.ndarray):
        return "vector"
    values = [value for value in column if value is not None]
    if not values:
        return ""
    if all(isinstance(value, Picture) for value in values):
        return "image"
    if not all(isinstance(value, str | int) for value in values):
        rows = all(isinstance(v, list | tuple) and all(isinstance(n, int | float) for n in v) for v in values)
        return "vector" if rows and any(values) else "attributes"
    different = set(values)
    if name == "label":
        return "label"
    if all(isinstance(value, int) for value in values):
        return "vector" if len(different) > MANY else "label"
    if any(BETWEEN in str(value) for value in different):
        return "attributes"
    signs = (2 * len(different) > len(values)) + _worded(different) + (len(different) > MANY)
    return "text" if signs >= 2 else "label"


def _worded(different: Collection[Any]) -> bool:
    """Whether most of a column's different values are several words."""
    return 2 * sum(len(str(value).split()) > 1 for value in different) > len(different)


def _remark(name: str, column: Column, notes: list[str]) -> None:
    """Note that a column whose kind nobody said was read as classes, where it could be texts as well."""
    different = {value for value in column if known(value)}
    if _worded(different):
        many = f"{len(different)} class{'es' if len(different) > 1 else ''}"
        notes.append(f"{name} was read as a label of {many}; with :words or :text behind it, it is a text")


def known(value: Any) -> bool:
    """Whether a column's value is there: not None, NaN or infinite."""
    if isinstance(value, float | np.floating | np.ndarray):
        return bool(np.isfinite(value).all())
    return value is not None


def _fitted(sort: str, column: Column, train: Tensor | None) -> Kind:
    values = [value for value in column if known(value)]
    if is_unit(sort):
        own = values if train is None else [column[i] for i in train.tolist() if known(column[i])]
        return Text.fit(map(str, values), sort, known=map(str, own))
    match sort:
        case "label":
            return Label.fit(_name(value) for value in values)
        case "attributes":
            return Attributes.fit(values)
    rows = [_row(value) for value in values]
    widths = sorted({len(row) for row in rows})
    if len(widths) > 1:
        raise DataError(f"rows of {widths[0]} to {widths[-1]} numbers; give each item equally many")
    return Vector.fit(np.stack(rows))


def _row(value: Any) -> Array:
    if isinstance(value, str | int | float | list | tuple | np.ndarray | np.floating):
        numbers = value.replace(",", " ").split() if isinstance(value, str) else value
        try:
            return np.asarray(numbers, np.float64).reshape(-1)
        except (TypeError, ValueError):
            pass
    raise DataError(f"{value!r} is no number")


def _name(value: Any) -> str:
    """A label's name; a whole number that came as a float is one."""
    return str(int(value)) if isinstance(value, float | np.floating) and value == int(value) else str(value)


def _item(kind: Kind, value: Any) -> Any:
    """A value as what a kind packs: columns of numbers may be said to be labels or texts."""
    if isinstance(kind, Label) and not isinstance(value, int):
        return _name(value)
    return str(value) if isinstance(kind, Text) else value


def _packed(
    kind: Kind, column: Column, name: str, where: str, strict: bool, notes: list[str]
) -> tuple[Tensor, Tensor]:
    """Stored arrays of a column and which are present; unknown and missing ones are counted."""
    seen: dict[str | int, Any] = {}
    unknown: set[str] = set()
    rows: list[Array | None] = []
    for value in column:
        if not known(value):
            rows.append(None)
            continue
        # by the value itself: an item of an array is a new object each time, at the address of an older one
        if isinstance(value, str | int) and value in seen:
            rows.append(seen[value])
            continue
        try:
            row = kind.pack(_item(kind, value))
        except DataError:
            row = None
            unknown.add(str(value)[:_SHOWN])
        if isinstance(value, str | int):
            seen[value] = row
        rows.append(row)
    present = torch.tensor([row is not None for row in rows])
    missing = int((~present).sum())
    if missing:
        extra = f" (unknown: {', '.join(sorted(unknown)[:5])})" if unknown else ""
        text = f"{missing} of {len(rows)} items have no {name}{extra}"
        if strict:
            raise DataError(f"{where}: {text}; complete them, or read without strict")
        notes += [text] if text not in notes else []
    blank = np.zeros_like(kind.stored(torch.zeros(1, *kind.shape.form))[0])
    stack = np.stack([blank if row is None else row for row in rows])
    return torch.from_numpy(stack), present

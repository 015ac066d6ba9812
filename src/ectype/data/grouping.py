"""Which items belong together: versions of one thing, pictures of one person, frames of one film.

Were they parted, what is measured on the held-out ones would be known from training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ectype.data.asking import Asked, asked_for
from ectype.data.beside import attach
from ectype.data.columns import known
from ectype.data.found import Found, Picture
from ectype.data.tables import is_table, read_table
from ectype.errors import DataError, UsageError, did_you_mean


def grouped(found: Found, by: str, others: Sequence[Asked], beside: Sequence[Path], where: str) -> str:
    """Give the items the groups that a column says; what to say to have the same again.

    Arguments:
        found: the items; receives groups.
        by: the column, of the source, of a table beside it (captions.jsonl:base), or by its name alone of a
            table that conditions come from.
        others: the conditions that are asked for, with whole paths.
        beside: folders in which relative paths are looked for.
        where: the source's name, for messages.

    Raises UsageError for anything but one column, DataError for one that is not there or holds no names.
    """
    asked = asked_for(by)
    if len(asked) != 1:
        raise UsageError(f"split_by={by!r}: name one column whose equal values stay together")
    one, there = asked[0], set(found.columns)
    if one.path is None and one.column not in found.columns:
        tables = {other.path: None for other in others if other.path and is_table(other.path)}
        for path in map(str, tables):
            columns = read_table(Path(path)).columns
            there |= set(columns)
            if one.column in columns:
                one = replace(one, path=path)
                break
        else:
            raise DataError(
                f"{where}: there is no column '{one.column}' to split by{_hint(one.column, there)}"
            )
    columns_before = dict(found.columns)
    (one,) = attach(found, [one], beside, where)
    column = found.columns[one.name]
    found.columns = columns_before
    if any(isinstance(value, Picture) for value in column) or not any(map(known, column)):
        raise DataError(f"{where}: '{one.name}' holds no values by which items belong together")
    found.groups = [str(value) if known(value) else None for value in column]
    return str(one)


def _hint(name: str, there: set[str]) -> str:
    return did_you_mean(name, there) or "; name a table beside the data, such as captions.jsonl:base"

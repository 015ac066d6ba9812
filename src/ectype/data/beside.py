"""Conditions that lie beside the data: a table with the items' names, or a folder with a picture for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ectype.data.asking import Asked, refuse_twice
from ectype.data.found import Found
from ectype.data.joining import joined, key_of, rows_of, unused
from ectype.data.manifest import pictured
from ectype.data.sources import open_source
from ectype.data.tables import is_table, read_table
from ectype.errors import DataError, UsageError, did_you_mean


def homes(source: Any) -> list[Path]:
    """Where what lies beside a source may be: in it, and in the folder that holds it."""
    if not isinstance(source, str | Path) or not Path(source).expanduser().exists():
        return []
    path = Path(source).expanduser().resolve()
    return [path, path.parent] if path.is_dir() else [path.parent]


def attach(found: Found, asked: Sequence[Asked], beside: Sequence[Path], where: str) -> list[Asked]:
    """Add what is asked for to the columns of the items, each under its name.

    Arguments:
        found: the items; receives columns, and notes of rows that belong to no item.
        asked: what for.
        beside: folders in which relative paths are looked for after the working directory.
        where: the source's name, for messages.

    Returns them with whole paths and with names for all. Raises UsageError for a column that a table does
    not have, DataError for a file that is not there and a table none of whose rows belongs to an item.
    """
    done = []
    for one in asked:
        if one.path is None and one.column not in found.columns:
            place = located(one.column, beside)
            if place is None or not (place.is_dir() or place.suffix == ".zip"):
                done.append(one)  # `conditions` says what there is instead
                continue
            one = replace(one, path=str(place), column="")
        if one.path is None:
            if one.name != one.column:
                found.columns[one.name] = found.columns[one.column]
            done.append(one)
            continue
        place = located(one.path, beside)
        if place is None:
            raise DataError(f"{one.path}: there is no such file or folder to take conditions from")
        one = replace(one, path=str(place))
        done.append(_rows(found, one) if is_table(place) else _pictures(found, one, where))
    refuse_twice(done)
    return done


def located(path: str, beside: Sequence[Path]) -> Path | None:
    """Where a file or folder is: as named, or beside the data, also by its name alone; None: nowhere."""
    named = Path(path).expanduser()
    tries = [named, *(home / named for home in beside), *(home / named.name for home in beside)]
    return next((place.resolve() for place in tries if named.name and place.exists()), None)


def _rows(found: Found, one: Asked) -> Asked:
    """A column of a table, joined by the items' names."""
    table = read_table(Path(str(one.path)))
    key, rows = key_of(found, table)
    others = [name for name in table.columns if name != key]
    if not one.column and len(others) != 1:
        raise UsageError(
            f"{table.path}: say which column, such as {table.path.name}:{(others or ['name'])[-1]}"
        )
    column = one.column or others[0]
    if column not in table.columns:
        raise UsageError(f"{table.path}: has no column '{column}'{did_you_mean(column, others)}")
    one = replace(one, column=column, name=one.name or column)
    found.columns[one.name] = joined(pictured(table.path, table.columns[column]), rows)
    found.notes += [note for note in unused(table, key, rows) if note not in found.notes]
    return one


def _pictures(found: Found, one: Asked, where: str) -> Asked:
    """A folder of pictures, each of which belongs to the item of the same name."""
    other = open_source(str(one.path))
    if other.pictures is None:
        raise DataError(
            f"{one.path}: holds no pictures; a folder or zip of pictures, or a table, can be given"
        )
    if not found.paths:
        raise DataError(f"{where}: the items have no names by which pictures of {one.path} could be theirs")
    rows = rows_of(found, other.paths or [])
    used = sum(row is not None for row in rows)
    if not used:
        raise DataError(f"{one.path}: no picture is called as an item is, such as '{found.paths[0]}'")
    if used < len(other):
        found.notes.append(f"{len(other) - used} of {len(other)} pictures of {one.name} belong to no item")
    found.columns[one.name] = joined(other.pictures, rows)
    return one

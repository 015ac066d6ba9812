"""Rows to items by name: a path, a file's name, or its stem.

Two paths are the same where one ends in the other, part by part and without the endings of pictures and
texts: `images/a.png`, `a.jpg` and `a` all name the item `a.png`, and `b/a` does not name `c/a.png`. What
would name two items names none.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from ectype.data.folder import is_picture
from ectype.data.found import Column, Found
from ectype.data.tables import Table, typed
from ectype.errors import DataError

KEYS = ("file", "file_name", "filename", "path", "image", "picture", "name", "id", "stem")
"""Columns that may hold the items' names; the one that names most items does."""


def parts_of(name: object) -> tuple[str, ...]:
    """A path's parts, the last one without the ending of a picture or a text."""
    path = PurePosixPath(str(name).replace("\\", "/"))
    stem = path.stem if is_picture(path.name) or path.suffix.lower() == ".txt" else path.name
    return tuple(part for part in (*path.parent.parts, stem) if part not in (".", "/"))


def rows_of(found: Found, names: Sequence[object]) -> list[int | None]:
    """For each item the number of the first row that names it, or None."""
    items = found.paths or found.names or []
    exact = {path: i for i, path in enumerate(items)}
    whole: dict[tuple[str, ...], int] = {}
    ends: dict[tuple[str, ...], int] = {}
    for i, item in enumerate(items):
        parts = parts_of(item)
        whole[parts] = -1 if parts in whole else i
        for start in range(len(parts)):
            ends[parts[start:]] = -1 if parts[start:] in ends else i
    rows: list[int | None] = [None] * len(items)
    for row, name in enumerate(names):
        if name is None:
            continue
        parts = parts_of(name)
        tries = [exact.get(str(name)), whole.get(parts), ends.get(parts)]
        tries += [whole.get(parts[start:]) for start in range(1, len(parts))]
        at = next((i for i in tries if i is not None), -1)
        if at >= 0 and rows[at] is None:
            rows[at] = row
    return rows


def key_of(found: Found, table: Table) -> tuple[str | None, list[int | None]]:
    """The column of a table that names the items (None: rows stand in the items' order), and each item's row.

    Raises DataError where no row belongs to any item.
    """
    if not (found.paths or found.names):
        if len(table) != len(found):
            raise DataError(
                f"{table.path}: has {len(table)} rows, and the items are {len(found)} without names; "
                "give one row per item, in their order"
            )
        return None, list(range(len(found)))
    tried = [(name, rows_of(found, table.columns[name])) for name in KEYS if name in table.columns]
    counts = [sum(row is not None for row in rows) for _, rows in tried]
    if not any(counts):
        named = (found.paths or found.names or [""])[0]
        raise DataError(
            f"{table.path}: no row belongs to any item; a column called {', '.join(KEYS[:2])}, name or id "
            f"has to name them, such as '{named}' (it has: {', '.join(list(table.columns)[:20])})"
        )
    return tried[counts.index(max(counts))]


def joined(values: Sequence[Any], rows: Sequence[int | None]) -> Column:
    """A column of a table as one of the items, which is missing where an item has no row."""
    return typed([None if row is None else values[row] for row in rows])


def unused(table: Table, key: str | None, rows: Sequence[int | None]) -> list[str]:
    """Sentences where rows of a table belong to no item, or to one that has a row already.

    Arguments:
        key: the column that names the items.
        rows: of each item, as `key_of` has them.
    """
    used = {row for row in rows if row is not None}
    if key is None or len(used) == len(table):
        return []
    names = table.columns[key]
    taken = {parts_of(names[row]) for row in used}
    spare = [parts_of(name) in taken for row, name in enumerate(names) if row not in used]
    again, alone = sum(spare), len(spare) - sum(spare)
    said = f"of {len(table)} rows of {table.path.name}"
    notes = [f"{again} {said} name an item once more: its first row is taken"] if again else []
    return notes + ([f"{alone} {said} belong to no item"] if alone else [])


def within(root: Path, name: object, where: str) -> Path:
    """The file a table names: relative names lie under the table's folder, whole paths are taken as they are.

    A table may come from anybody. It can make nothing but pictures be read, and a relative name never
    leads out of its folder; DataError where one would.
    """
    path = Path(str(name).replace("\\", "/"))
    if ".." in path.parts and not path.is_absolute():
        raise DataError(f"{where}: names '{name}', which may lie outside of its folder; give the whole path")
    return root / path

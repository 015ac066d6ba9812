"""A table that names pictures: as the source itself, or as `metadata.csv` in a folder or zip of pictures.

One column names the files; every other one is a column of the items, also one that names further
pictures. A column called split, with train, valid or test in it, is the official split. In a folder, the
pictures' own sub-folders stay what they are, and the table adds its columns (the convention of Hugging
Face's ImageFolder: `metadata.csv` or `metadata.jsonl` with a column `file_name`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image as Pillow

from ectype.data.folder import METADATA, hidden, is_picture, names_of, stamp_of
from ectype.data.found import SPLIT_NAMES, Found, Picture
from ectype.data.joining import rows_of, unused, within
from ectype.data.tables import Table, read_table, typed
from ectype.errors import DataError

FILES = ("file", "file_name", "filename", "image", "picture", "path", "photo", "image_path", "file_path")
Opener = Callable[[Path, object], Picture]


def from_manifest(table: Table) -> Found:
    """The pictures a table names, with its other columns; raises DataError where it names none."""
    path, key = table.path, named(table)
    if key is None:
        raise DataError(
            f"{path}: no column names pictures, such as file or image (it has: "
            f"{', '.join(list(table.columns)[:20])}); for texts name one of them with column=; numbers over "
            "time are read with --kind series, rows of numbers from .npy or .npz"
        )
    names = table.columns[key]
    at = [i for i, name in enumerate(names) if name is not None]
    relative = [PurePosixPath(str(names[i]).replace("\\", "/")) for i in at]
    found = Found(pictures=[picture(path, names[i]) for i in at], names=names_of(relative))
    found.paths = [str(name) for name in relative]
    if len(at) < len(table):
        found.notes.append(f"rows without a file were left out: {len(table) - len(at)} of {len(table)}")
    outside = sum(name.is_absolute() for name in relative)
    if outside:
        found.notes.append(f"{path.name} names {outside} files by their whole path")
    for name, values in table.columns.items():
        if name != key:
            found.columns[name] = typed(pictured(path, [values[i] for i in at]))
    take_split(found)
    return found


def picture(table: Path, name: object) -> Picture:
    """The picture a table names; opening it says that there is none where there is none."""
    full = within(table.parent, name, str(table))
    return Picture(str(full), partial(_open, full), stamp_of(full))


def pictured(table: Path, values: list[Any], opened: Opener = picture) -> list[Any]:
    """A column of a table with pictures in place of their names, where all of its values name some.

    Arguments:
        opened: the picture that a table (first) calls so (second).
    """
    known = [value for value in values if value is not None]
    if known and all(isinstance(value, str) and is_picture(value) for value in known):
        return [None if value is None else opened(table, value) for value in values]
    return values


def metadata(root: Path) -> list[Table]:
    """The tables called metadata in a folder and below it."""
    paths = (path for name in METADATA for path in root.rglob(name))
    return [read_table(p) for p in sorted(paths) if not hidden(PurePosixPath(p.relative_to(root).as_posix()))]


def add_metadata(found: Found, root: Path, tables: Sequence[Table], opened: Opener = picture) -> None:
    """Add the columns of tables that lie among the pictures of a folder or archive.

    Arguments:
        found: the pictures; receives columns and notes.
        root: of the folder or archive.
        tables: each names pictures from where it lies.
        opened: as for `pictured`.
    """
    columns: dict[str, list[Any]] = {}
    for table in tables:
        path, key = table.path, named(table)
        names = [] if key is None else table.columns[key]
        inside = PurePosixPath(path.parent.relative_to(root).as_posix())
        rows = rows_of(found, [None if name is None else str(inside / str(name)) for name in names])
        if all(row is None for row in rows):
            found.notes.append(f"{path.name} has no row for any picture and was left out")
            continue
        found.notes += unused(table, key, rows)
        for name, values in table.columns.items():
            if name != key:
                values = pictured(path, values, opened)
                column = columns.setdefault(name, [None] * len(found))
                # a table may stand in each split's folder: each fills in its own items
                column[:] = [
                    old if row is None else values[row] for old, row in zip(column, rows, strict=True)
                ]
    found.columns |= {name: typed(column) for name, column in columns.items()}
    take_split(found)


def named(table: Table) -> str | None:
    """The column whose values name pictures: one with a usual name first."""
    usual = [name for name in FILES if name in table.columns]
    for name in (*usual, *(name for name in table.columns if name not in usual)):
        known = [value for value in table.columns[name] if value is not None]
        if known and all(isinstance(value, str) and is_picture(value) for value in known):
            return name
    return None


def take_split(found: Found) -> None:
    """Take a column called split, with train, valid or test in it, as the official splits."""
    column = found.columns.get("split")
    if found.split is None and isinstance(column, list) and {*column} <= {*SPLIT_NAMES, None}:
        found.split = [SPLIT_NAMES[str(value)] if value is not None else "" for value in column]
        del found.columns["split"]


def _open(path: Path) -> Pillow.Image:
    if not path.is_file():
        raise DataError("there is no such file")
    return Pillow.open(path)

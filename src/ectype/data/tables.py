"""Tables of text: CSV, TSV, JSON Lines and JSON as columns. Nothing in them is executed or followed.

    csv, tsv   a header, then one row per line; the header's commas, semicolons or tabs part the cells
    jsonl      one object per line
    json       a list of objects

An empty cell, null and NaN are missing.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ectype.data.encoding import decoded
from ectype.data.found import Column
from ectype.errors import DataError

ENDINGS = (".csv", ".tsv", ".jsonl", ".json")
LARGEST = 2**30
"""Bytes of a table; more is read from no text file in reasonable time."""
LONGEST = 131_072
"""Characters of one field, which is what the csv module allows by itself."""
_SURROGATE = re.compile("[\ud800-\udfff]")
_WHOLE = re.compile(r"-?(?:0|[1-9]\d{0,17})")
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?|nan", re.IGNORECASE)


@dataclass(frozen=True)
class Table:
    """Rows of a file.

    Arguments:
        path: of the file.
        columns: by name, one value per row: str, int, float, list or dict, None where it is missing.
        lines: where each row stands, for messages: its line in the file, in json its place in the list.
    """

    path: Path
    columns: dict[str, list[Any]]
    lines: Sequence[int]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), []))


def is_table(name: str | Path) -> bool:
    """Whether a file's name says that it is a table."""
    return str(name).lower().endswith(ENDINGS)


def read_table(path: Path) -> Table:
    """All rows of a file; raises DataError, naming the line, for what is no such table."""
    try:
        refuse_large(path, path.stat().st_size)
        return table_of(path, path.read_bytes())
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from None


def refuse_large(path: Path, size: int) -> None:
    """Raise DataError for a table of more bytes than are read."""
    if size > LARGEST:
        raise DataError(f"{path}: more than {LARGEST >> 30} GiB; split the table")


def table_of(path: Path, raw: bytes) -> Table:
    """All rows of a file's bytes; `path` names it and says of which sort it is."""
    text = decoded(raw, path)
    ending = path.suffix.lower()
    read = _cells if ending in (".csv", ".tsv") else _objects
    columns, lines = read(path, text)
    if not columns or not len(next(iter(columns.values()))):
        raise DataError(f"{path}: holds no rows")
    return Table(path, columns, lines)


def typed(values: Sequence[Any]) -> Column:
    """A column of one sort: whole numbers, texts, lists or mappings with None, or floats with NaN."""
    known = [value for value in values if value is not None]
    if known and all(isinstance(value, int | float) for value in known):
        if all(isinstance(value, int) and not isinstance(value, bool) for value in known):
            return list(values)
        if not any(isinstance(value, bool) for value in known):
            return np.array([np.nan if value is None else value for value in values], np.float32)
    if not all(isinstance(value, str | int | float) for value in known):
        return list(values)  # lists, mappings, pictures
    return [None if value is None else _plain(value) for value in values]


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _cells(path: Path, text: str) -> tuple[dict[str, list[Any]], list[int]]:
    # not splitlines: a cell may hold characters that Unicode counts as ends of a line
    file = io.StringIO(text)
    header = file.readline()
    file.seek(0)
    mark = "\t" if path.suffix.lower() == ".tsv" else max(",;\t", key=header.count)
    reader = csv.reader(file, delimiter=mark)
    try:
        names = [name.strip() for name in next(reader, [])]
        if len(set(names)) != len(names) or "" in names:
            raise DataError(f"{path}: the first line names no columns, or one of them twice: {names[:20]}")
        rows, lines = [], []
        for row in reader:
            if len(row) > len(names):
                count = f"{len(row)} cells where the header has {len(names)}"
                raise DataError(f"{path}: line {reader.line_num} has {count}; put quotes around the text")
            if any(row):
                rows.append([cell.strip() for cell in row] + [""] * (len(names) - len(row)))
                lines.append(reader.line_num)
    except csv.Error as error:
        raise DataError(f"{path}: line {reader.line_num} is no row ({error})") from None
    return {name: _numbered([row[i] for row in rows]) for i, name in enumerate(names)}, lines


def _numbered(cells: list[str]) -> list[Any]:
    """Cells as whole numbers, or as floats, where all of them are; else as they stand."""
    known = [cell for cell in cells if cell]
    if known and all(_WHOLE.fullmatch(cell) for cell in known):
        return [int(cell) if cell else None for cell in cells]
    # a zero in front belongs to a name, such as 007
    if known and all(_NUMBER.fullmatch(cell) and not re.match(r"-?0\d", cell) for cell in known):
        return [float(cell) if cell and cell.lower() != "nan" else None for cell in cells]
    return [cell or None for cell in cells]


def _objects(path: Path, text: str) -> tuple[dict[str, list[Any]], list[int]]:
    if path.suffix.lower() == ".jsonl":
        pairs = list(_lines(path, text))
        lines, rows = [line for line, _ in pairs], [row for _, row in pairs]
    else:
        rows = _loaded(path, text, "the file")
        lines = list(range(1, len(rows) + 1)) if isinstance(rows, list) else []
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DataError(f'{path}: a list of objects is a table, such as [{{"file": "a.png"}}]')
    names = list(dict.fromkeys(name for row in rows for name in row))
    places = list(zip(lines, rows, strict=True))
    return {name: [_checked(path, i, row.get(name)) for i, row in places] for name in names}, lines


def _lines(path: Path, text: str) -> Iterator[tuple[int, Any]]:
    # not splitlines: a text in JSON may hold characters that Unicode counts as ends of a line
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, _loaded(path, line, f"line {number}")


def _loaded(path: Path, text: str, what: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: {what} is no JSON ({error})") from None


def _checked(path: Path, row: int, value: Any) -> Any:
    """A value as it is; None for NaN and an empty text. Raises DataError for one too long, or broken."""
    if isinstance(value, str):
        if len(value) > LONGEST:
            raise DataError(f"{path}: row {row} has a text of {len(value):,} characters; shorten it")
        if not value.isascii() and _SURROGATE.search(value):
            raise DataError(f"{path}: row {row} has half of a surrogate pair, which is no text: correct it")
        return value.strip() or None
    return None if isinstance(value, float) and value != value else value

"""Conditions for many items at once: a list of mappings, or a table with one row per item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from ectype.errors import DataError, MissingExtra, UsageError, did_you_mean
from ectype.jobs.outputs import tell

if TYPE_CHECKING:
    from ectype.kinds import Kind
    from ectype.runs import Run

Row = tuple[str, Mapping[str, Any]]
"""What the files of an item are called, and its conditions."""


def rows_of(
    run: Run, given: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None, table: Path | None
) -> list[Row]:
    """The conditions of each item: those of a list, or of a table's rows with what all of them have.

    Raises UsageError where a table and `given` say the same condition, and as `rows_from`.
    """
    if table is None:
        strange = next((row for row in given or () if not isinstance(row, Mapping)), None)
        if strange is not None:
            raise UsageError(f"{strange!r} names no conditions: give a mapping, such as {{'label': '7'}}")
        return [(f"{i:04d}", row) for i, row in enumerate(given or ())]  # type: ignore[misc]
    if given is not None and not isinstance(given, Mapping):
        raise UsageError("either a list of conditions or a table of them: use one of given and given_from")
    shared = dict(given or {})
    rows = rows_from(run, Path(table))
    both = sorted({name for _, row in rows for name in row} & shared.keys())
    if both:
        raise UsageError(f"{table} has a column {both[0]}, and it is given for all: use one of them")
    return [(name, {**shared, **row}) for name, row in rows]


def _refuse(name: str, kind: Kind, value: Any, where: str) -> None:
    """Raise the error of a value its kind does not have, and where it stands."""
    from ectype.jobs.inputs import packed

    try:
        packed(name, kind, value)
    except MissingExtra:
        raise
    except (DataError, UsageError) as error:
        raise type(error)(f"{where}: {error}") from None


def rows_from(run: Run, path: Path) -> list[Row]:
    """A table's rows as conditions of a model, with the names of its column file, name or id.

    An empty cell leaves a condition open. Pictures are named as in a manifest, below the table's folder.
    Raises DataError for what is no table, UsageError where no column is a condition and for a value that a
    condition does not have.
    """
    from ectype.data.folder import names_of
    from ectype.data.joining import KEYS, within
    from ectype.data.tables import is_table, read_table
    from ectype.jobs.inputs import pictured
    from ectype.kinds.embedded import Embedded
    from ectype.kinds.text import Text

    if not is_table(path):
        raise DataError(f"{path}: conditions are read from .csv, .tsv, .jsonl or .json")
    table = read_table(path)
    known = [name for name in table.columns if name in run.conditions]
    key = next((name for name in KEYS if name in table.columns and name not in known), None)
    others = [name for name in table.columns if name not in known and name != key]
    if not known:
        hint = did_you_mean(others[0], run.conditions) if others else f"; known: {', '.join(run.conditions)}"
        raise UsageError(f"{path}: no column is a condition of this model{hint if run.conditions else ''}")
    if others:
        tell(f"note: no conditions of this model, so left out: {', '.join(others)}")
    rows: list[dict[str, Any]] = [{} for _ in range(len(table))]
    for name in known:
        kind = run.conditions[name]
        read = kind.image if isinstance(kind, Embedded) else pictured(kind)
        for number, (row, value) in enumerate(zip(rows, table.columns[name], strict=True), 1):
            if value is None:
                continue
            said = str(value) if isinstance(kind, Text | Embedded) else value
            row[name] = said if read is None else within(path.parent, value, str(path))
            if read is None and not isinstance(kind, Embedded):
                _refuse(name, kind, said, f"{path}, row {number} of its rows of conditions")
    keys = table.columns[key] if key else [None] * len(table)
    named = [f"{i:04d}" if value is None else str(value) for i, value in enumerate(keys)]
    return list(zip(names_of([PurePosixPath(name) for name in named]), rows, strict=True))

"""Time series: tables, folders of tables, and arrays → windows or whole series.

    a table with an id column      one series per id, each in the order of its time column
    a table without one            one long series, cut into windows of `window` steps, `stride` apart
    a folder of tables             one series per file; a sub-folder is its label
    an array (N, T, C)             N series of T steps; (N, T): of one feature, with `window` one long (T, C)

Windows overlap, so that split at random most steps to be measured on would have been trained on. They are
split by time: the series is cut into blocks, blocks go to the splits at random, and a window that reaches
into a block of another split is left out. Of several series each goes to one split, equal ones to the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ectype.data.found import SPLITS, Found
from ectype.data.splits import digests
from ectype.data.splits import split as split_of
from ectype.data.tables import Table, is_table, read_table
from ectype.data.timing import moments_of, number, ordered
from ectype.errors import DataError, UsageError, did_you_mean
from ectype.noise import mix

Array = np.ndarray[Any, Any]
WINDOW = 24
"""Steps of a window where nobody says how many."""
BLOCKS = 20
LONGEST = 65_536
"""Steps of a whole series; a longer one is cut with `window`."""
_TIMES = ("time", "date", "datetime", "timestamp", "when", "step", "t")
_IDS = ("id", "series", "series_id")


def from_series(
    source: Any, *, window: int | None, stride: int, by: str | None, time: str | None, seed: int
) -> Found:
    """The series of a source, as `values` (N, T, C) in which NaN is missing.

    Arguments:
        source: a table, a folder of them, or what `open_source` opens as an array; from Python also a list of
            arrays of different lengths, alone or with labels.
        window: steps of each item; None: whole series.
        stride: steps from one window to the next.
        by: the column that says which series a row is of; None: one called id or series, if there is any.
        time: the column rows are put in order by; None: one called time, date or the like, if there is any.
        seed: of the splits of windows.

    Raises DataError for what holds no series, UsageError where an option does not fit.
    """
    if (window is not None and window < 2) or stride < 1:
        raise UsageError(f"a window has 2 steps or more and a stride 1, not {window} and {stride}")
    where = str(source) if isinstance(source, str | Path) else "the series"
    return _cut(*whole(source, window=window, by=by, time=time), where, window, stride, seed)


Whole = tuple[Found, list[Array]]
"""Series before they are cut, each (T_i, C), and what else is known of them."""


def whole(source: Any, *, window: int | None = None, by: str | None = None, time: str | None = None) -> Whole:
    """The series of a source before they are cut; arguments and errors as of `from_series`.

    A table (T, C) that is an array is one long series where a window is said, and T of one feature else.
    """
    where = str(source) if isinstance(source, str | Path) else "the series"
    path = Path(source).expanduser() if isinstance(source, str | Path) else None
    if path is not None and path.is_file() and is_table(path):
        return _of_table(read_table(path), where, by=by, time=time)
    if path is not None and path.is_dir() and any(is_table(p) for p in path.rglob("*")):
        return _of_folder(path, time)
    if by is not None or time is not None:
        raise UsageError(f"{where}: by and time name columns of tables, and this is none")
    return _of_arrays(source, where, window)


def _of_table(table: Table, where: str, *, by: str | None, time: str | None) -> Whole:
    by = _column(table, by, _IDS, where)
    time = _column(table, time, _TIMES, where)
    names, texts = _features(table, {by, time}, where)
    values = np.stack([_numbers(table.columns[name]) for name in names], 1)
    keys = [""] * len(table) if by is None else table.columns[by]
    groups: dict[str, list[int]] = {}
    for i, key in enumerate(keys):
        if key is not None:
            groups.setdefault(str(key), []).append(i)
    lost = len(table) - sum(map(len, groups.values()))
    if not groups:
        raise DataError(f"{where}: no row says in '{by}' which series it is of")
    if time is not None:
        moments = moments_of(table, time, where)
        groups = {key: ordered(table, at, moments, key, where, by) for key, at in groups.items()}
    rows = [values[at] for at in groups.values()]
    found = Found(features=names, varies=_uneven(rows))
    _refuse_empty(names, rows, where)
    if lost:
        found.notes.append(f"{lost} rows without '{by}' were left out")
    if by is None:
        if texts:
            found.notes.append(f"columns without numbers were left out: {', '.join(texts)}")
        return found, rows
    found.names = list(groups)
    for name in texts:
        column = table.columns[name]
        values_of = [[column[i] for i in at if column[i] is not None] for at in groups.values()]
        if all(len(set(map(str, some))) <= 1 for some in values_of):
            found.columns[name] = [str(some[0]) if some else None for some in values_of]
        else:
            found.notes.append(f"'{name}' has no numbers and changes within a series: left out")
    return found, rows


def _column(table: Table, asked: str | None, usual: Sequence[str], where: str) -> str | None:
    """The column that was asked for, or the first of the usual ones there is."""
    if asked is None:
        return next((name for name in table.columns if name.lower() in usual), None)
    if asked not in table.columns:
        raise DataError(f"{where}: there is no column '{asked}'{did_you_mean(asked, table.columns)}")
    return asked


def _features(table: Table, keys: set[str | None], where: str) -> tuple[list[str], list[str]]:
    """Names of the columns of numbers and of those without any; a few cells that are none are an error.

    An empty column is one of numbers that are all missing.
    """
    names, texts = [], []
    for name, column in table.columns.items():
        if name in keys:
            continue
        known = [i for i, value in enumerate(column) if value is not None]
        wrong = [i for i in known if np.isnan(number(column[i]))]
        if known and len(wrong) == len(known):
            texts.append(name)
        elif wrong:
            cell = f"{column[wrong[0]]!r} in row {table.lines[wrong[0]]}"
            raise DataError(
                f"{where}: the column '{name}' has {len(wrong)} cells that are no numbers ({cell}); "
                "leave empty what is missing"
            )
        else:
            names.append(name)
    if not names:
        raise DataError(f"{where}: no column holds numbers")
    return names, texts


def _refuse_empty(names: Sequence[str], rows: Sequence[Array], where: str) -> None:
    """Raise DataError where a column has no number in any of the series (T, C)."""
    for i, name in enumerate(names):
        if all(np.isnan(row[:, i]).all() for row in rows):
            raise DataError(f"{where}: the column '{name}' is empty throughout; take it out")


def _numbers(column: Sequence[Any]) -> Array:
    return np.array([np.nan if value is None else number(value) for value in column], np.float32)


def _of_folder(path: Path, time: str | None) -> Whole:
    files = sorted(p for p in path.rglob("*") if p.is_file() and is_table(p))
    rows, names, columns = [], [], None
    for file in files:
        table = read_table(file)
        when = _column(table, time, _TIMES, str(file))
        own, _ = _features(table, {when}, str(file))
        if columns is not None and own != columns:
            raise DataError(
                f"{file}: has the columns {', '.join(own)}, where others have {', '.join(columns)}"
            )
        columns = own
        values = np.stack([_numbers(table.columns[name]) for name in own], 1)
        if when is not None:
            moments = moments_of(table, when, str(file))
            values = values[ordered(table, list(range(len(values))), moments, file.stem, str(file), "file")]
        rows.append(values)
        names.append(str(file.relative_to(path).with_suffix("")))
    _refuse_empty(columns or [], rows, str(path))
    found = Found(features=columns, varies=_uneven(rows))
    found.names = [Path(name).name for name in names]
    if any("/" in name or "\\" in name for name in names):
        found.columns["label"] = [Path(name).parent.name or None for name in names]
    return found, rows


def _of_arrays(source: Any, where: str, window: int | None) -> Whole:
    from ectype.data.memory import columns_of
    from ectype.data.sources import open_source

    pair = isinstance(source, tuple) and len(source) == 2
    items = source[0] if pair else source
    if isinstance(items, list) and len(items) and not np.isscalar(items[0]):
        rows = [np.asarray(one, np.float32) for one in items]
        rows = [row[:, None] if row.ndim == 1 else row for row in rows]
        if any(row.ndim != 2 or row.shape[1] != rows[0].shape[1] or not len(row) for row in rows):
            raise DataError(f"{where}: a list of series needs arrays (steps, features) of the same features")
        columns = columns_of(source[1], len(rows)) if pair else {}
        return Found(varies=_uneven(rows), columns=columns), rows
    opened = open_source(source)
    values = opened.values
    if values is None or values.ndim not in (2, 3) or values.dtype.kind not in "buif" or not len(values):
        form = "pictures" if values is None else f"an array of form {values.shape}"
        raise DataError(f"{where}: {form}, where series are (N, T, C), (N, T), or (T, C) with window=")
    if values.ndim == 2:
        rows = [np.asarray(values)] if window else list(np.asarray(values)[:, :, None])
    else:
        rows = list(np.asarray(values))
    opened.values = None
    return opened, [np.asarray(row, np.float32) for row in rows]


def _uneven(rows: list[Array]) -> bool:
    return len({len(row) for row in rows}) > 1


def _cut(found: Found, rows: list[Array], where: str, window: int | None, stride: int, seed: int) -> Found:
    """Whole series padded with NaN to the longest, or their windows."""
    if window is None and len(rows) == 1:
        window = min(WINDOW, max(2, len(rows[0]) // 3))
        found.notes.append(f"one long series, cut into windows of {window} steps; window= says how many")
    if window is None:
        return padded(found, rows, where)
    _refuse_infinite(rows, where)
    return _windows(found, rows, where, window, stride, seed)


def padded(found: Found, rows: list[Array], where: str) -> Found:
    """Whole series, each (T_i, C), padded with NaN to the longest; errors as of `from_series`."""
    _refuse_infinite(rows, where)
    longest = max(map(len, rows))
    if longest > LONGEST:
        raise DataError(f"{where}: a series of {longest:,} steps is too long; cut it with window=")
    values = np.full((len(rows), longest, rows[0].shape[1]), np.nan, np.float32)
    for i, row in enumerate(rows):
        values[i, : len(row)] = row
    found.values = values
    found.steps = None if found.varies is None else list(map(len, rows))  # an array is padded already
    return found


def _refuse_infinite(rows: list[Array], where: str) -> None:
    for i, row in enumerate(rows):
        if np.isinf(row).any():
            raise DataError(f"{where}: infinite numbers in series {i}; make them missing or finite")


def _windows(found: Found, rows: list[Array], where: str, window: int, stride: int, seed: int) -> Found:
    pieces: list[Array] = []
    split: list[str] = []
    of: list[int] = []
    left_out = 0
    for i, row in enumerate(rows):
        starts = np.arange(0, len(row) - window + 1, stride)
        # one series: its blocks; several: each goes to one split as a whole, below
        own = _block_splits(starts, window, len(row), seed) if len(rows) == 1 else np.zeros(len(starts))
        starts, own = starts[own >= 0], own[own >= 0]
        left_out += len(range(0, len(row) - window + 1, stride)) - len(starts)
        pieces += [row[s : s + window] for s in starts]
        split += [SPLITS[int(o)] for o in own]
        of += [i] * len(starts)
    if not pieces:
        raise DataError(f"{where}: no series has {window} steps; choose a smaller window")
    if left_out:
        found.notes.append(f"{left_out} windows that reach from one split into another were left out")
    cut = Found(
        values=np.stack(pieces), notes=found.notes, split=split, features=found.features, varies=False
    )
    if len(rows) > 1:
        there = sorted(set(of))
        parts = split_of(digests((rows[i][None] for i in there), seed), None, cut.notes)
        name_of = {there[i]: name for name in SPLITS for i in parts[name].tolist()}
        cut.split = [name_of[i] for i in of]
    cut.columns = {name: [column[i] for i in of] for name, column in found.columns.items()}
    if found.names is not None:
        cut.names = [f"{found.names[i]}-{n}" for n, i in enumerate(of)]
    return cut


def _block_splits(starts: Array, window: int, steps: int, seed: int) -> Array:
    """(N,) the split of each window by number, -1 where it lies in blocks of two splits."""
    blocks = min(BLOCKS, steps // (2 * window))
    if blocks < 3:
        return np.zeros(len(starts), np.int64)
    held = max(1, blocks // 10)
    codes = np.array([1] * held + [2] * held + [0] * (blocks - 2 * held))
    codes = np.random.default_rng(mix(seed, 30)).permutation(codes)
    first, last = (starts * blocks // steps, (starts + window - 1) * blocks // steps)
    return np.where(codes[first] == codes[last], codes[first], -1)

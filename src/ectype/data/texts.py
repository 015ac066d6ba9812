"""Texts: the lines of a file, the documents of a folder, a column of a table, or pieces of such."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ectype.data.encoding import decoded
from ectype.data.folder import METADATA, described, hidden
from ectype.data.found import SPLITS, Found
from ectype.data.manifest import pictured, take_split
from ectype.data.splits import HELD_BACK, digests, splits_of
from ectype.data.store import Resident, chunks
from ectype.data.tables import Table, refuse_large, typed
from ectype.errors import DataError, did_you_mean
from ectype.kinds.text import LONGEST, Text
from ectype.kinds.units import same, unit_of

Array = np.ndarray[Any, Any]
ENDING = ".txt"
COLUMNS = ("text", "body", "content", "document", "sentence", "line")
"""Columns that hold the items of a table of texts; the first of these that there is."""


def from_text(path: Path, whole: bool = False) -> Found:
    """The lines of a .txt that are not empty, or with `whole` all of it as one text.

    Raises DataError where it is no text in UTF-8, or empty.
    """
    text = _read(path)
    if not text.strip():
        raise DataError(f"{path}: holds no text")
    # not splitlines: a line may hold characters that Unicode counts as ends of one
    return Found(texts=[text] if whole else [line for line in text.split("\n") if line.strip()])


def from_documents(root: Path) -> Found:
    """The .txt files under a folder, each of them one text; sub-folders are labels and splits as of pictures.

    Raises DataError where there are none, and where any is no text in UTF-8.
    """
    there = [Path(folder) / file for folder, _, files in os.walk(root) for file in files]
    paths = sorted(PurePosixPath(path.relative_to(root).as_posix()) for path in there)
    paths = [path for path in paths if not hidden(path) and path.name not in METADATA]
    named = [path for path in paths if path.suffix.lower() == ENDING]
    texts, bad = [], []
    for path in named:
        try:
            texts.append(_read(root / path).strip("\n"))
        except DataError as error:
            bad.append(str(error))
    if bad:
        raise DataError(f"{len(bad):,} of {len(named):,} documents cannot be read, first: {bad[0]}")
    at = [i for i, text in enumerate(texts) if text.strip()]
    if not at:
        raise DataError(f"{root}: the folder holds no {ENDING} with any text")
    found = described([named[i] for i in at])
    found.texts = [texts[i] for i in at]
    _note(found, len(paths) - len(named), f"files were left out, as they are no {ENDING}")
    _note(found, len(named) - len(at), "documents are empty and were left out")
    return found


def from_table(table: Table, column: str | None) -> Found:
    """The texts in a column of a table, with its other columns; raises DataError where there are none.

    Arguments:
        table: of any sort.
        column: which; None: one called text, body or the like, else the only one of texts.
    """
    name = column or column_of(table) or _only(table)
    if name not in table.columns:
        raise DataError(f"{table.path}: has no column '{name}'{did_you_mean(name, table.columns)}")
    values = typed(table.columns[name])
    at = [i for i, value in enumerate(values) if value is not None]
    if not at or not all(isinstance(values[i], str | int) for i in at):
        raise DataError(f"{table.path}: the column '{name}' holds {'no' if at else 'nothing, so no'} texts")
    found = Found(texts=[str(values[i]) for i in at])
    _note(found, len(table) - len(at), f"rows without a {name} were left out")
    for other, cells in table.columns.items():
        if other != name:
            found.columns[other] = typed(pictured(table.path, [cells[i] for i in at]))
    take_split(found)
    return found


def column_of(table: Table) -> str | None:
    """The column of a table that is called as texts usually are; None where none is."""
    return next((name for name in COLUMNS if name in table.columns), None)


def texts(
    found: Found, where: str, *, said: str, strict: bool, seed: int
) -> tuple[Text, Resident, dict[str, Tensor], Array]:
    """Texts, or pieces of so many symbols, as their kind, store, splits and hashes.

    Splits go by what the texts say, before any is left out or cut: equal ones never stand on both sides, nor
    do pieces of one. A single text is cut where it stands: its last tenth is for tests and the tenth before
    it chooses.

    Arguments:
        said: a unit, as in `units`.
    """
    if found.texts is None:
        raise DataError(f"{where}: holds no text; leave kind and window out")
    if found.cut is not None:
        _check(found, where)
        if len(found.texts) == 1:
            return _stream(found, where, said=said, seed=seed)
    keys = [same(text, unit_of(said)[0]).encode("utf-8", "replace") for text in found.texts]
    hashes = digests((np.frombuffer(key, np.uint8)[None] for key in keys), seed)
    parts = splits_of(found, hashes, seed, where)
    train = [found.texts[i] for i in parts["train"].tolist()]
    kind = Text.fit(found.texts, said, found.cut, train)
    hint = f" ({LONGEST:,} at most make room); window= cuts long ones into pieces"
    store, of = packed(found, kind, where, strict=strict, hint=hint)
    rows = torch.from_numpy(of)
    splits = {name: torch.isin(rows, at).nonzero().flatten() for name, at in parts.items()}
    if not len(splits["train"]):
        raise DataError(f"{where}: all texts to train on were left out; {found.notes[-1]}")
    return kind, store, splits, digests(chunks(store), seed)


def _stream(
    found: Found, where: str, *, said: str, seed: int
) -> tuple[Text, Resident, dict[str, Tensor], Array]:
    """A single text in pieces, split where they stand."""
    (text,) = found.texts or [""]
    kind = Text.fit([text], said, found.cut, [text[: round(len(text) * (1 - 2 * HELD_BACK))]])
    store, _ = packed(found, kind, where, strict=True)
    n = len(store)
    held = max(1, round(n * HELD_BACK)) if n > 2 else 0
    parts = dict(zip(SPLITS, torch.arange(n).split([n - 2 * held, held, held]), strict=True))
    return kind, store, {**parts, "all": torch.arange(n)}, digests(chunks(store), seed)


def packed(found: Found, kind: Text, where: str, *, strict: bool, hint: str = "") -> tuple[Resident, Array]:
    """The texts by a kind, (N, T), and which text each is of (N,); what is found becomes that too.

    Those that do not fit are left out and counted, or refused with `strict`.

    Arguments:
        hint: what to do about it, behind the reason.
    """
    if found.texts is None:
        raise DataError(f"{where}: holds no text, and the model knows nothing else")
    rows: list[Array] = []
    of: list[int] = []
    left_out, why = 0, ""
    for i, text in enumerate(found.texts):
        try:
            own = (
                _pieces(kind, text, endless=len(found.texts) == 1)
                if found.cut is not None
                else [kind.pack(text)]
            )
        except DataError as error:
            left_out, why = left_out + 1, why or f"{error}{hint}"
            continue
        rows += own
        of += [i] * len(own)
    if not rows or (left_out and strict):
        raise DataError(f"{where}: {left_out:,} texts do not fit, first: {why}")
    _note(found, left_out, f"texts were left out, first: {why}")
    found.keep(of)
    if found.cut is not None and found.names is not None:
        found.names = [f"{name}-{n}" for n, name in enumerate(found.names)]
    return Resident(torch.from_numpy(np.stack(rows))), np.array(of)


def _pieces(kind: Text, text: str, *, endless: bool) -> list[Array]:
    """A text in rows that are full, and one with its end; an endless one has only full ones."""
    numbers = kind.numbered(text)
    size = kind.length
    stop = len(numbers) // size * size if endless else len(numbers)
    if not stop:
        raise DataError(f"a text of {len(numbers):,} symbols, and pieces are of {size:,}: name a longer one")
    return [kind.row(numbers[start : start + size]) for start in range(0, stop, size)]


def _check(found: Found, where: str) -> None:
    most = max(map(len, found.texts or []))
    if not 2 <= (found.cut or 0) <= most:
        raise DataError(
            f"{where}: window={found.cut}: a number of symbols from 2 to the {most:,} that there are"
        )


def _only(table: Table) -> str:
    """The only column of a table that holds texts; raises DataError where there are several, or none."""
    texts = []
    for name, values in table.columns.items():
        known = [value for value in pictured(table.path, values) if value is not None]
        if known and name != "split" and all(isinstance(value, str) for value in known):
            texts.append(name)
    if len(texts) != 1:
        what = f"several columns hold texts ({', '.join(texts[:20])})" if texts else "no column holds texts"
        raise DataError(f"{table.path}: {what}; say which one is to be made with column=")
    return texts[0]


def _read(path: Path) -> str:
    refuse_large(path, path.stat().st_size)
    return decoded(path.read_bytes(), path)


def _note(found: Found, count: int, what: str) -> None:
    if count:
        found.notes.append(f"{count:,} {what}")

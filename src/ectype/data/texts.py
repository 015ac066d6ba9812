"""A file of text: one item a line, or one stream that is cut into windows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ectype.data.found import SPLITS, Found
from ectype.data.splits import HELD_BACK, digests, split
from ectype.data.store import Resident, chunks
from ectype.errors import DataError
from ectype.kinds.text import Text

Array = np.ndarray[Any, Any]


def from_text(path: Path) -> Found:
    """What a .txt holds, in UTF-8; raises DataError where it is none, or empty."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is no UTF-8 text ({error.reason} at byte {error.start})") from None
    if not text.strip():
        raise DataError(f"{path}: holds no text")
    return Found(text=text)


def texts(
    found: Found, where: str, *, window: int | None, strict: bool, seed: int
) -> tuple[Text, Resident, dict[str, Tensor], Array]:
    """Lines, or windows of so many symbols, as their kind, store, splits and hashes.

    The windows of a stream are split where they stand: the last tenth is for tests and the tenth before it
    chooses, so that no sentence is on both sides.
    """
    if found.text is None:
        raise DataError(f"{where}: holds no text; leave kind and window out")
    if window is None:
        kind = Text.fit(_lines(found))
        store = packed(found, kind, where, strict=strict)
        hashes = digests(chunks(store), seed)
        return kind, store, split(hashes, None, found.notes), hashes
    kind, store = _windows(found.text, window, where)
    n = len(store)
    held = max(1, round(n * HELD_BACK)) if n > 2 else 0
    parts = dict(zip(SPLITS, torch.arange(n).split([n - 2 * held, held, held]), strict=True))
    return kind, store, {**parts, "all": torch.arange(n)}, digests(chunks(store), seed)


def _lines(found: Found) -> list[str]:
    return [line for line in (found.text or "").splitlines() if line.strip()]


def _windows(text: str, window: int, where: str) -> tuple[Text, Resident]:
    if not 2 <= window <= len(text):
        raise DataError(
            f"{where}: window={window}: a number of symbols from 2 to the {len(text):,} that there are"
        )
    kind = Text(sorted(set(text)), window)
    codes = np.frombuffer(text.encode("utf-32-le"), np.uint32)[: len(text) // window * window]
    _, numbers = np.unique(codes, return_inverse=True)
    known = np.array([kind.numbers[chr(code)] for code in np.unique(codes)], np.int32)
    return kind, Resident(torch.from_numpy(known[numbers].reshape(-1, window)))


def packed(found: Found, kind: Text, where: str, *, strict: bool) -> Resident:
    """The lines by a kind; those that do not fit are left out and counted, or refused with `strict`."""
    if found.text is None:
        raise DataError(f"{where}: holds no text, and the model knows nothing else")
    rows, left_out, why = [], 0, ""
    for line in _lines(found):
        try:
            rows.append(kind.pack(line))
        except DataError as error:
            left_out, why = left_out + 1, why or str(error)
    if not rows or (left_out and strict):
        raise DataError(f"{where}: {left_out:,} lines do not fit, first: {why}")
    if left_out:
        found.notes.append(f"{left_out:,} lines were left out, first: {why}")
    return Resident(torch.from_numpy(np.stack(rows)))

"""Columns read by a frozen encoder: each text or picture once, the rows kept for the next time.

The rows lie in one SQLite file of the cache folder (`store.cache_folder`), under encoder, revision and a
digest of the item; a file that cannot be used costs time and nothing else.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from contextlib import closing, suppress
from typing import Any

import numpy as np
import torch

from ectype.data.data import Condition
from ectype.data.found import Array, Column
from ectype.data.paired import paired
from ectype.data.store import cache_folder
from ectype.errors import DataError, UsageError, did_you_mean
from ectype.kinds import Kind
from ectype.kinds.embedded import LONGEST, Embedded
from ectype.kinds.encoders import Encoder
from ectype.kinds.image import Image
from ectype.kinds.vector import Vector

CACHE = "embeddings.sqlite"


def encoders_for(
    named: str | Sequence[str] | None, sorts: Mapping[str, str], own: Container[str]
) -> dict[str, Encoder]:
    """The encoders of `--encoder`, by condition.

    Arguments:
        named: such as "caption=owner/name", several in a sequence or with commas between them.
        sorts: the conditions there are, each with what its column holds.
        own: those that are made from the items.

    Raises UsageError for a condition that is not there or that no encoder reads, and as `Encoder.of`.
    """
    found: dict[str, Encoder] = {}
    for text in (named.split(",") if isinstance(named, str) else named) or ():
        name, there, place = (part.strip() for part in text.partition("="))
        if not there or not place:
            raise UsageError(f"--encoder {text}: say what it reads, such as caption={text.strip('= ')}")
        if name not in sorts:
            raise UsageError(f"--encoder {text}: '{name}' is not given{did_you_mean(name, sorts)}")
        if name in found:
            raise UsageError(f"--encoder {text}: '{name}' has an encoder already")
        if name in own or sorts[name] in ("vector", "number", "attributes"):
            raise UsageError(
                f"--encoder {text}: an encoder reads texts and pictures that come with the items, and "
                f"'{name}' is {'made from them' if name in own else f'of kind {sorts[name]}'}"
            )
        found[name] = Encoder.of(place, "image" if sorts[name] == "image" else "text")
    return found


def embedded(
    column: Column,
    kind: Embedded | Encoder,
    where: str,
    notes: list[str],
    *,
    item: Kind | None,
    strict: bool,
    limit: float | None,
) -> Condition:
    """A column as its encoder sees it; arguments and errors as of `paired`, texts alike."""
    encoder = kind.encoder if isinstance(kind, Embedded) else kind
    image = kind.image if isinstance(kind, Embedded) else None
    if encoder.reads == "image":
        plain = paired(column, image, where, notes, item=item, strict=strict, limit=limit)
        image = plain.kind if isinstance(plain.kind, Image) else None
        there = zip(plain.stored.numpy(), plain.present.tolist(), strict=True)
        values = [row if present else None for row, present in there]
    else:
        values = _texts(column, where, notes, strict)
    digests = [None if value is None else _digest(value) for value in values]
    different = {d: value for d, value in zip(digests, values, strict=True) if d is not None}
    if not different:
        raise DataError(f"{where}: holds nothing an encoder can read")
    rows = rows_of(encoder, different, str if image is None else image.unpack)
    if not isinstance(kind, Embedded):
        kind = Embedded(encoder, Vector.fit(rows), image, room=_room(different.values()))
    stored = torch.from_numpy(kind.beside(rows, list(different.values())))
    number = {digest: i for i, digest in enumerate(different)}
    at = torch.tensor([-1 if digest is None else number[digest] for digest in digests])
    return Condition(kind, stored[at.clamp(min=0)], at >= 0)


def _texts(column: Column, where: str, notes: list[str], strict: bool) -> list[Any]:
    """The texts of a column, None where there is none; that some are missing is noted, or refused."""
    values = [str(value) if isinstance(value, str | int) else "" for value in column]
    texts = [text if text.strip() else None for text in values]
    if missing := texts.count(None):
        text = f"{missing} of {len(texts)} items have no {where.rpartition(': ')[2]}"
        if strict:
            raise DataError(f"{where}: {text}; complete them, or read without strict")
        notes.append(text)
    return texts


def _room(values: Iterable[Any]) -> int:
    """Bytes to keep of a text: those of the longest."""
    texts = [text.encode("utf-8", "replace") for text in values if isinstance(text, str)]
    return min(LONGEST, max(map(len, texts), default=0))


def rows_of(encoder: Encoder, items: Mapping[bytes, Any], show: Callable[[Any], Any]) -> Array:
    """The rows (N, D) of items, by their digests; those that are not in the cache are computed, and kept.

    Arguments:
        show: an item as the encoder is shown it, called only where it has to be.
    """
    key = f"{encoder.reads} {encoder}"
    found: dict[bytes, Array] = {}
    with suppress(sqlite3.Error), closing(_opened()) as cache:
        ask = "SELECT digest, row FROM rows WHERE encoder = ?"
        found = {d: np.frombuffer(row, np.float32) for d, row in cache.execute(ask, (key,)) if d in items}
    lacking = [digest for digest in items if digest not in found]
    if lacking:
        made = dict(zip(lacking, encoder([show(items[digest]) for digest in lacking]), strict=True))
        with suppress(sqlite3.Error), closing(_opened()) as cache, cache:
            keep = [(key, digest, row.tobytes()) for digest, row in made.items()]
            cache.executemany("INSERT OR IGNORE INTO rows VALUES (?, ?, ?)", keep)
        found |= made
    return np.stack([found[digest] for digest in items])


def _opened() -> sqlite3.Connection:
    cache = sqlite3.connect(cache_folder() / CACHE, timeout=30)
    cache.execute(
        "CREATE TABLE IF NOT EXISTS rows (encoder TEXT, digest BLOB, row BLOB, PRIMARY KEY (encoder, digest))"
    )
    return cache


def _digest(value: Any) -> bytes:
    """Of a text, or of a picture's levels and their form."""
    if isinstance(value, str):
        return hashlib.blake2b(value.encode("utf-8", "replace"), digest_size=16).digest()
    return hashlib.blake2b(value.tobytes() + repr(value.shape).encode(), digest_size=16).digest()

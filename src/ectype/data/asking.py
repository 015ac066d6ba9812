"""Which conditions are asked for, as typed after `--given`.

label                        a column of the source
caption:text                 the same, and what kind it is
captions.jsonl:name          a column of a table beside the data, joined by a column with the items' names
text=captions.jsonl:name     under another name
outline/                     a folder (or zip) of pictures, joined by the files' names
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ectype.data.tables import ENDINGS
from ectype.errors import UsageError, did_you_mean
from ectype.kinds.units import SAID, is_unit

KINDS = ("attributes", "image", "label", "number", "vector", *SAID)
"""What a column can be said to be; a number is a vector; bpe may have how many symbols behind it."""

_NAMED = re.compile(r"([^=/\\:]+)=(.+)")
_TABLE = re.compile(rf"(.+(?:{'|'.join(map(re.escape, ENDINGS))}))(?::(.*))?", re.IGNORECASE)


@dataclass(frozen=True)
class Asked:
    """One condition that is asked for.

    Arguments:
        name: what it is to be called.
        column: of the source, or of the table at `path`; "" for a table's only one, and for pictures.
        path: of a table, a folder or a zip; None for a column of the source.
        kind: one of KINDS, bpe4000 or the like, or None to infer it.
    """

    name: str
    column: str
    path: str | None = None
    kind: str | None = None

    def __str__(self) -> str:
        """The same as it would be typed."""
        column = ":".join(part for part in (self.column, self.kind) if part)
        place = column if self.path is None else f"{self.path}:{column}" if column else self.path
        plain = self.name == (self.column or _called(self.path or ""))
        return place if plain else f"{self.name}={place}"


def asked_for(given: str | Path | Sequence[str | Path] | None) -> list[Asked]:
    """The conditions of `given`, several in a sequence or with commas between them.

    Raises UsageError for a kind that does not exist, for two conditions of one name, and for an empty text.
    """
    if given is None:
        return []
    texts = given.split(",") if isinstance(given, str) else [given] if isinstance(given, Path) else given
    found = [_entry(str(text).strip()) for text in texts if str(text).strip()]
    if texts and not found:  # of an unset variable of a shell: an unconditional run would be hours lost
        raise UsageError(f"{given!r} names no column: leave the option out instead")
    refuse_twice(found)
    return found


def refuse_twice(asked: Sequence[Asked]) -> None:
    """Raise UsageError where two conditions have one name."""
    names = [one.name for one in asked if one.name]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"'{twice}' is asked for twice; call one of them otherwise, such as other={twice}")


def _called(path: str) -> str:
    """What a folder's or a zip's pictures are called."""
    name = Path(path).name
    return name[:-4] if name.lower().endswith(".zip") else name


def _entry(text: str) -> Asked:
    renamed = _NAMED.fullmatch(text)
    name, place = (renamed[1].strip(), renamed[2].strip()) if renamed else ("", text)
    table = _TABLE.fullmatch(place)
    if table:
        column, kind = _column(table[2] or "", text)
        return Asked(name or column, column, table[1], kind)
    if "/" in place or "\\" in place or place.lower().endswith(".zip"):
        return Asked(name or _called(place), "", place)
    column, kind = _column(place, text)
    return Asked(name or column, column, None, kind)


def _column(text: str, entry: str) -> tuple[str, str | None]:
    column, colon, kind = text.partition(":")
    if colon and kind not in KINDS and not is_unit(kind):
        raise UsageError(f"--given {entry}: a condition can be no '{kind}'{did_you_mean(kind, KINDS)}")
    return column.strip(), kind or None

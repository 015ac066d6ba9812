"""What counts as one symbol of a text, and how symbols become a text again.

    "text"   characters   of any script                                   exact
    "words"  words        parted at spaces, each mark of punctuation one  single spaces come back
    "bytes"  bytes        of UTF-8: 256 symbols, so none is ever unseen   exact
    "bpe"    bpe          bytes, and runs of them that are frequent       exact; "bpe4000": 4,000 symbols

A symbol of bytes is written with one Latin-1 character for each byte, so that it is a text in JSON too.
Bytes that a model draws may be no UTF-8; what is none becomes the replacement character.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from ectype.errors import DataError, UsageError, did_you_mean

UNITS = ("characters", "words", "bytes", "bpe")
SAID = ("bpe", "bytes", "text", "words")
"""Units as a user says them: as the kind of the items or of a column."""
BYTES = tuple(map(chr, range(256)))
_BPE = re.compile(r"bpe([1-9]\d*)?")
_WORD = re.compile(r"\w+(?:['’-]\w+)*|[^\w\s]")
_BEFORE_PUNCTUATION = re.compile(r" (?=[.,;:!?%)\]])")
_SURROGATE = re.compile("[\ud800-\udfff]")

Parted = Callable[[str], list[str]]


def is_unit(said: str | None) -> bool:
    """Whether a kind that a user says is one of texts: text, words, bytes, bpe or bpe4000."""
    return said is not None and (said in SAID or _BPE.fullmatch(said) is not None)


def unit_of(said: str) -> tuple[str, int | None]:
    """The unit, by its own name or as a user says it, and how many symbols bpe is to have (None: as usual).

    Raises UsageError for one that does not exist.
    """
    many = _BPE.fullmatch(said)
    unit = "bpe" if many else "characters" if said == "text" else said
    if unit not in UNITS:
        raise UsageError(f"there is no unit '{said}' of texts{did_you_mean(said, UNITS)}")
    return unit, int(many[1]) if many and many[1] else None


def parted(text: str, unit: str) -> list[str]:
    """The symbols of a text in characters, words or bytes; none where it holds nothing but spaces.

    Raises DataError for half of a surrogate pair, which JSON can hold and no file of text can.
    """
    half = _SURROGATE.search(text)
    if half:
        raise DataError(f"character {half.start() + 1} is half of a surrogate pair, which is no text")
    if not text.strip():
        return []
    if unit == "words":
        return _WORD.findall(text)
    return list(text if unit == "characters" else text.encode().decode("latin-1"))


def together(symbols: Sequence[str], unit: str) -> str:
    """The text that symbols stand for."""
    if unit == "words":
        return _BEFORE_PUNCTUATION.sub("", " ".join(symbols))
    text = "".join(symbols)
    return text if unit == "characters" else text.encode("latin-1").decode("utf-8", "replace")


def same(text: str, unit: str) -> str:
    """What two texts share that a model cannot tell apart: for words it is the words."""
    return " ".join(parted(text, unit)) if unit == "words" else text


def check(symbols: Iterable[str], merges: Iterable[tuple[str, str]], unit: str) -> None:
    """Raise DataError for symbols or merges that do not belong to a unit."""
    if unit in ("characters", "words"):
        return
    known = set(symbols)
    if not known.issuperset(BYTES) or any(max(symbol) > BYTES[-1] for symbol in known):
        raise DataError(f"texts by {unit} need a symbol for each of the 256 bytes, and none of characters")
    if any(not known.issuperset((a, b, a + b)) for a, b in merges):
        raise DataError("a merge is of two symbols, and makes a third")

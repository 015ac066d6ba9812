"""Texts as integers: characters of any script, words, bytes, or runs of bytes (`units`).

    "a cat"  --pack-->  [3, 2, 4, 3, 5, 1, 0, 0]      0 is padding, 1 is the end, symbols count from 2

The end is a symbol of its own, so that a model says how long a text is; what follows it is padding and
says nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Self, final

import numpy as np
from PIL import Image as Pillow
from torch import Tensor

from ectype.errors import DataError, ModelFileError, OutputError, UsageError
from ectype.kinds import Array, Kind
from ectype.kinds.lettering import lettered
from ectype.kinds.merges import Merges, learned, merged
from ectype.kinds.units import BYTES, Parted, check, parted, together, unit_of
from ectype.noise import Noise
from ectype.shapes import Tokens

PADDING, END, FIRST = 0, 1, 2
LONGEST = 1024
"""Symbols of the longest text that `fit` makes room for unless it is told how many."""
_STEP = 8


@final
class Text(Kind):
    """A text of at most T - 1 symbols, or a piece of T that goes on.

    Arguments:
        symbols: all there are, in the order of their numbers, from 2; of bytes as `units` writes them.
        length: T, room for the symbols and the end.
        unit: "characters", "words", "bytes" or "bpe".
        merges: of bpe, in their order.
    """

    name = "text"

    def __init__(
        self, symbols: Sequence[str], length: int, *, unit: str = "characters", merges: Merges = ()
    ) -> None:
        self.unit, _ = unit_of(unit)
        self.symbols = tuple(symbols)
        self.length = int(length)
        self.merges = merges
        self.numbers = {symbol: i + FIRST for i, symbol in enumerate(self.symbols)}
        if not self.symbols or "" in self.numbers or len(self.numbers) != len(self.symbols):
            raise DataError("a text needs different symbols, at least one")
        check(self.numbers, merges, self.unit)
        if self.length < 2:
            raise DataError(f"a text needs room for one symbol and its end, and {self.length} is less than 2")

    @classmethod
    def fit(
        cls,
        texts: Iterable[str],
        unit: str = "characters",
        length: int | None = None,
        known: Iterable[str] | None = None,
    ) -> Self:
        """The symbols that occur, in their order, with room for the longest text and its end.

        Arguments:
            texts: at least one that is not empty.
            unit: "characters", "words", "bytes" or "bpe"; "bpe4000" for so many symbols, bytes included.
            length: T; by default the longest text of at most 1,024 symbols and its end, rounded up to a
                multiple of 8.
            known: texts that bpe learns from; by default all.

        Raises DataError where there is nothing to fit, MissingExtra for bpe without its package.
        """
        texts = list(texts)
        unit, many = unit_of(unit)
        symbols, merges = learned(texts if known is None else known, many) if unit == "bpe" else (BYTES, ())
        part = merged(symbols, merges) if unit == "bpe" else partial(parted, unit=unit)
        there = [part(text) for text in texts]
        if not max(map(len, there), default=0):
            raise DataError("all texts are empty: there is nothing to learn from")
        if length is None:  # one far too long, which is left out, makes no room and has no symbols for others
            there = [one for one in there if len(one) <= LONGEST] or there
        longest = max(map(len, there))
        room = -(-(min(longest, LONGEST) + 1) // _STEP) * _STEP if length is None else length
        if unit in ("characters", "words"):
            symbols = tuple(sorted({symbol for one in there for symbol in one}))
        return cls(symbols, room, unit=unit, merges=merges)

    @cached_property
    def part(self) -> Parted:
        """What parts a text into symbols; raises MissingExtra for bpe without its package."""
        if self.unit == "bpe":
            return merged(self.symbols, self.merges)
        return partial(parted, unit=self.unit)

    @property
    def shape(self) -> Tokens:
        return Tokens(len(self.symbols) + FIRST, (self.length,))

    @property
    def network(self) -> str:
        return "recurrent"

    @property
    def likelihood(self) -> str:
        return "categorical"

    @property
    def latent(self) -> int:
        return 32

    @property
    def usual(self) -> dict[str, object]:
        # what writes symbol by symbol can do without a latent, and does unless the KL is free at first:
        # Li et al. 2019, "A surprisingly effective fix for deep latent variable modeling of text", section 4,
        # whose 0.25 nats of each dimension cost more likelihood than these
        return {"free_bits": 0.15, "warmup": 0.25}

    @property
    def prior(self) -> str:
        return "normal"  # against which each dimension has a KL of its own, and free bits of its own

    def pack(self, item: Any) -> Array:
        """A string as int32 (T,); raises DataError where it is empty, too long or has unknown symbols."""
        if not isinstance(item, str):
            raise DataError(f"{item!r} is no text")
        symbols = self.part(item)
        if len(symbols) >= self.length:  # said first: what is far too long may hold anything
            unit = "symbols" if self.unit == "bpe" else self.unit
            raise DataError(
                f"a text of {len(symbols):,} {unit}, and there is room for {self.length - 1:,}: shorten it"
            )
        return self.row(self._numbers(symbols))

    def numbered(self, item: str) -> Array:
        """The numbers of a text's symbols, without an end; raises DataError as `pack` does, however long."""
        return self._numbers(self.part(item))

    def _numbers(self, symbols: Sequence[str]) -> Array:
        if not symbols:
            raise DataError("the text is empty: say something, or leave it out")
        unknown = sorted({symbol for symbol in symbols if symbol not in self.numbers})
        if unknown:
            raise DataError(self._unknown(unknown))
        return np.array([self.numbers[symbol] for symbol in symbols], np.int32)

    def row(self, numbers: Array) -> Array:
        """At most T numbers of symbols as int32 (T,): with an end, unless they fill the row."""
        row = np.full(self.length, PADDING, np.int32)
        row[: len(numbers)] = numbers
        row[len(numbers) : len(numbers) + 1] = END
        return row

    def _unknown(self, symbols: list[str]) -> str:
        named = ", ".join(f"'{symbol}'" for symbol in symbols[:5]) + (", …" if len(symbols) > 5 else "")
        if self.unit == "characters":
            there = "".join(self.symbols[:80]) + ("…" if len(self.symbols) > 80 else "")
            return f"the characters {named} were in no text that was learned from; known: {there}"
        near = [hit for s in symbols[:5] for hit in get_close_matches(s, self.symbols, n=1, cutoff=0.6)]
        hint = f"; did you mean {', '.join(repr(word) for word in near)}?" if near else ""
        return f"the words {named} were in no text that was learned from{hint}"

    def unpack(self, array: Array) -> str:
        """The text before the first end (or padding, which only a model writes without one)."""
        row = np.asarray(array)
        stop = np.flatnonzero(row < FIRST)
        symbols = [self.symbols[int(i) - FIRST] for i in row[: stop[0] if len(stop) else None]]
        return together(symbols, self.unit)

    def tensor(self, stored: Tensor, noise: Noise = None) -> Tensor:
        """Numbers of symbols (B, T), int64."""
        return stored.long()

    def seen(self, stored: Tensor) -> Tensor:
        """The symbols and the end, (B, T): how far a text is padded says nothing about it."""
        return stored != PADDING

    def stored(self, x: Tensor) -> Array:
        """Any numbers (B, T), NaN where nothing is known, as int32 texts: an end, and then padding."""
        known = x.detach().nan_to_num(PADDING).long().clamp(0, self.shape.vocabulary - 1)
        rows = known.cpu().numpy().astype(np.int32)
        over = np.cumsum(rows < FIRST, axis=1)
        rows[over > 0] = PADDING
        rows[(over == 1) & (np.diff(over, axis=1, prepend=0) == 1)] = END
        return rows

    def write(self, items: Sequence[Any], folder: Path) -> list[Path]:
        """Write texts as 0000.txt, 0001.txt, …; raises OutputError where that is not possible."""
        return written(items, folder)

    def sheet(self, items: Sequence[Any], columns: int = 8) -> Pillow.Image:
        """The texts in cells, at most four in a row."""
        return lettered([str(item) for item in items], columns)

    def state(self) -> dict[str, Any]:
        state = {"symbols": list(self.symbols), "length": self.length, "unit": self.unit}
        return {**state, "merges": [list(pair) for pair in self.merges]} if self.merges else state

    @classmethod
    def restore(cls, state: dict[str, Any]) -> Self:
        try:
            symbols = [str(symbol) for symbol in state["symbols"]]
            if not isinstance(state["symbols"], list) or symbols != state["symbols"]:
                raise TypeError("symbols are a list of texts")
            merges = tuple((str(a), str(b)) for a, b in state.get("merges", ()))
            return cls(symbols, int(state["length"]), unit=state["unit"], merges=merges)
        except (KeyError, TypeError, ValueError, DataError, UsageError) as error:
            raise ModelFileError(f"the model file describes no text kind ({error}): damaged") from None


def written(items: Sequence[Any], folder: Path) -> list[Path]:
    """Write texts as 0000.txt, 0001.txt, …; raises OutputError where that is not possible."""
    paths = [Path(folder) / f"{i:04d}.txt" for i in range(len(items))]
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        for item, path in zip(items, paths, strict=True):
            # half of a surrogate pair can be learned from JSON and written in no encoding
            path.write_text(f"{item}\n", encoding="utf-8", errors="replace")
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error}); choose another folder") from None
    return paths

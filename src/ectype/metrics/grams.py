"""An n-gram model of texts: what the likelihood alone, without any network, makes at a temperature.

    p(w | h) = (c(h w) + d(h) p(w | h')) / (c(h) + d(h))        h' is h without its first symbol
    at τ     p(w | h)^(1/τ) / Σ_v p(v | h)^(1/τ)

c counts, d(h) is how many different symbols follow h, and below single symbols all are equally probable:
Witten and Bell 1991, "The zero-frequency problem", method C, interpolated. Of texts, quality alone or variety
alone says nothing, since a temperature trades one for the other: Caccia, Caccia, Fedus, Larochelle, Pineau
and Charlin 2020, "Language GANs falling short", section 4, which is why texts of a GAN stand beside these.
"""

from __future__ import annotations

from bisect import bisect
from collections import Counter
from itertools import accumulate
from typing import NamedTuple, final

import numpy as np

from ectype.kinds import Array

Words = tuple[int, ...]
_START, _END = 0, 1


class _Choices(NamedTuple):
    """What may follow: symbols that did, their weights added up, and the weight of all symbols there are."""

    symbols: list[int]
    upto: list[float]
    whole: float


@final
class Grams:
    """p(symbol | the n - 1 before it), learned from texts.

    Arguments:
        x: (N, T) stored texts; 1 ends one, 0 follows its end.
        order: n, at least 1.
        symbols: how many there are, the end among them, numbered from 1.
    """

    def __init__(self, x: Array, order: int, symbols: int) -> None:
        self.order, self.symbols = order, symbols
        whole: Counter[Words] = Counter()
        for text in map(_told, np.asarray(x).astype(np.int64).tolist()):
            padded = (_START,) * (order - 1) + text
            whole.update(padded[t : t + order] for t in range(len(text)))
        self.after: dict[Words, dict[int, int]] = {}
        for gram, count in whole.items():
            for i in range(order):
                seen = self.after.setdefault(gram[i:-1], {})
                seen[gram[-1]] = seen.get(gram[-1], 0) + count
        self.totals = {before: sum(seen.values()) for before, seen in self.after.items()}

    def p(self, before: Words, symbol: int) -> float:
        """p(symbol | what stands before it)."""
        p = 1 / self.symbols
        for i in range(len(before), -1, -1):
            seen = self.after.get(before[i:])
            if seen is not None:
                p = (seen.get(symbol, 0) + len(seen) * p) / (self.totals[before[i:]] + len(seen))
        return p

    def draw(self, n: int, length: int, *, temperature: float = 1.0, seed: int = 0) -> Array:
        """(n, length) stored texts, each up to its end or as long as there is room."""
        draws = _Draws(self, 1 / temperature, np.random.default_rng(seed))
        made = np.zeros((n, length), np.int32)
        for row in made:
            before = (_START,) * (self.order - 1)
            for t in range(length):
                row[t] = symbol = draws.one(before)
                if symbol == _END:
                    break
                before = (*before, symbol)[1:]
        return made


def _told(row: list[int]) -> Words:
    """A stored text with its end, where it has one."""
    stop = next((t for t, symbol in enumerate(row) if symbol <= _END), len(row))
    return tuple(row[: stop + 1] if row[stop : stop + 1] == [_END] else row[:stop])


@final
class _Draws:
    """Symbols from p^power, of which only what followed a context is ever looked at one by one.

    A symbol that did not follow h is d(h) / (c(h) + d(h)) times as probable as after h', so it is drawn
    after h', and again where it is one that did follow h.
    """

    def __init__(self, grams: Grams, power: float, stream: np.random.Generator) -> None:
        self.grams, self.power, self.stream = grams, power, stream
        self.known: dict[Words, _Choices] = {}

    def one(self, before: Words) -> int:
        """A symbol that follows."""
        while before not in self.grams.after and before:
            before = before[1:]
        found = self._choices(before)
        at = bisect(found.upto, self.stream.random() * found.whole)
        if at < len(found.symbols):
            return found.symbols[at]
        seen = self.grams.after[before]
        while True:
            symbol = self.one(before[1:]) if before else int(self.stream.integers(self.grams.symbols)) + 1
            if symbol not in seen:
                return symbol

    def _choices(self, before: Words) -> _Choices:
        """The choices after a context that is known."""
        if before not in self.known:
            grams, seen = self.grams, self.grams.after[before]
            if before:
                below = [grams.p(before[1:], symbol) for symbol in seen]
                whole = self._choices(before[1:]).whole
            else:
                below = [1 / grams.symbols for _ in seen]
                whole = grams.symbols ** (1 - self.power)
            total = grams.totals[before] + len(seen)
            weights = [
                ((count + len(seen) * p) / total) ** self.power
                for count, p in zip(seen.values(), below, strict=True)
            ]
            left = 0.0 if len(seen) == grams.symbols else whole - sum(p**self.power for p in below)
            upto = list(accumulate(weights))
            rest = (len(seen) / total) ** self.power * max(0.0, left)
            self.known[before] = _Choices(list(seen), upto, upto[-1] + rest)
        return self.known[before]

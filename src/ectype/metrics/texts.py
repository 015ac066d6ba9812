"""Made texts beside real ones: how various, how like real ones, how much of it is copied.

    distinct-n   different n-grams / n-grams, of all made texts together
    bleu-n       mean over made texts of BLEU against all real texts of the split
    self-bleu-n  the same against all other made texts: the lower, the more they differ
    novelty      share of made texts that are no training text
    copied       symbols of the longest stretch of a made text that stands in some training text

An n-gram is of the kind's own symbols (characters, words, …), without the end. BLEU is that of one text,
Papineni, Roukos, Ward and Zhu 2002, "BLEU: a method for automatic evaluation of machine translation",
section 2: equal weights 1/n, counts clipped by the reference that has most of them, brevity penalty from the
reference nearest in length, the shorter of two. Smoothing is the first of Chen and Cherry 2014, "A systematic
comparison of smoothing techniques for sentence-level BLEU": a precision without a hit counts as 0.1 hits,
except for single symbols, without a hit among which BLEU is 0. distinct-n: Li, Galley, Brockett, Gao and
Dolan 2016, "A diversity-promoting objective function for neural conversation models"; self-BLEU: Zhu et al.
2018, "Texygen: a benchmarking platform for text generation models". All of them depend on N, so each stands
beside what as many real texts get.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal, final

import numpy as np
import torch

from ectype.kinds import Array
from ectype.metrics import REAL, Score, mean_error, share_error

LEAST = 100
"""Texts below which none of these numbers should be trusted."""
ORDERS = (2, 3, 4, 5)
"""n of BLEU-n; one that most real texts are too short for has no number."""
SMALL = 0.1
"""Hits that a precision without any counts as."""
_FIRST = 2  # 0 is padding and 1 the end

Words = tuple[int, ...]
Grams = Mapping[Words, int]


def texts(
    made: Array,
    real: Array,
    train: Array | None = None,
    others: Array | None = None,
    *,
    copies: bool = True,
    unit: str = "symbols",
    held_out: bool = True,
    split: str = "test",
    seed: int = 0,
) -> list[Score]:
    """Distinct-n, BLEU-n, self-BLEU-n, novelty and the longest copied stretch of made texts.

    Arguments:
        made: (N, T) made texts, as their kind stores them.
        real: (N, T) real ones of the split.
        train: (M, T) training texts; None: nothing is said about copies.
        others: (N, T) further real ones, which say what real texts get; None: no floor.
        copies: look for the longest copied stretch too.
        unit: what a symbol is.
        held_out: whether no item of `real` was trained on, so that its copies say what is by chance.
        split: which part of the data `real` is.
        seed: of what was made.
    """
    own, wanted = said(made), said(real)
    rivals = None if others is None or len(others) < len(made) else said(others)[: len(own)]
    n, note = min(len(own), len(wanted)), f"n-grams of {unit}"
    rows = [*_various(own, rivals, note), *_alike(own, wanted, rivals, note)]
    if train is not None:
        rows.append(_novelty(own, wanted if held_out else None, train))
        rows += _copies(made, real if held_out else None, train, unit) if copies else []
    return [row.score(n, split, seed) for row in rows]


@final
class _Row:
    """A number with what real texts get, before it is said of how many."""

    def __init__(
        self,
        name: str,
        found: tuple[float, float | None],
        floor: float | None,
        note: str,
        better: Literal["higher", "lower", "neither"] = "higher",
        unit: str = "",
    ) -> None:
        self.name, self.found, self.floor = name, found, floor
        self.note, self.better, self.unit = note, better, unit

    def score(self, n: int, split: str, seed: int) -> Score:
        """The number as a score of N texts."""
        value, error = self.found
        known = "" if self.floor is None else REAL
        return Score(self.name, value, self.unit, self.better, n, split, seed, error, self.floor, known,
                     least=LEAST, note=self.note)  # fmt: skip


def said(x: Array) -> list[Words]:
    """The symbols of stored texts (N, T), up to their end."""
    rows = []
    for row in np.asarray(x).astype(np.int64).tolist():
        stop = next((i for i, symbol in enumerate(row) if symbol < _FIRST), len(row))
        rows.append(tuple(row[:stop]))
    return rows


def grams(text: Words, n: int) -> Counter[Words]:
    """How often each n-gram stands in a text."""
    return Counter(text[i : i + n] for i in range(len(text) - n + 1))


def distinct(rows: Sequence[Words], n: int) -> float:
    """Different n-grams of all texts as a share of all their n-grams; 0 where there are none."""
    counts: Counter[Words] = Counter()
    for text in rows:
        counts.update(grams(text, n))
    return len(counts) / max(1, counts.total())


@final
class References:
    """All that BLEU has to know of the texts it compares with.

    Arguments:
        rows: the texts.
        most: the longest n-gram that counts.
    """

    def __init__(self, rows: Sequence[Words], most: int) -> None:
        self.most = most
        self.lengths = Counter(map(len, rows))
        # the largest count of each n-gram in one text, in how many texts it is that, and the next one
        self.counts: list[dict[Words, tuple[int, int, int]]] = []
        for n in range(1, most + 1):
            table: dict[Words, tuple[int, int, int]] = {}
            for text in rows:
                for gram, count in grams(text, n).items():
                    table[gram] = _larger(table.get(gram, (0, 0, 0)), count)
            self.counts.append(table)

    def bleu(self, text: Words, *, among: bool = False) -> list[float]:
        """BLEU-1, …, BLEU-most of a text; `among`: it is one of these itself and does not count."""
        if not text:
            return [0.0] * self.most
        brief = min(0.0, 1 - self._nearest(len(text), among) / len(text))
        logs: list[float] = []
        for n, table in enumerate(self.counts, 1):
            own = grams(text, n)
            hits = sum(min(c, _clip(table.get(g, (0, 0, 0)), c, among)) for g, c in own.items())
            if n == 1 and not hits:
                return [0.0] * self.most
            logs.append(math.log((hits or SMALL) / max(1, own.total())))
        return [math.exp(brief + sum(logs[:n]) / n) for n in range(1, self.most + 1)]

    def _nearest(self, length: int, among: bool) -> int:
        left = self.lengths - Counter([length]) if among else self.lengths
        return min(left, key=lambda one: (abs(one - length), one), default=0)


def _larger(known: tuple[int, int, int], count: int) -> tuple[int, int, int]:
    most, times, less = known
    if count > most:
        return count, 1, most
    return (most, times + 1, less) if count == most else (most, times, max(less, count))


def _clip(known: tuple[int, int, int], own: int, among: bool) -> int:
    """The largest count in one text; of the others, where the text with count `own` is among them."""
    most, times, less = known
    return less if among and own == most and times == 1 else most


def _various(own: list[Words], rivals: list[Words] | None, note: str) -> list[_Row]:
    rows = []
    for n in (1, 2, 3):
        floor = None if rivals is None else distinct(rivals, n)
        rows.append(_Row(f"distinct-{n}", (distinct(own, n), None), floor, f"different {note}"))
    return rows


def _alike(own: list[Words], real: list[Words], rivals: list[Words] | None, note: str) -> list[_Row]:
    how = f"{note}, equal weights, smoothing 1 of Chen and Cherry"
    middle = float(np.median([len(text) for text in real]))
    orders = [n for n in ORDERS if n <= middle]
    if not orders:
        return []
    refs = References(real, orders[-1])
    rows = _bleus("bleu", orders, [(own, refs), (rivals, refs)], f"{how}; against {len(real):,} texts")
    if len(own) < 2:
        return rows
    sides = [(one, None if one is None else References(one, orders[-1])) for one in (own, rivals)]
    return rows + _bleus("self-bleu", orders, sides, f"{how}; each against all others", among=True)


_Sides = Sequence[tuple[list[Words] | None, References | None]]
"""Made texts and further real ones, each with what they are compared with."""


def _bleus(name: str, orders: Sequence[int], sides: _Sides, note: str, *, among: bool = False) -> list[_Row]:
    found, rival = (
        None if not rows or refs is None else torch.tensor([refs.bleu(text, among=among) for text in rows])
        for rows, refs in sides
    )
    if found is None:
        return []
    better: Literal["higher", "lower"] = "lower" if among else "higher"
    rows = []
    for n in orders:
        floor = None if rival is None else float(rival[:, n - 1].mean())
        rows.append(_Row(f"{name}-{n}", mean_error(found[:, n - 1]), floor, note, better))
    return rows


def _novelty(own: list[Words], real: list[Words] | None, train: Array) -> _Row:
    known = set(said(train))
    new, best = (None if rows is None else [text not in known for text in rows] for rows in (own, real))
    note = f"not among {len(train):,} training texts"
    return _Row("novelty", share_error(torch.tensor(new)), _mean(best), note, "neither")


def _copies(made: Array, real: Array | None, train: Array, unit: str) -> list[_Row]:
    longest = copied(made, train)
    rival = None if real is None else copied(real, train)
    most = None if rival is None else float(rival.max())
    count = f"{len(train):,} training texts"
    mean = mean_error(torch.from_numpy(longest).double())
    return [
        _Row("copied", mean, _mean(rival), f"from {count}", "neither", unit),
        _Row("copied at most", (float(longest.max()), None), most, f"from {count}", "neither", unit),
    ]


def _mean(values: Sequence[bool] | Array | None) -> float | None:
    return None if values is None else float(np.mean(values))


def copied(x: Array, train: Array) -> Array:
    """(N,) symbols of the longest stretch of each stored text (N, T) that stands in one of `train` (M, T).

    Stretches of one symbol get numbers, those that stand on both sides grow by a symbol and get new numbers,
    and so on until there are none left: exact, and what is not shared is looked at once.
    """
    sides = [_Side(one) for one in (x, train)]
    longest = np.zeros(len(x), np.int64)
    length = 0
    while True:
        shared = np.intersect1d(sides[0].names, sides[1].names)
        if not len(shared):
            return longest
        length += 1
        for side in sides:
            side.keep(shared)
        longest[sides[0].places // sides[0].width] = length
        for side in sides:
            side.grow(shared, length)


@final
class _Side:
    """Stretches of one length in stored texts: where they begin and their numbers, the same for the same."""

    def __init__(self, x: Array) -> None:
        rows = np.asarray(x).astype(np.int64)
        over = np.cumsum(rows < _FIRST, 1) > 0
        rows = np.pad(np.where(over, 0, rows), ((0, 0), (0, 1)))  # so that every text ends in its row
        self.width, self.flat = rows.shape[1], rows.ravel()
        self.places = np.flatnonzero(self.flat)
        self.names = self.flat[self.places]

    def keep(self, shared: Array) -> None:
        """Leave out stretches whose number is not among these."""
        stays = np.isin(self.names, shared)
        self.places, self.names = self.places[stays], self.names[stays]

    def grow(self, shared: Array, length: int) -> None:
        """One symbol more: a number of the old number and the symbol; a text that has ended is left out."""
        symbols = self.flat[self.places + length]
        stays = symbols > 0
        old = np.searchsorted(shared, self.names[stays])
        self.places, self.names = self.places[stays], (old << 32) + symbols[stays]

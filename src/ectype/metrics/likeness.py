"""How like a text is to the one it should be: edit distance, ROUGE-L and chrF.

    edit distance   fewest symbols to insert, delete or replace, per symbol of the original
    rouge-l         2 P R / (P + R), P and R the longest common subsequence as a share of one and other
    chrf            (1 + β²) P R / (β² P + R), P and R the mean over n of precision and recall of n-grams

Levenshtein 1966, "Binary codes capable of correcting deletions, insertions, and reversals"; Lin 2004, "ROUGE:
a package for automatic evaluation of summaries", equations 2 to 4 with β = 1, of the kind's symbols; Popović
2015, "chrF: character n-gram F-score for automatic MT evaluation", equation 1, of characters without spaces,
n = 1 to 6, β = 2 as in general use since. An n longer than both texts does not count. Each is of one pair,
then their mean; the floor is what the texts of other items get: an answer that read nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from ectype.metrics import Score, mean_error

LEAST = 100
ORDER, BETA = 6, 2.0
ANOTHER = "another item's"
_FIRST = 2  # 0 is padding and 1 the end


def spoken(x: Tensor) -> Tensor:
    """Texts (B, T) of numbers as int64, 0 from their end on."""
    x = x.detach().cpu().nan_to_num(0).long()
    return x.masked_fill((x < _FIRST).cumsum(1) > 0, 0)


def levenshtein(x: Tensor, y: Tensor) -> Tensor:
    """Edit distance of each pair of texts (B, T), (B,)."""
    x, y = spoken(x), spoken(y)
    return _at_ends(_edit_rows(x, y), x, y)


def common(x: Tensor, y: Tensor) -> Tensor:
    """Symbols of the longest common subsequence of each pair of texts (B, T), (B,)."""
    x, y = spoken(x), spoken(y)
    return _at_ends(_common_rows(x, y), x, y)


def _edit_rows(x: Tensor, y: Tensor) -> Iterator[Tensor]:
    """Distances (B, T + 1) of the first 0, 1, … symbols of x from every beginning of y.

    What insertions add within a row is a running minimum of what lies before, less its place.
    """
    place = torch.arange(y.shape[1] + 1)
    row = place.expand(len(y), -1)
    yield row
    for symbol in x.split(1, 1):
        best = torch.minimum(row[:, 1:] + 1, row[:, :-1] + (symbol != y).long())
        row = (torch.cat([row[:, :1] + 1, best], 1) - place).cummin(1).values + place
        yield row


def _common_rows(x: Tensor, y: Tensor) -> Iterator[Tensor]:
    """Common subsequences (B, T + 1) of the first 0, 1, … symbols of x and every beginning of y."""
    row = torch.zeros(len(y), y.shape[1] + 1, dtype=torch.int64)
    yield row
    for symbol in x.split(1, 1):
        longer = torch.maximum(row[:, 1:], row[:, :-1] + (symbol == y).long())
        row = F.pad(longer, (1, 0)).cummax(1).values
        yield row


def _at_ends(rows: Iterator[Tensor], x: Tensor, y: Tensor) -> Tensor:
    """What stands where both texts have ended, (B,)."""
    ends, columns = (x > 0).sum(1), (y > 0).sum(1, keepdim=True)
    found = torch.zeros(len(x), dtype=torch.int64)
    for t, row in enumerate(rows):
        found = torch.where(ends == t, row.gather(1, columns).squeeze(1), found)
    return found


def edits(x: Tensor, y: Tensor) -> Tensor:
    """Edit distance of y from the originals x (B, T), per symbol of the original, (B,)."""
    return levenshtein(x, y).double() / (spoken(x) > 0).sum(1).clamp(min=1)


def rouge(x: Tensor, y: Tensor) -> Tensor:
    """ROUGE-L of texts y with the references x, (B, T) each, (B,); 0 where one of them is empty."""
    total = (spoken(x) > 0).sum(1) + (spoken(y) > 0).sum(1)
    return 2 * common(x, y).double() / total.clamp(min=1)


def chrf(reference: str, text: str) -> float:
    """chrF of a text, from 0 to 1."""
    shares = []
    for n in range(1, ORDER + 1):
        wanted, own = (_characters(one, n) for one in (reference, text))
        if wanted or own:
            hits = (wanted & own).total()
            shares.append((hits / max(1, own.total()), hits / max(1, wanted.total())))
    p, r = (sum(column) / max(1, len(shares)) for column in zip(*shares, strict=True)) if shares else (0, 0)
    return (1 + BETA**2) * p * r / (BETA**2 * p + r) if p and r else 0.0


def _characters(text: str, n: int) -> Counter[str]:
    solid = "".join(text.split())
    return Counter(solid[i : i + n] for i in range(len(solid) - n + 1))


def likeness(
    real: Tensor,
    made: Tensor,
    said: tuple[Sequence[str], Sequence[str]],
    *,
    unit: str = "symbols",
    split: str = "test",
    seed: int | None = None,
) -> list[Score]:
    """ROUGE-L and chrF of made texts with the real ones of the same items; the floor is another item's.

    Arguments:
        real: (N, T) of the items.
        made: (N, T) under the same conditions.
        said: the same two as strings.
        unit: what a symbol is.
        split: which part of the data the items are.
        seed: of what was made.
    """
    pairs = list(zip(*said, strict=True))
    turned = [*said[1][1:], *said[1][:1]]
    other = [chrf(one, two) for one, two in zip(said[0], turned, strict=True)]
    rows = {
        "rouge-l": (rouge(real, made), rouge(real, made.roll(-1, 0)), f"F1, of {unit}"),
        "chrf": (
            torch.tensor([chrf(one, two) for one, two in pairs]).double(),
            torch.tensor(other).double(),
            f"β = {BETA:g}, character n-grams to {ORDER}",
        ),
    }
    scores = []
    for name, (values, floor, note) in rows.items():
        value, error = mean_error(values)
        scores.append(
            Score(name, value, "", "higher", len(values), split, seed, error,
                  float(floor.mean()) if len(values) > 1 else None, ANOTHER if len(values) > 1 else "",
                  least=LEAST, note=note)
        )  # fmt: skip
    return scores

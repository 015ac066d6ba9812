"""Noto emoji with their names and keywords, split by base, and a judge of what a picture shows.

The judge is a small convolutional network that tells words and Unicode group from a real picture of the
train split, turned, moved, mirrored and tinted at random. It knows nothing of any generator. Asked which of
some descriptions a picture was made for, it takes the one whose words and group it finds likeliest,
each against how frequent it is.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from typing import Any

import numpy as np
import torch
from _sources import folder
from torch import Tensor, nn
from torch.nn import functional as F

from ectype.data.data import Data
from ectype.data.reading import read

SIDE, FEWEST, CANDIDATES, TIMES = 32, 5, 10, 10
STEPS, BATCH, RATE = 1500, 64, 3e-3
WORDS = re.compile(r"[^\W\d_]+")
Row = dict[str, Any]


def emoji() -> tuple[Data, list[Row]]:
    """All pictures, 32 x 32 RGB over white, in splits that part no base; and what is known of each."""
    home = folder("noto_emoji")
    data = read(
        str(home / "noto_emoji_64.npz"), size=SIDE, channels=3, split_by=str(home / "captions.jsonl:base")
    )
    with (home / "captions.jsonl").open(encoding="utf-8") as file:
        return data, [json.loads(line) for line in file]


def words(row: Row) -> set[str]:
    """The different words of an emoji's name and keywords, without its skin tone."""
    texts = [row["name"].split(":")[0], *row["keywords"]]
    return {word for text in texts for word in WORDS.findall(text.lower())}


def firsts(rows: list[Row], indices: Tensor) -> list[int]:
    """One item of each base among the indices: the first, which has no skin tone."""
    found: dict[str, int] = {}
    for i in indices.tolist():
        found.setdefault(rows[i]["base"], i)
    return list(found.values())


def moved(x: Tensor, stream: torch.Generator) -> Tensor:
    """Pictures (B, 3, H, W) over white, each mirrored, turned, scaled, moved and tinted by chance."""

    def draw(*form: int) -> Tensor:
        return torch.randn(len(x), *form, generator=stream).clamp(-2, 2)

    x = torch.where(draw(1, 1, 1) < 0, x.flip(3), x)
    scale, turn = 1 + 0.15 * draw(), 0.2 * draw()
    across, along = scale * turn.cos(), scale * turn.sin()
    rows = torch.stack([torch.stack([across, -along], 1), torch.stack([along, across], 1)], 1)
    grid = F.affine_grid(torch.cat([rows, 0.12 * draw(2, 1)], 2), list(x.shape), align_corners=False)
    x = 1 - F.grid_sample(1 - x, grid, align_corners=False)  # what comes in from outside is white
    return x + 0.05 * draw(3, 1, 1) * (x < 0.99)


def _level(a: int, b: int) -> nn.Sequential:
    half = [nn.Conv2d(b, b, 3, padding=1), nn.GroupNorm(8, b), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(nn.Conv2d(a, b, 3, padding=1), nn.GroupNorm(8, b), nn.ReLU(), *half)


class Judge(nn.Module):
    """Words and group of a picture, learned from the train split of `emoji`."""

    def __init__(self, data: Data, rows: list[Row], *, width: int = 24, seed: int = 0) -> None:
        super().__init__()
        train = data.splits["train"].tolist()
        self.rows = rows
        self.bases: dict[str, list[int]] = {}
        for i in train:
            self.bases.setdefault(rows[i]["base"], []).append(i)
        counts = Counter(word for base in self.bases.values() for word in words(rows[base[0]]))
        self.tags = sorted(word for word, count in counts.items() if count >= FEWEST)
        self.groups = sorted({row["group"] for row in rows})
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.body = nn.Sequential(
                _level(3, width), _level(width, 2 * width), _level(2 * width, 4 * width)
            )
            self.head = nn.Linear(8 * width, len(self.tags) + len(self.groups))
            self._fit(data, seed)  # in here: dropout draws from the global stream
        there = self.described([base[0] for base in self.bases.values()])
        self.often = there.mean(0).clamp(1e-3, 1 - 1e-3)

    def described(self, items: list[int]) -> Tensor:
        """Which words and group items have (N, words + groups)."""
        sets = [{*words(self.rows[i]), self.rows[i]["group"]} for i in items]
        return torch.tensor([[float(name in s) for name in (*self.tags, *self.groups)] for s in sets])

    def forward(self, x: Tensor) -> Tensor:
        """Pictures (B, 3, 32, 32) to logits of words and groups."""
        h = self.body(x)
        return self.head(F.dropout(torch.cat([h.mean((2, 3)), h.amax((2, 3))], 1), 0.3, self.training))

    def _fit(self, data: Data, seed: int) -> None:
        stream, random = torch.Generator().manual_seed(seed), np.random.default_rng(seed)
        descent = torch.optim.AdamW(self.parameters(), weight_decay=0.05)
        rate = torch.optim.lr_scheduler.OneCycleLR(descent, RATE, STEPS)
        k, bases = len(self.tags), list(self.bases.values())
        for _ in range(STEPS):
            at = [int(random.choice(bases[b])) for b in random.integers(0, len(bases), BATCH)]
            wanted, out = self.described(at), self(moved(data.batch(at).x, stream))
            each = F.binary_cross_entropy_with_logits(out[:, :k], wanted[:, :k], reduction="none")
            loss = each.sum(1).mean() / 2 + F.cross_entropy(out[:, k:], wanted[:, k:])
            descent.zero_grad()
            loss.backward()
            descent.step()
            rate.step()
        self.eval()

    @torch.no_grad()
    def likelihoods(self, x: Tensor, items: list[int]) -> Tensor:
        """How much likelier each description (M) is of each picture (N, 3, 32, 32) than of any (N, M)."""
        out, k = torch.cat([self(part) for part in x.split(200)]), len(self.tags)
        p = torch.cat([out[:, :k].sigmoid(), out[:, k:].softmax(1)], 1).clamp(1e-4, 1 - 1e-4)
        has = self.described(items)
        absent = ((1 - p) / (1 - self.often)).log()[:, :k] @ (1 - has[:, :k]).T
        return (p / self.often).log() @ has.T + absent

    def found(self, x: Tensor, items: list[int], among: list[int], seed: int = 0) -> tuple[float, float]:
        """Share of pictures for which the own description is the likeliest of ten, and its standard error.

        Arguments:
            x: (N, 3, 32, 32) the pictures.
            items: whose description each was made for.
            among: items of other bases, nine of which are drawn ten times for each picture.
        """
        random, score = np.random.default_rng(seed), self.likelihoods(x, [*items, *among])
        base = np.array([self.rows[i]["base"] for i in among])
        shares = []
        for n, item in enumerate(items):
            others = len(items) + np.flatnonzero(base != self.rows[item]["base"])
            drawn = [random.choice(others, CANDIDATES - 1, replace=False) for _ in range(TIMES)]
            shares.append(float(np.mean([bool((score[n, n] > score[n, at]).all()) for at in drawn])))
        return float(np.mean(shares)), float(np.std(shares) / math.sqrt(len(shares)))

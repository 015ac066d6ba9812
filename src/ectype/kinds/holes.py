"""Which pixels of a picture are known: masks drawn at random, and those of a side or a box.

A mask is (B, 1, H, W), 1 where a pixel is known and 0 in the hole.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ectype.noise import Noise, uniform

_Point = tuple[Tensor, Tensor]
SIDES = ("lower", "upper", "left", "right", "centre")

_NUMBERS = 8
_SHARES = (0.4, 0.55, 0.7, 0.8, 0.95)  # up to where: a side, a box, a centre box, a stroke, pixels; else all


def drawn(n: int, size: tuple[int, int], noise: Noise) -> Tensor:
    """Random masks (n, 1, H, W): holes on one side, boxes, centre boxes, strokes, single pixels, everything.

    Each item draws the same count of numbers whatever its hole, so that its mask depends on nothing else.
    """
    u = uniform((n, _NUMBERS), noise).view(n, _NUMBERS, 1, 1)
    pixels = uniform((n, *size), noise)
    rows, columns = ((torch.arange(s) + 0.5) / s for s in size)
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    sort, a, b, c, d, e = (u[:, i] for i in range(6))
    cut = 0.2 + 0.6 * a
    sides = torch.stack([(s < cut).expand(n, *size) for s in (y, 1 - y, x, 1 - x)], 1)
    side = sides[torch.arange(n), (4 * b).long().flatten().clamp(max=3)]
    box = (y > a.minimum(b)) & (y < a.maximum(b)) & (x > c.minimum(d)) & (x < c.maximum(d))
    centre = torch.maximum((y - 0.5).abs(), (x - 0.5).abs()) < 0.1 + 0.35 * a
    holes = (side, box, centre, _stroke((y, x), (a, b), (c, d), 0.05 + 0.15 * e), pixels < 0.1 + 0.8 * a)
    hole = torch.ones(n, *size, dtype=torch.bool)
    for share, part in zip(reversed(_SHARES), reversed(holes), strict=True):
        hole = torch.where(sort < share, part, hole)
    return (~hole).unsqueeze(1).float()


def _stroke(place: _Point, start: _Point, end: _Point, width: Tensor) -> Tensor:
    """Whether a place lies nearer than `width` to the line from start to end."""
    (y, x), (y0, x0) = place, start
    dy, dx = end[0] - y0, end[1] - x0
    along = ((y - y0) * dy + (x - x0) * dx) / (dy.square() + dx.square()).clamp(min=1e-6)
    along = along.clamp(0, 1)
    return (y - y0 - along * dy).square() + (x - x0 - along * dx).square() < width.square()


def side(name: str, size: tuple[int, int]) -> Tensor:
    """The hole (H, W) bool of a name in `SIDES`: half of the picture, or a box in its middle."""
    h, w = size
    hole = torch.zeros(size, dtype=torch.bool)
    parts = {
        "lower": (slice(h - h // 2, h), slice(None)),
        "upper": (slice(h // 2), slice(None)),
        "left": (slice(None), slice(w // 2)),
        "right": (slice(None), slice(w - w // 2, w)),
        "centre": (slice(h // 4, h - h // 4), slice(w // 4, w - w // 4)),
    }
    hole[parts[name]] = True
    return hole

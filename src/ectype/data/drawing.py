"""Drawn pictures with exact factors and captions: one shape on white, 32x32 RGB.

    shape     circle, square, triangle or star
    colour    one of six
    size      radius of the circle around it, in pixels, 4 to 10
    x, y      its centre in pixels from the top left; the shape lies inside the picture
    rotation  degrees clockwise, from 0 up to where the shape looks the same again (circle: always 0)

All are drawn uniformly and independently (x and y given the size). Edges are anti-aliased.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw

from ectype.data.found import Found
from ectype.noise import mix

SIDE = 32
FINE = 4
"""Each pixel is the mean of FINE x FINE points."""
COLOURS = {
    "red": (214, 48, 49),
    "orange": (240, 140, 30),
    "yellow": (238, 204, 60),
    "green": (46, 160, 80),
    "blue": (44, 100, 200),
    "purple": (140, 70, 180),
}
PERIODS = {"circle": 0, "square": 90, "triangle": 120, "star": 72}
SIZES = (4.0, 10.0)
Array = np.ndarray[Any, Any]


def draw(n: int, seed: int) -> Found:
    """`n` pictures; the label is the shape, and every factor can be a condition."""
    random = np.random.default_rng(mix(seed, n))
    kinds, colours = list(PERIODS), list(COLOURS)
    shape = random.integers(len(kinds), size=n)
    colour = random.integers(len(colours), size=n)
    size = random.uniform(*SIZES, n)
    x, y = (random.uniform(size, SIDE - size) for _ in range(2))
    rotation = random.uniform(0, 1, n) * np.array(list(PERIODS.values()))[shape]
    cover = (
        np.stack(
            [_cover(kinds[s], *place) for s, *place in zip(shape, x, y, size, rotation, strict=True)]
        ).astype(np.float32)
        / 255
    )
    ink = np.array(list(COLOURS.values()), np.float32)[colour]
    values = 255 + cover[..., None] * (ink[:, None, None] - 255)
    words = [kinds[s] for s in shape]
    tints = [colours[c] for c in colour]
    captions = [
        f"a {_extent(s)} {tint} {word} {_place(a, b)}{_turn(word, r)}"
        for s, tint, word, a, b, r in zip(size, tints, words, x, y, rotation, strict=True)
    ]
    numbers = {"size": size, "x": x, "y": y, "rotation": rotation}
    return Found(
        values=np.rint(values).astype(np.uint8),
        captions=captions,
        columns={
            "label": words,
            "shape": words,
            "colour": tints,
            **{name: column.astype(np.float32) for name, column in numbers.items()},
            "caption": captions,
        },
    )


def _cover(shape: str, x: float, y: float, size: float, rotation: float) -> Array:
    """How much of each pixel the shape covers, (SIDE, SIDE) of 0 to 255."""
    page = Pillow.new("L", (SIDE * FINE, SIDE * FINE))
    ink = ImageDraw.Draw(page)
    if shape == "circle":
        box = [(x - size) * FINE, (y - size) * FINE, (x + size) * FINE - 1, (y + size) * FINE - 1]
        ink.ellipse(box, fill=255)
    else:
        radii = {"square": [1.0] * 4, "triangle": [1.0] * 3, "star": [1.0, 0.45] * 5}[shape]
        upright = -45 if shape == "square" else -90
        angles = np.deg2rad(rotation + upright) + 2 * np.pi * np.arange(len(radii)) / len(radii)
        across = (x + size * np.array(radii) * np.cos(angles)) * FINE
        down = (y + size * np.array(radii) * np.sin(angles)) * FINE
        ink.polygon(list(zip(across.tolist(), down.tolist(), strict=True)), fill=255)
    return np.asarray(page.reduce(FINE))


def _extent(size: float) -> str:
    low, high = SIZES
    return ("small", "medium", "large")[min(2, int(3 * (size - low) / (high - low)))]


def _place(x: float, y: float) -> str:
    down = ("top", "middle", "bottom")[min(2, int(3 * y / SIDE))]
    across = ("left", "centre", "right")[min(2, int(3 * x / SIDE))]
    return "in the centre" if (down, across) == ("middle", "centre") else f"at the {down} {across}"


def _turn(shape: str, rotation: float) -> str:
    return "" if shape == "circle" else f", turned by {round(rotation)} degrees"

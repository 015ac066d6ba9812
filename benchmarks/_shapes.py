"""An exact judge of drawn shapes: the factors with which the renderer comes nearest to a picture."""

from __future__ import annotations

from typing import Any

import numpy as np

from ectype.data.drawing import COLOURS, PERIODS, SIDE, SIZES, _cover, _extent, _place

Array = np.ndarray[Any, Any]
INK = np.array(list(COLOURS.values()), np.float32)
SLACK_SIZE, SLACK_PLACE = 0.25, 0.5
"""Pixels by which a size or a centre may lie beyond the range that its word stands for."""


def factors(picture: Array) -> tuple[str, str, float, float, float, float]:
    """Shape, colour, size, x, y and rotation of a picture (32, 32, 3) of 0 to 255: the nearest rendering."""
    depth = 255 - picture.astype(np.float32)
    best_ink = []
    for ink in 255 - INK:  # how much of each pixel an ink covers, and what that leaves unexplained
        cover = np.clip((depth @ ink) / (ink @ ink), 0, 1)
        best_ink.append((float(((depth - cover[..., None] * ink) ** 2).sum()), cover))
    tint = int(np.argmin([error for error, _ in best_ink]))
    cover = best_ink[tint][1]
    weight = cover.sum() + 1e-6
    rows, columns = np.mgrid[:SIDE, :SIDE] + 0.5
    x, y = float((cover * columns).sum() / weight), float((cover * rows).sum() / weight)
    best: tuple[float, tuple[str, float, float]] = (np.inf, ("circle", 4.0, 0.0))
    for shape, period in PERIODS.items():
        for size in np.arange(SIZES[0], SIZES[1] + 0.1, 0.5):
            for rotation in np.arange(0, max(period, 1), 9.0):
                best = min(best, _error(cover, shape, float(size), x, y, float(rotation)))
    shape, size, rotation = best[1]
    for near in np.arange(-0.4, 0.41, 0.1):
        for turn in (-6.0, -3.0, 0.0, 3.0, 6.0) if PERIODS[shape] else (0.0,):
            best = min(best, _error(cover, shape, size + float(near), x, y, rotation + turn))
    shape, size, rotation = best[1]
    return shape, list(COLOURS)[tint], size, x, y, rotation % max(PERIODS[shape], 1)


def _error(
    cover: Array, shape: str, size: float, x: float, y: float, rotation: float
) -> tuple[float, tuple[str, float, float]]:
    drawn = _cover(shape, x, y, size, rotation).astype(np.float32) / 255
    return float(((drawn - cover) ** 2).sum()), (shape, size, rotation)


def agrees(picture: Array, extent: str, colour: str, shape: str, place: str) -> dict[str, bool]:
    """Which of the words of a caption a picture (32, 32, 3) agrees with."""
    seen = factors(picture)
    sizes = {_extent(float(np.clip(seen[2] + d, *SIZES))) for d in (-SLACK_SIZE, 0, SLACK_SIZE)}
    slack = (-SLACK_PLACE, 0, SLACK_PLACE)
    places = {_place(seen[3] + a, seen[4] + b) for a in slack for b in slack}
    return {
        "size": extent in sizes,
        "colour": seen[1] == colour,
        "shape": seen[0] == shape,
        "place": place in places,
    }

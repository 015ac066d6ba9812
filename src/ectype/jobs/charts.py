"""Charts as SVG text: curves, bars and a scatter of points, coloured by the page's style sheet.

Hand-made because a plotting library would cost the package a large dependency, and its pictures do
not follow the reader's light or dark colours.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Points = Sequence[tuple[float, float]]
WIDE, HIGH = 420.0, 260.0
LEFT, RIGHT, TOP, BOTTOM = 54.0, 12.0, 12.0, 40.0
# Okabe and Ito's eight colours for the colour-blind without black, which a dark page would swallow
HUES = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#a88b00", "#8a6bbf", "#7f7f7f",
        "#b5485d")  # fmt: skip


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten apart) that lie in [low, high]."""
    raw = (high - low) / max(1, about - 1)
    if not raw > 0:
        return [low]
    power = 10 ** math.floor(math.log10(raw))
    step = power * next(m for m in (1, 2, 5, 10) if raw <= m * power * (1 + 1e-9))
    first = math.ceil(low / step - 1e-9)
    return [n * step for n in range(first, math.floor(high / step + 1e-9) + 1)]


def written(value: float) -> str:
    """A tick as short text: 1500 → 1.5k."""
    if abs(value) < 1e-12:
        return "0"
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size * 10 or (abs(value) >= size and value % size == 0):
            return f"{value / size:.4g}{letter}"
    return f"{value:.4g}"


def _scale(low: float, high: float, start: float, end: float) -> tuple[float, float]:
    """Factor and shift that take [low, high] to [start, end]."""
    span = high - low if high > low else 1.0
    factor = (end - start) / span
    return factor, start - low * factor


def _axes(xs: tuple[float, float], ys: tuple[float, float], names: tuple[str, str]) -> str:
    """Lines, ticks and names of both axes."""
    ax, bx = _scale(*xs, LEFT, WIDE - RIGHT)
    ay, by = _scale(*ys, HIGH - BOTTOM, TOP)
    out = []
    for value in ticks(*ys):
        y = ay * value + by
        out.append(f'<line class="axis" x1="{LEFT}" x2="{WIDE - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        out.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{written(value)}</text>')
    for value in ticks(*xs):
        x = ax * value + bx
        out.append(f'<text x="{x:.1f}" y="{HIGH - BOTTOM + 16}" text-anchor="middle">{written(value)}</text>')
    middle = (TOP + HIGH - BOTTOM) / 2
    out.append(f'<text x="{(LEFT + WIDE) / 2}" y="{HIGH - 6}" text-anchor="middle">{escape(names[0])}</text>')
    out.append(
        f'<text x="12" y="{middle}" text-anchor="middle" transform="rotate(-90 12 {middle})">'
        f"{escape(names[1])}</text>"
    )
    return "".join(out)


def _svg(content: str, title: str, high: float = HIGH) -> str:
    return f'<svg viewBox="0 0 {WIDE:.0f} {high:.0f}" role="img" aria-label="{escape(title)}">{content}</svg>'


def limits(lines: Mapping[str, Points]) -> tuple[float, float, bool]:
    """Lowest and highest value to draw, and whether some values lie outside.

    The first tenth of training falls so far that the rest would look flat, so the frame is that of
    the later values where there are enough of them.
    """
    last = max(x for points in lines.values() for x, _ in points)
    every = [y for points in lines.values() for _, y in points]
    late = [y for points in lines.values() for x, y in points if x >= last / 10]
    shown = late if len(late) >= 5 else every
    low, high = min(shown), max(shown)
    margin = 0.05 * (high - low) or max(abs(high) * 0.05, 1e-6)
    low, high = low - margin, high + margin
    return low, high, min(every) < low or max(every) > high


def curves(lines: Mapping[str, Points], title: str, unit: str) -> tuple[str, bool]:
    """Lines over training steps as SVG, and whether the start lies outside the frame.

    Arguments:
        lines: by name ("train", "select": also the style's class), (step, value) pairs.
        title: what is drawn, for a reader that cannot see it.
        unit: of the values, the name of the upright axis.
    """
    finite = {k: [(x, y) for x, y in v if math.isfinite(y)] for k, v in lines.items()}
    finite = {k: v for k, v in finite.items() if v}
    if not finite:
        return "", False
    low, high, outside = limits(finite)
    xs = (0.0, max(x for points in finite.values() for x, _ in points))
    ax, bx = _scale(*xs, LEFT, WIDE - RIGHT)
    ay, by = _scale(low, high, HIGH - BOTTOM, TOP)
    drawn = [_axes(xs, (low, high), ("step", unit))]
    # clipped by an inner viewport: a clipPath needs an id, and ids of several charts would collide
    inner = []
    for name, points in finite.items():
        path = " ".join(f"{ax * x + bx - LEFT:.1f},{ay * y + by - TOP:.1f}" for x, y in points)
        kind = escape(name)
        inner.append(f'<path class="{kind}" d="M{path}"/>')
        if len(points) == 1:
            x, y = ax * points[0][0] + bx - LEFT, ay * points[0][1] + by - TOP
            inner.append(f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>')
    size = f'x="{LEFT}" y="{TOP}" width="{WIDE - LEFT - RIGHT}" height="{HIGH - TOP - BOTTOM}"'
    drawn.append(f'<svg {size} overflow="hidden">{"".join(inner)}</svg>')
    key = "".join(f'<span><i class="{escape(n)}"></i>{escape(n)}</span>' for n in finite)
    return _svg("".join(drawn), title) + f'<div class="key">{key}</div>', outside


def bars(values: Sequence[float], title: str, names: tuple[str, str]) -> str:
    """Bars, largest first, as SVG: one per value."""
    finite = sorted((v for v in values if math.isfinite(v)), reverse=True)
    if not finite:
        return ""
    low, high = min(0.0, finite[-1]), max(finite[0], 1e-6) * 1.05
    ay, by = _scale(low, high, HIGH - BOTTOM, TOP)
    step = (WIDE - LEFT - RIGHT) / len(finite)
    drawn = [_axes((0.0, float(len(finite))), (low, high), names)]
    for place, value in enumerate(finite):
        top, foot = ay * max(value, 0.0) + by, ay * min(value, 0.0) + by
        drawn.append(
            f'<rect class="bar" x="{LEFT + step * (place + 0.1):.2f}" y="{top:.2f}" '
            f'width="{step * 0.8:.2f}" height="{max(foot - top, 0.5):.2f}"/>'
        )
    return _svg("".join(drawn), title)


def scatter(points: Array, groups: Sequence[str], title: str, names: tuple[str, str]) -> str:
    """Points (N, 2) as SVG, coloured by their group (one name per point, or none at all)."""
    order = sorted(set(groups))
    colours = {name: HUES[place % len(HUES)] for place, name in enumerate(order)}
    low, high = points.min(0), points.max(0)
    margin = 0.04 * np.maximum(high - low, 1e-6)
    (x0, y0), (x1, y1) = low - margin, high + margin
    ax, bx = _scale(x0, x1, LEFT, WIDE - RIGHT)
    ay, by = _scale(y0, y1, HIGH - BOTTOM, TOP)
    paths: dict[str, list[str]] = {}
    for place, (x, y) in enumerate(points):
        # a line of no length with round ends is a dot, at a third of a circle's bytes
        paths.setdefault(groups[place] if groups else "", []).append(
            f"M{ax * x + bx:.1f},{ay * y + by:.1f}h0"
        )
    drawn = [_axes((x0, x1), (y0, y1), names)]
    for name, dots in sorted(paths.items()):
        colour = f'style="stroke:{colours[name]}"' if name in colours else 'class="train"'
        drawn.append(
            f'<g {colour} stroke-linecap="round" opacity=".75"><path style="stroke-width:4;stroke:inherit" '
            f'd="{"".join(dots)}"/></g>'
        )
    key = "".join(f'<span><i style="background:{colours[n]}"></i>{escape(n)}</span>' for n in order)
    return _svg("".join(drawn), title) + (f'<div class="key">{key}</div>' if key else "")


def plane(codes: Array) -> tuple[Array, tuple[str, str]]:
    """Codes (N, D) as points (N, 2) and the axes' names: themselves for D = 2, else principal components.

    A code of one number is drawn against a constant.
    """
    n, d = codes.shape
    if d == 1:
        return np.column_stack([codes[:, 0], np.zeros(n)]), ("z 1", "")
    if d == 2:
        return codes, ("z 1", "z 2")
    centred = codes - codes.mean(0)
    _, size, axes = np.linalg.svd(centred, full_matrices=False)
    share = size**2 / max(float((size**2).sum()), 1e-300)
    shown = np.zeros((n, 2))
    shown[:, : len(axes[:2])] = centred @ axes[:2].T
    share = np.append(share, [0.0, 0.0])
    return shown, (f"component 1 ({share[0]:.0%} of variance)", f"component 2 ({share[1]:.0%})")

"""Whether made pictures have the texture of real ones: the power of each frequency.

    P_k = mean over items, channels and |f| in ring k of |F[w · (x - x̄)]|²      f in cycles per pixel
    spectrum = mean over rings of |log10 P_k(made) - log10 P_k(real)|

1 is a factor of ten. Blurred pictures have too little of the high frequencies, a checkerboard or noise in
single pixels too much; the distances and neighbours of `generation` see neither, because what lies along
the data's principal axes is smooth. Durall, Keuper and Keuper 2020, "Watch your up-convolution: CNN based
generative deep neural networks are failing to reproduce spectral distributions", section 3 (the mean over
rings); w is Hann's window, so that the picture's borders are no edges.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ectype.metrics import REAL, Score
from ectype.noise import mix
from ectype.shapes import Grid, Shape

RINGS = 16
SMALLEST = 8
"""Pixels of a side below which a picture has no spectrum to speak of."""
_REDRAWN = 40
_PART = 500


def spectrum(
    shape: Shape,
    made: Tensor,
    real: Tensor,
    train: Tensor | None = None,
    *,
    split: str = "test",
    seed: int = 0,
) -> list[Score]:
    """One score for pictures of 8 pixels a side and more, beside what training pictures get; else nothing.

    Arguments:
        shape: of the items.
        made: (N, C, H, W) made items in [0, 1].
        real: (M, C, H, W) real items of the split.
        train: (T, C, H, W) training items, of which the first N are what real items get.
        split: which part of the data the real items are.
        seed: of the bootstrap, which gives the error bar.
    """
    if not isinstance(shape, Grid) or len(shape.size) != 2 or min(shape.size) < SMALLEST:
        return []
    x, y = power(real), power(made)
    stream, found = torch.Generator().manual_seed(mix(seed, 5)), []
    for _ in range(_REDRAWN):
        one, two = (p[torch.randint(len(p), (len(p),), generator=stream)] for p in (x, y))
        found.append(_apart(one, two))
    floor = None if train is None or len(train) < len(y) else _apart(x, power(train[: len(y)]))
    error = float(torch.tensor(found, dtype=torch.float64).std())
    n, known = min(len(x), len(y)), REAL if floor is not None else ""
    note = f"factors of ten, mean of {x.shape[1]} frequencies"
    return [
        Score(
            "spectrum", _apart(x, y), "", "lower", n, split, seed, error, floor, known, least=100, note=note
        )
    ]


def power(x: Tensor) -> Tensor:
    """Power of each ring of frequencies that has one, (N, K), of pictures (N, C, H, W) in [0, 1]."""
    h, w = x.shape[2:]
    window = torch.hann_window(h)[:, None] * torch.hann_window(w)
    away = torch.hypot(torch.fft.fftfreq(h)[:, None], torch.fft.fftfreq(w)[None, :])
    ring = (away * RINGS / math.sqrt(0.5)).long().clamp(max=RINGS - 1)
    ring[0, 0] = RINGS  # the mean, which has been taken off
    counts = torch.bincount(ring.flatten(), minlength=RINGS + 1)[:RINGS]
    found = []
    for part in x.float().split(_PART):
        centred = part - part.mean((2, 3), keepdim=True)
        each = torch.fft.fft2(centred * window).abs().square().mean(1).flatten(1)
        sums = torch.zeros(len(part), RINGS + 1).index_add_(1, ring.flatten(), each)
        found.append(sums[:, :RINGS])
    # what rounding to 8 bits adds anyway: a black picture has no logarithm
    least = float(window.square().sum()) / (12 * 255**2)
    return torch.cat(found)[:, counts > 0] / counts[counts > 0] + least


def _apart(x: Tensor, y: Tensor) -> float:
    """Mean distance of log10 mean powers (N, K) and (M, K)."""
    return float((x.double().mean(0).log10() - y.double().mean(0).log10()).abs().mean())

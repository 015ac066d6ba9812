"""Data that needs no file and no network."""

from __future__ import annotations

from typing import Any

import numpy as np

from ectype.data.found import Found
from ectype.noise import mix


def digits() -> Found:
    """The 1,797 real handwritten digits of scikit-learn, 8x8, grey, with labels 0 to 9.

    They have 17 levels, 0 to 16. They are held with 4 bits, 0 to 15: the two lightest are one. Spread
    over 8 bits, 239 of 256 levels would never occur, and a likelihood of pixels grows without bound on
    such a comb while the pictures get no better.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    values = np.minimum(bunch.images, 15).astype(np.uint8)
    notes = ["digits: the 17 levels are held with 4 bits, the two lightest as one"]
    return Found(values=values, columns={"label": bunch.target.tolist()}, notes=notes, bits=4)


def _mixture(centres: np.ndarray[Any, Any], std: float, n: int, seed: int) -> Found:
    random = np.random.default_rng(mix(seed, len(centres)))
    modes = random.integers(len(centres), size=n)
    values = centres[modes] + std * random.standard_normal((n, centres.shape[1]))
    return Found(
        values=values.astype(np.float32),
        columns={"label": modes.tolist()},
        centres=centres.astype(np.float32),
    )


def ring(n: int = 100_000, seed: int = 0) -> Found:
    """8 round Gaussians of deviation 0.01 on a circle of radius 1; the label is the mode.

    The protocol of Lin, Khetan, Fanti and Oh 2018, "PacGAN: The power of two samples in generative
    adversarial networks" (its synthetic data experiments), 100,000 points.
    """
    angles = 2 * np.pi * np.arange(8) / 8
    return _mixture(np.stack([np.cos(angles), np.sin(angles)], 1), 0.01, n, seed)


def grid(n: int = 100_000, seed: int = 0) -> Found:
    """25 round Gaussians of deviation 0.05 at {-4, -2, 0, 2, 4}²; the label is the mode (as `ring`)."""
    steps = np.arange(-4, 5, 2, dtype=np.float64)
    centres = np.stack(np.meshgrid(steps, steps, indexing="ij"), -1).reshape(-1, 2)
    return _mixture(centres, 0.05, n, seed)


def shapes(n: int = 6000, seed: int = 0) -> Found:
    """Drawn pictures, 32x32 RGB, with exact factors and captions: see `data.drawing`."""
    from ectype.data.drawing import draw

    return draw(n, seed)

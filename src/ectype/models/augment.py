"""Differentiable augmentation of what the critic sees, real and made alike.

Each transformation reaches an item with probability p. Zhao, Liu, Lin, Zhu and Han 2020, "Differentiable
augmentation for data-efficient GAN training", section 3.2 (its strengths); Karras et al. 2020, "Training
generative adversarial networks with limited data", section 2.2 (why with a probability below 1 nothing
of it leaks into what is generated).

    pictures    moved by up to an eighth, brightened by up to ±0.25, contrast × 0.5 … 1.5,
                a square of half the side blanked
    the rest    nothing: what a row or a token may be turned into without lying is the data's secret

Nothing is mirrored: a mirrored 2 is no digit.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ectype.noise import Noise, uniform
from ectype.shapes import Grid, Shape


def strength(items: int) -> float:
    """How likely each transformation is, from the size of the training set: 0.3 for small, 0 from 100,000.

    The rule lucidrains/stylegan2-pytorch starts from, (10^5 - n) · 3e-6, which grows with scarcity.
    """
    return max(0.0, min(0.3, (100_000 - items) * 3e-6))


def augment(x: Tensor, shape: Shape, probability: Tensor | float, noise: Noise) -> Tensor:
    """x (B, *form) with each transformation applied to each item by chance; differentiable in x."""
    if not isinstance(shape, Grid) or len(shape.size) != 2:
        return x
    b = len(x)
    u = uniform((b, 10), noise, x.device)
    on = (u[:, :4] < probability).to(x.dtype)
    # contrast around the item's mean, which keeps the brightness; exactly x where neither is on
    light = on[:, 0] * (u[:, 4] - 0.5)
    shift = 0.5 * on[:, 1] * (u[:, 5] - 0.5)
    form = (b, 1, 1, 1)
    mean = x.flatten(1).mean(1).view(form)
    x = x + (x - mean) * light.view(form) + shift.view(form)
    x = _moved(x, on[:, 2] * (2 * u[:, 6] - 1) / 8, on[:, 2] * (2 * u[:, 7] - 1) / 8)
    return _blanked(x, on[:, 3], u[:, 8], u[:, 9])


def _moved(x: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Pictures moved by whole pixels, a share of the height and width each (B,); edges are repeated."""
    b, _, h, w = x.shape
    rows = (torch.arange(h, device=x.device) - (down * h).round().long().view(b, 1)).clamp(0, h - 1)
    columns = (torch.arange(w, device=x.device) - (right * w).round().long().view(b, 1)).clamp(0, w - 1)
    items = torch.arange(b, device=x.device).view(b, 1, 1)
    # (B, H, W, C): the indices come first
    return x.permute(0, 2, 3, 1)[items, rows.unsqueeze(2), columns.unsqueeze(1)].permute(0, 3, 1, 2)


def _blanked(x: Tensor, on: Tensor, top: Tensor, left: Tensor) -> Tensor:
    """A window of half the height and width set to the middle grey, where `on` (B,) is 1."""
    b, _, h, w = x.shape
    rows = torch.arange(h, device=x.device).view(1, h) - (top * h).view(b, 1)
    columns = torch.arange(w, device=x.device).view(1, w) - (left * w).view(b, 1)
    inside = (rows.abs() < h / 4).unsqueeze(2) & (columns.abs() < w / 4).unsqueeze(1)
    hidden = (inside.to(x.dtype) * on.view(b, 1, 1)).unsqueeze(1)
    return x * (1 - hidden) + 0.5 * hidden

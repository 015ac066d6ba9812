"""The learned scale that the location families (normal, Laplace) share.

One scale for everything, one per channel or column, or one per site from the decoder.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ectype.errors import UsageError
from ectype.shapes import Joint, Shape, Tokens

WIDEST = 40.0
"""Largest log scale that a draw or a mean is computed with: exp of much more is infinite in float32."""


def width(log_scale: Tensor) -> Tensor:
    """The scale itself, exp(log_scale), of any form; finite, and with finite gradients, for any number.

    log_prob keeps the log scale as it is, and with it the gradient that leads back from there.
    """
    return torch.exp(log_scale.clamp(max=WIDEST))


class LearnedScale(nn.Module):
    """The learned log scale of a location family: shared numbers, or half the decoder's output."""

    def __init__(self, shape: Shape, scale: str, floor: float) -> None:
        super().__init__()
        if isinstance(shape, Tokens):
            raise UsageError("tokens and labels are not real numbers: use the likelihood categorical")
        if isinstance(shape, Joint):
            raise UsageError(
                "a scale needs items of one part, and these have several: use the likelihood product"
            )
        if not 0 < floor < math.inf:
            raise UsageError(f"floor is the smallest scale, a number above 0, not {floor}")
        form = shape.form
        self.per_site = scale == "site"
        self.floor = math.log(floor)
        if not self.per_site:
            axis = (form[0], *(1 for _ in form[1:])) if scale == "channel" else tuple(1 for _ in form)
            self.log_scale = nn.Parameter(torch.full(axis, -1.0))
        self.numbers = (2 * form[0], *form[1:]) if self.per_site else form
        self.register_buffer("origin", torch.zeros(form))

    def begin(self, x: Tensor) -> None:
        """0 means the average item of x (N, *form)."""
        self.get_buffer("origin").copy_(x.nanmean(0).nan_to_num(0.0))

    def forward(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """(B, *numbers) to the location (B, *form) and a log scale that broadcasts to it."""
        h = h.float()
        location, log_scale = h.chunk(2, 1) if self.per_site else (h, self.log_scale)
        location = location + self.get_buffer("origin")
        # softplus keeps a gradient where a clamp would leave the scale stuck at its floor
        return location, self.floor + F.softplus(log_scale - self.floor)

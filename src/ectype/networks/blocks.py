"""Parts that several networks share: the stem that reads any shape, and the condition's way in."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ectype.context import Context
from ectype.errors import UsageError, did_you_mean
from ectype.shapes import Grid, Shape, Tokens

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "elu": F.elu,
    "gelu": F.gelu,
    "leaky": partial(F.leaky_relu, negative_slope=0.2),
    "relu": F.relu,
    "silu": F.silu,
    "tanh": torch.tanh,
}


def activation_called(name: str) -> Callable[[Tensor], Tensor]:
    """The activation of that name; raises UsageError with the nearest known one."""
    if name not in ACTIVATIONS:
        raise UsageError(f"there is no activation called '{name}'{did_you_mean(name, ACTIVATIONS)}")
    return ACTIVATIONS[name]


def checked_share(dropout: float) -> float:
    """The share of units to silence; raises UsageError where it is none."""
    if not 0 <= dropout < 1:
        raise UsageError(f"dropout is a share of the units, from 0 to below 1, not {dropout}")
    return dropout


@final
class Stem(nn.Module):
    """Reads an item of any shape into floats, with unobserved values replaced by a learned constant.

    Grids in [0, 1] are centred to [-1, 1]; tokens enter as one-hots, and so do soft one-hots
    (B, *size, V), which is how the output of a text or table generator reaches a critic.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        form = (*shape.size, shape.vocabulary) if isinstance(shape, Tokens) else shape.form
        self.form = form
        self.fill = nn.Parameter(torch.zeros(form[0] if isinstance(shape, Grid) else 1))

    def forward(self, x: Tensor, seen: Tensor | None = None) -> Tensor:
        """x (B, *form) and seen (B, *sites) to floats (B, *self.form)."""
        if isinstance(self.shape, Tokens):
            if x.dim() == 1 + len(self.shape.size):
                if seen is not None:  # an unseen token may be out of the vocabulary
                    x = torch.where(seen.bool(), x, torch.zeros_like(x))
                x = F.one_hot(x.long(), self.shape.vocabulary).float()
            if seen is not None:
                x = torch.where(seen.bool().unsqueeze(-1), x, self.fill)
            return x
        if isinstance(self.shape, Grid):
            x = 2 * x - 1
        if seen is not None:
            if seen.dim() < x.dim():  # a joint-channel pixel is one site
                seen = seen.unsqueeze(1)
            x = torch.where(seen.bool(), x, self.fill.view(-1, *(1 for _ in self.form[1:])))
        return x


@final
class Conv2d(nn.Conv2d):
    """A convolution that becomes a linear layer where its output is one pixel.

    There it is one product of the kernel with the window it meets, and the rows and columns that meet
    only padding drop out: from 3 x 3 to 1 x 1 that is a third faster on a CPU than the kernel for
    convolutions, and the deeper the network the more of its weights lie there.
    """

    def forward(self, x: Tensor) -> Tensor:
        """x (B, C, H, W) to (B, O, H', W')."""
        if self.groups > 1 or isinstance(self.padding, str) or self.padding_mode != "zeros":
            return super().forward(x)
        weight = self.weight
        for axis in (0, 1):
            size, pad, kernel = x.shape[2 + axis], self.padding[axis], self.kernel_size[axis]
            if (
                self.dilation[axis] != 1
                or pad >= kernel
                or (size + 2 * pad - kernel) // self.stride[axis] != 0
            ):
                return super().forward(x)
            # what is left of a padded side or a picture longer than the kernel
            weight = weight.narrow(2 + axis, pad, min(kernel - pad, size))
        x = x[..., : weight.shape[2], : weight.shape[3]]
        # with the channels last, as both lie in memory, so that flattening copies whole rows
        flat = weight.permute(0, 2, 3, 1).flatten(1)
        return F.linear(x.permute(0, 2, 3, 1).flatten(1), flat, self.bias)[..., None, None]


@final
class Modulation(nn.Module):
    """h · (1 + a(c)) + b(c): how a condition scales and shifts features, starting as the identity.

    Perez, Strub, de Vries, Dumoulin and Courville 2018, "FiLM: Visual reasoning with a general
    conditioning layer", equation 1.
    """

    def __init__(self, context: int, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(context, 2 * channels)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, h: Tensor, context: Context) -> Tensor:
        """h (B, C, ...) and the context's vector to (B, C, ...)."""
        scale, shift = self.linear(context.vector).to(h.dtype).chunk(2, 1)
        form = (*scale.shape, *(1 for _ in h.shape[2:]))
        return h * (1 + scale.view(form)) + shift.view(form)

"""Plain stacks of strided convolutions for a picture of any size, aspect and channel count.

    x (C, H, W) ─ stem ─ [4 x 4 convolution to half the size ─ activation] … ─ convolution to one pixel ─ out
    z ─ linear ─ [activation ─ 4 x 4 transposed convolution to twice the size] … ─ numbers (C, H, W)

Radford, Metz and Chintala 2016, "Unsupervised representation learning with deep convolutional generative
adversarial networks", section 3 and figure 1: no pooling and no hidden layers without a stride, leaky
activations where a picture is read. Each axis is halved, rounding down, while it is longer than 4;
an axis that is not halved is read 3 wide. The decoder goes back through the same sizes.

The article normalises over the batch. Nothing here does: an item would depend on its neighbours, and
the critic's penalties on single items would have no meaning. Weights start as PyTorch draws them: ones
that keep the signal's size from layer to layer (He et al. 2015) were tried, and a VAE fell far behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod
from typing import final

import torch
from torch import Tensor, nn

from ectype.context import NO_PORTS, Context, Ports
from ectype.errors import UsageError
from ectype.networks.blocks import Conv2d, Entrance, Guide, Stem, activation_called, beside, checked_share
from ectype.shapes import Grid, Shape

_SMALLEST = 4
_CAP = 8  # times the width of the first layer, as in the article's four layers


class _Plan:
    """Sizes from the picture down, and the channels of every size below it."""

    def __init__(self, size: Sequence[int], width: int) -> None:
        if len(size) != 2:
            raise UsageError(f"dcgan needs a picture (height and width), not a grid of size {tuple(size)}")
        if not 0 < width <= 4096:
            raise UsageError(f"dcgan needs width in 1..4096, not {width}")
        self.sizes = [(size[0], size[1])]
        # one layer at least, or a small picture would meet no activation and no condition
        while len(self.sizes) == 1 or max(self.sizes[-1]) > _SMALLEST:
            h, w = self.sizes[-1]
            self.sizes.append((h // 2 if h > _SMALLEST else h, w // 2 if w > _SMALLEST else w))
        self.widths = [width * min(2**i, _CAP) for i in range(len(self.sizes) - 1)]


def _steps(size: tuple[int, int], half: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Kernel and stride between two sizes: 4 and 2 along an axis that is halved, else 3 and 1."""
    halved = [a != b for a, b in zip(size, half, strict=True)]
    return (4 if halved[0] else 3, 4 if halved[1] else 3), (1 + halved[0], 1 + halved[1])


class _Between(nn.Module):
    """What stands between two layers: the context's entrance, activation, dropout."""

    def __init__(
        self, channels: int, context: Ports, size: tuple[int, int], activation: str, dropout: float
    ) -> None:
        super().__init__()
        self.entrance = Entrance(context, channels, prod(size))
        self.activation = activation_called(activation)
        self.dropout = nn.Dropout2d(checked_share(dropout))

    def forward(self, h: Tensor, context: Context | None) -> Tensor:
        """h (B, C, H, W) to the same."""
        out: Tensor = self.dropout(self.activation(self.entrance(h, context)))
        return out


@final
class Encoder(nn.Module):
    """x (B, C, H, W) to (B, out).

    Arguments:
        width: channels of the first layer; each further one has twice as many, up to 8 times.
        activation: elu, gelu, leaky, relu, silu or tanh.
        dropout: share of channels silenced at each training step.
    """

    def __init__(
        self,
        shape: Shape,
        out: int,
        *,
        context: Ports = NO_PORTS,
        width: int = 64,
        activation: str = "leaky",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if not isinstance(shape, Grid):
            raise UsageError(f"dcgan needs a picture and this data is a {type(shape).__name__}; use mlp")
        plan = _Plan(shape.size, width)
        self.read = Stem(shape)
        self.downs = nn.ModuleList()
        for a, b, size, half in zip(
            (shape.channels + context.aligned, *plan.widths),
            plan.widths,
            plan.sizes,
            plan.sizes[1:],
            strict=False,
        ):
            kernel, stride = _steps(size, half)
            self.downs.append(nn.Conv2d(a, b, kernel, stride, padding=1))
        self.between = nn.ModuleList(
            _Between(w, context, size, activation, dropout)
            for w, size in zip(plan.widths, plan.sizes[1:], strict=True)
        )
        self.head = Conv2d(plan.widths[-1], out, plan.sizes[-1])

    def forward(self, x: Tensor, context: Context | None = None, seen: Tensor | None = None) -> Tensor:
        h = beside(self.read(x, seen), context).contiguous(memory_format=torch.channels_last)
        for down, between in zip(self.downs, self.between, strict=True):
            h = between(down(h), context)
        out: Tensor = self.head(h).flatten(1)
        return out


@final
class Decoder(nn.Module):
    """z (B, latent) to (B, *numbers), numbers being (channels, H, W).

    Arguments: as the encoder's.
    """

    writes = False

    def __init__(
        self,
        latent: int,
        numbers: Sequence[int],
        *,
        context: Ports = NO_PORTS,
        width: int = 64,
        activation: str = "relu",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if len(numbers) != 3:
            raise UsageError(f"dcgan writes pictures, not items of form {tuple(numbers)}; use mlp")
        plan = _Plan(numbers[1:], width)
        self.smallest = plan.sizes[-1]
        self.tail = nn.Linear(latent, plan.widths[-1] * prod(self.smallest))
        outs = [numbers[0], *plan.widths[:-1]]
        levels = list(zip(plan.widths, outs, pairwise(plan.sizes), strict=True))
        self.ups = nn.ModuleList()
        for a, b, (size, half) in reversed(levels):
            kernel, stride = _steps(size, half)
            odd = (size[0] - stride[0] * half[0], size[1] - stride[1] * half[1])  # what halving rounded off
            self.ups.append(nn.ConvTranspose2d(a, b, kernel, stride, padding=1, output_padding=odd))
        inner = list(zip(plan.widths, plan.sizes[1:], strict=True))[::-1]
        self.between = nn.ModuleList(_Between(w, context, size, activation, dropout) for w, size in inner)
        self.guides = nn.ModuleList(Guide(context, w, size) for w, size in inner if context.aligned)

    def forward(self, z: Tensor, context: Context | None = None) -> Tensor:
        # with the channels last, as the layers want them
        h = self.tail(z.flatten(1)).view(len(z), *self.smallest, -1).permute(0, 3, 1, 2)
        for i, (up, between) in enumerate(zip(self.ups, self.between, strict=True)):
            if self.guides:
                h = self.guides[i](h, context)
            h = up(between(h, context))
        return h

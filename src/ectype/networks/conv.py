"""Convolutional residual networks for a picture of any size, aspect, channel count and width.

    x (C, H, W) ─ stem ─ level 0: [block] × depth ─ down ─ level 1: [block] × depth ─ … ┬ linear ─┬ + ─ out
                                                                      mean, largest of all places ┘
    z ─ linear ─ w ┬ linear ─ last level: [block] × depth ─ up ─ … ─ level 0: [block] × depth ─ head ─ numbers
                   └ scales and shifts the features of every block

A level halves each axis that is still longer than 8 (rounding up), so no resolution is written
anywhere; the decoder crops what rounding added. Pictures of 16 and more are read and written two by
two pixels at a time ("space to depth"): the full-resolution layers would take most of the time.
Blocks start as the identity and contain no normalisation (Zhang, Dauphin and Ma 2019, "Fixup
initialization", section 3: the last layer of each residual branch starts at zero).

What a latent says acts on all places at once, as the turn of a shape does wherever it lies: Karras, Laine
and Aila 2019, "A style-based generator architecture for generative adversarial networks", section 2, whose
mapping has eight layers; more than one learns later here. Without it a decoder that is told the factors of
drawn shapes draws discs after 2,000 steps, with it the shapes (docs/log.md, 2026-11-22).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod
from typing import final

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from ectype.context import NO_PORTS, Context, Ports
from ectype.errors import UsageError
from ectype.networks.blocks import (
    Entrance,
    Guide,
    Modulation,
    Stem,
    activation_called,
    beside,
    checked_share,
    space_to_depth,
)
from ectype.shapes import Grid, Shape

_SMALLEST = 8
_PATCH_FROM = 16


def levels(size: tuple[int, int]) -> list[tuple[int, int]]:
    """Heights and widths from the picture down to the smallest level, each the last one halved."""
    sizes = [size]
    while max(sizes[-1]) > _SMALLEST:
        h, w = sizes[-1]
        sizes.append((-(-h // 2) if h > _SMALLEST else h, -(-w // 2) if w > _SMALLEST else w))
    return sizes


def depth_to_space(x: Tensor, size: tuple[int, int], fit: tuple[int, int]) -> Tensor:
    """(B, r·s·C, *size) to (B, C, *fit), cropped: the inverse of `space_to_depth`.

    Written with the channels last, where it is 2.5 times faster on a CPU than pixel_shuffle.
    """
    r, s = -(-fit[0] // size[0]), -(-fit[1] // size[1])
    b, c = x.shape[0], x.shape[1] // (r * s)
    x = x.permute(0, 2, 3, 1).reshape(b, *size, r, s, c).permute(0, 1, 3, 2, 4, 5)
    x = x.reshape(b, size[0] * r, size[1] * s, c)
    return x[:, : fit[0], : fit[1]].permute(0, 3, 1, 2)


@final
class Block(nn.Module):
    """x + conv(act(modulate(conv(act(x))))), (B, C, H, W) to the same.

    Arguments:
        style: width of a vector that scales and shifts it beside the context; 0: none.
    """

    def __init__(
        self,
        channels: int,
        entrance: Entrance,
        activation: Callable[[Tensor], Tensor],
        dropout: float,
        style: int = 0,
    ) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)  # type: ignore[arg-type]
        self.entrance = entrance
        self.style = Modulation(style, channels) if style else None
        self.activation = activation
        self.dropout = nn.Dropout2d(checked_share(dropout))

    def forward(self, x: Tensor, context: Context | None, style: Tensor | None = None) -> Tensor:
        h = self.entrance(self.first(self.activation(x)), context)
        if self.style is not None and style is not None:
            h = self.style(h, style)
        h = self.second(self.dropout(self.activation(h)))
        return x + h


class _Plan:
    """Sizes and widths of the levels of one picture size."""

    def __init__(self, size: tuple[int, ...], width: int, depth: int, growth: float, neck: int) -> None:
        if len(size) != 2:
            raise UsageError(f"conv needs a picture (height and width), not a grid of size {size}")
        if not (0 < width <= 4096 and 0 < depth <= 64):
            raise UsageError(f"conv needs width in 1..4096 and depth in 1..64, not {width} and {depth}")
        if not (growth > 0 and 0 < neck <= 4096):
            raise UsageError(f"conv needs growth above 0 and neck in 1..4096, not {growth} and {neck}")
        sizes = levels((size[0], size[1]))
        # the picture itself is a level only when it is too small to be read in patches
        self.sizes = sizes[1:] if max(size) >= _PATCH_FROM else sizes
        self.widths = [max(1, int(width * min(growth**i, 4))) for i in range(len(self.sizes))]


@final
class Level(nn.Module):
    """The blocks of one level, one after the other."""

    def __init__(
        self,
        channels: int,
        size: tuple[int, int],
        depth: int,
        context: Ports,
        activation: str,
        *,
        dropout: float,
        style: int = 0,
    ) -> None:
        super().__init__()
        act = activation_called(activation)
        # one block of a level attends, the others are scaled and shifted only: attention is dear on a CPU
        ports = [context, *(replace(context, tokens=False) for _ in range(depth - 1))]
        self.blocks = nn.ModuleList(
            Block(channels, Entrance(p, channels, prod(size)), act, dropout, style) for p in ports
        )

    def forward(self, h: Tensor, context: Context | None, style: Tensor | None = None) -> Tensor:
        for block in self.blocks:
            h = block(h, context, style)
        return h


@final
class Encoder(nn.Module):
    """x (B, C, H, W) to (B, out).

    Arguments:
        width: channels of the first level.
        growth: how many times more channels each further level has, up to 4 times the first.
        depth: residual blocks per level.
        neck: channels left at the smallest level before the linear layer.
        activation: elu, gelu, leaky, relu, silu or tanh.
        dropout: share of channels silenced at each training step.
    """

    def __init__(
        self,
        shape: Shape,
        out: int,
        *,
        context: Ports = NO_PORTS,
        width: int = 32,
        depth: int = 2,
        growth: float = 2.0,
        neck: int = 32,
        activation: str = "relu",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if not isinstance(shape, Grid):
            raise UsageError(f"conv needs a picture and this data is a {type(shape).__name__}; use mlp")
        plan = _Plan(shape.size, width, depth, growth, neck)
        self.size, self.sizes = (shape.size[0], shape.size[1]), plan.sizes
        patch = prod(-(-a // b) for a, b in zip(shape.size, plan.sizes[0], strict=True))
        self.read = Stem(shape)
        self.stem = nn.Conv2d((shape.channels + context.aligned) * patch, plan.widths[0], 3, padding=1)
        self.levels = nn.ModuleList(
            Level(w, size, depth, context, activation, dropout=dropout)
            for w, size in zip(plan.widths, plan.sizes, strict=True)
        )
        self.downs = nn.ModuleList(
            nn.Conv2d(w, v, 3, stride=(-(-a[0] // b[0]), -(-a[1] // b[1])), padding=1)
            for w, v, a, b in zip(plan.widths, plan.widths[1:], plan.sizes, plan.sizes[1:], strict=False)
        )
        self.channels = plan.widths[-1]
        self.neck = nn.Conv2d(self.channels, neck, 1)
        self.head = nn.Linear(neck * prod(plan.sizes[-1]), out)
        # what is somewhere, wherever that is: from the places alone it is learned at each of them anew, and
        # drawn shapes take twice as many steps to be told apart (docs/log.md, 2026-11-22)
        self.anywhere = nn.Linear(2 * self.channels, out, bias=False)
        self.activation = activation_called(activation)

    def forward(self, x: Tensor, context: Context | None = None, seen: Tensor | None = None) -> Tensor:
        return self.whole(self.places(x, context, seen))

    def places(self, x: Tensor, context: Context | None = None, seen: Tensor | None = None) -> Tensor:
        """x (B, C, H, W) to the features of the smallest level (B, `channels`, h, w)."""
        h = space_to_depth(beside(self.read(x, seen), context), self.size, self.sizes[0])
        h = self.stem(h.contiguous(memory_format=torch.channels_last))
        for i, level in enumerate(self.levels):
            h = level(h, context)
            if i < len(self.downs):
                h = self.downs[i](self.activation(h))
        return h

    def whole(self, h: Tensor) -> Tensor:
        """Those features to (B, out)."""
        h = self.activation(h)
        found = h.flatten(2)
        anywhere: Tensor = self.anywhere(torch.cat([found.mean(2), found.amax(2)], 1))
        out: Tensor = self.head(self.activation(self.neck(h)).flatten(1)) + anywhere
        return out


@final
class Start(nn.Module):
    """z (B, latent) to the features of the smallest level (B, *form) and to w (B, style) for all blocks."""

    def __init__(self, latent: int, style: int, form: tuple[int, int, int]) -> None:
        super().__init__()
        if not 0 <= style <= 1 << 16:
            raise UsageError(f"style is a number of units from 0 to 65536, not {style}")
        self.form = form
        self.mapping = nn.Linear(latent, style) if style else None
        self.tail = nn.Linear(style or latent, prod(form))
        if self.mapping is not None:
            # PyTorch's own weights would leave a tenth of a latent's variance
            nn.init.kaiming_normal_(self.mapping.weight)
            nn.init.kaiming_normal_(self.tail.weight, nonlinearity="linear")

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor | None]:
        w = None if self.mapping is None else silu(self.mapping(z))
        return self.tail(z if w is None else w).view(len(z), *self.form), w


@final
class Decoder(nn.Module):
    """z (B, latent) to (B, *numbers), numbers being (channels, H, W); other arguments as the encoder's.

    Arguments:
        style: units of what a picture's latent becomes to scale all features of its decoder; 0: none.
    """

    writes = False

    def __init__(
        self,
        latent: int,
        numbers: Sequence[int],
        *,
        context: Ports = NO_PORTS,
        width: int = 32,
        depth: int = 2,
        growth: float = 2.0,
        neck: int = 32,
        activation: str = "relu",
        dropout: float = 0.0,
        style: int = 256,
    ) -> None:
        super().__init__()
        if len(numbers) != 3:
            raise UsageError(f"conv writes pictures, not items of form {tuple(numbers)}; use mlp")
        plan = _Plan(tuple(numbers[1:]), width, depth, growth, neck)
        self.size, self.sizes = (numbers[1], numbers[2]), plan.sizes
        patch = prod(-(-a // b) for a, b in zip(self.size, plan.sizes[0], strict=True))
        self.start = Start(latent, style, (neck, *plan.sizes[-1]))
        self.widen = nn.Conv2d(neck, plan.widths[-1], 1)
        self.levels = nn.ModuleList(
            Level(w, size, depth, context, activation, dropout=dropout, style=style)
            for w, size in zip(plan.widths, plan.sizes, strict=True)
        )
        self.guides = nn.ModuleList(
            Guide(context, w, size)
            for w, size in zip(plan.widths, plan.sizes, strict=True)
            if context.aligned
        )
        self.ups = nn.ModuleList(
            nn.Conv2d(v, w * prod(-(-p // q) for p, q in zip(a, b, strict=True)), 1)
            for w, v, a, b in zip(plan.widths, plan.widths[1:], plan.sizes, plan.sizes[1:], strict=False)
        )
        self.head = nn.Conv2d(plan.widths[0], numbers[0] * patch, 3, padding=1)
        self.activation = activation_called(activation)

    def forward(self, z: Tensor, context: Context | None = None) -> Tensor:
        h, w = self.start(z.flatten(1))
        h = self.widen(h.contiguous(memory_format=torch.channels_last))
        for i in reversed(range(len(self.levels))):
            if self.guides:
                h = self.guides[i](h, context)
            h = self.levels[i](h, context, w)
            if i > 0:
                h = depth_to_space(self.ups[i - 1](self.activation(h)), self.sizes[i], self.sizes[i - 1])
        h = self.head(self.activation(h))
        return depth_to_space(h, self.sizes[0], self.size)

"""Convolutional residual networks for series of any length and any number of features.

    x (B, C, T) ─ stem ─ level 0: [block] × depth ─ down ─ level 1: [block] × depth ─ … ─ linear ─ out
    z ─ linear ─ last level: [block] × depth ─ up ─ … ─ level 0: [block] × depth ─ head ─ numbers

The same plan as `conv` on one axis: a level halves an axis longer than 8 (rounding up), the decoder crops
what rounding added, blocks start as the identity (Zhang, Dauphin and Ma 2019, "Fixup initialization", section
3) and nothing is normalised over the batch. Each block of a level looks twice as far as the one before (van
den Oord et al. 2016, "WaveNet: a generative model for raw audio", section 2.1), in both directions.

Inside, a series is a picture of height 1 with the channels last, (B, C, 1, T): on a CPU that takes six tenths
of the time of PyTorch's convolutions along one axis.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import final

import torch
from torch import Tensor, nn

from ectype.context import NO_PORTS, Context, Ports
from ectype.errors import UsageError
from ectype.networks.blocks import Entrance, Stem, activation_called, checked_share
from ectype.networks.conv import depth_to_space, levels
from ectype.shapes import Series, Shape


def lengths(steps: int) -> list[int]:
    """Steps of each level, each half of the last one rounded up, down to at most 8: those of a picture."""
    return [t for _, t in levels((1, steps))]


def _convolution(channels: int, out: int, dilation: int = 1, stride: int = 1) -> nn.Conv2d:
    """A convolution along the steps, (B, C, 1, T) to (B, out, 1, T/stride rounded up)."""
    return nn.Conv2d(channels, out, (1, 3), (1, stride), (0, dilation), (1, dilation))


@final
class Block(nn.Module):
    """x + conv(act(modulate(conv(act(x))))), (B, C, 1, T) to the same; every `dilation`-th step is seen."""

    def __init__(
        self,
        channels: int,
        dilation: int,
        entrance: Entrance,
        activation: Callable[[Tensor], Tensor],
        dropout: float,
    ) -> None:
        super().__init__()
        self.first = _convolution(channels, channels, dilation)
        self.second = _convolution(channels, channels, dilation)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)  # type: ignore[arg-type]
        self.entrance = entrance
        self.activation = activation
        self.dropout = nn.Dropout2d(checked_share(dropout))

    def forward(self, x: Tensor, context: Context | None) -> Tensor:
        h = self.entrance(self.first(self.activation(x)), context)
        return x + self.second(self.dropout(self.activation(h)))


@final
class Level(nn.Module):
    """The blocks of one level, one after the other."""

    def __init__(
        self, channels: int, steps: int, depth: int, context: Ports, activation: str, dropout: float
    ) -> None:
        super().__init__()
        act = activation_called(activation)
        ports = [context, *(replace(context, tokens=False) for _ in range(depth - 1))]
        self.blocks = nn.ModuleList(
            Block(channels, 2**i, Entrance(p, channels, steps), act, dropout) for i, p in enumerate(ports)
        )

    def forward(self, h: Tensor, context: Context | None) -> Tensor:
        for block in self.blocks:
            h = block(h, context)
        return h


def _widths(width: int, depth: int, growth: float, count: int) -> list[int]:
    if not (0 < width <= 4096 and 0 < depth <= 16 and growth > 0):
        raise UsageError(
            "sequence needs width in 1..4096, depth in 1..16 and growth above 0, not "
            f"{width}, {depth} and {growth}"
        )
    return [max(1, int(width * min(growth**i, 4))) for i in range(count)]


@final
class Encoder(nn.Module):
    """x (B, C, T) to (B, out).

    Arguments:
        width: channels of the first level.
        depth: residual blocks per level.
        growth: how many times more channels each further level has, up to 4 times the first.
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
        depth: int = 2,
        growth: float = 1.5,
        activation: str = "relu",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if not isinstance(shape, Series):
            raise UsageError(f"sequence needs a series and this data is a {type(shape).__name__}; use mlp")
        steps = lengths(shape.length)
        widths = _widths(width, depth, growth, len(steps))
        self.read = Stem(shape)
        self.stem = _convolution(shape.features, widths[0])
        self.levels = nn.ModuleList(
            Level(w, t, depth, context, activation, dropout) for w, t in zip(widths, steps, strict=True)
        )
        self.downs = nn.ModuleList(
            _convolution(w, v, stride=2) for w, v in zip(widths, widths[1:], strict=False)
        )
        self.head = nn.Linear(widths[-1] * steps[-1], out)
        self.activation = activation_called(activation)

    def forward(self, x: Tensor, context: Context | None = None, seen: Tensor | None = None) -> Tensor:
        h = self.stem(self.read(x, seen).unsqueeze(2).contiguous(memory_format=torch.channels_last))
        for i, level in enumerate(self.levels):
            h = level(h, context)
            if i < len(self.downs):
                h = self.downs[i](self.activation(h))
        out: Tensor = self.head(self.activation(h).flatten(1))
        return out


@final
class Decoder(nn.Module):
    """z (B, latent) to (B, *numbers), numbers being (channels, T).

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
        depth: int = 2,
        growth: float = 1.5,
        activation: str = "relu",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if len(numbers) != 2:
            raise UsageError(f"sequence writes series, not items of form {tuple(numbers)}; use mlp")
        self.steps = lengths(numbers[1])
        self.widths = _widths(width, depth, growth, len(self.steps))
        self.tail = nn.Linear(latent, self.widths[-1] * self.steps[-1])
        self.levels = nn.ModuleList(
            Level(w, t, depth, context, activation, dropout)
            for w, t in zip(self.widths, self.steps, strict=True)
        )
        self.ups = nn.ModuleList(
            nn.Conv2d(v, 2 * w, 1) for w, v in zip(self.widths, self.widths[1:], strict=False)
        )
        self.head = _convolution(self.widths[0], numbers[0])
        self.activation = activation_called(activation)

    def forward(self, z: Tensor, context: Context | None = None) -> Tensor:
        h = self.tail(z.flatten(1)).view(len(z), self.widths[-1], 1, self.steps[-1])
        h = h.contiguous(memory_format=torch.channels_last)
        for i in reversed(range(len(self.levels))):
            h = self.levels[i](h, context)
            if i > 0:
                h = depth_to_space(
                    self.ups[i - 1](self.activation(h)), (1, self.steps[i]), (1, self.steps[i - 1])
                )
        out: Tensor = self.head(self.activation(h))
        return out.squeeze(2)

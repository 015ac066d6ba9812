"""Fully connected networks for any shape.

    flatten, with what lies on the grid → [linear → entrance of the context → activation] × hidden → linear

The last layer is linear: an activation on a two-number code would cut off half of its plane.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import final

import torch
from torch import Tensor, nn

from ectype.context import NO_PORTS, Context, Ports
from ectype.errors import UsageError
from ectype.networks.blocks import Entrance, Waves, activation_called, checked_share, stem_of
from ectype.shapes import Row, Shape


class _Layers(nn.Module):
    """Hidden layers and a linear output, (B, widths[0]) to (B, widths[-1])."""

    def __init__(self, widths: Sequence[int], ports: Ports, activation: str, dropout: float) -> None:
        super().__init__()
        if not all(0 < w <= 1 << 20 for w in widths):
            raise UsageError(f"every layer needs between 1 and 2^20 units, not {list(widths)}")
        beside = ports.aligned * prod(ports.grid)  # what lies on the grid enters as more numbers
        pairs = zip((widths[0] + beside, *widths[1:-1]), widths[1:], strict=True)
        self.linears = nn.ModuleList(nn.Linear(a, b) for a, b in pairs)
        inner = widths[1:-1]
        self.entrances = nn.ModuleList(Entrance(ports, w) for w in inner)
        # with no hidden layer the condition enters the output itself
        self.last = None if inner else Entrance(ports, widths[-1])
        self.activation = activation_called(activation)
        self.dropout = nn.Dropout(checked_share(dropout))

    def forward(self, h: Tensor, context: Context | None) -> Tensor:
        if context is not None and context.aligned is not None:
            h = torch.cat([h, context.aligned.flatten(1).to(h.dtype)], 1)
        for i, linear in enumerate(self.linears[:-1]):
            h = self.entrances[i](linear(h), context)
            h = self.dropout(self.activation(h))
        h = self.linears[-1](h)
        return h if self.last is None else self.last(h, context)


@final
class Encoder(nn.Module):
    """x of any shape (B, *form) to (B, out).

    Arguments:
        hidden: units of each hidden layer, first to last.
        activation: elu, gelu, leaky, relu, silu or tanh.
        dropout: share of hidden units silenced at each training step.
        waves: of rows of numbers: octaves of sines and cosines that each is read with; 0: the number alone.
    """

    def __init__(
        self,
        shape: Shape,
        out: int,
        *,
        context: Ports = NO_PORTS,
        hidden: Sequence[int] = (512, 512),
        activation: str = "relu",
        dropout: float = 0.0,
        waves: int = 0,
    ) -> None:
        super().__init__()
        self.stem = stem_of(shape)
        self.waves = Waves(waves if isinstance(shape, Row) else 0)
        width = prod(self.stem.form) * self.waves.factor
        self.layers = _Layers((width, *hidden, out), context, activation, dropout)

    def forward(self, x: Tensor, context: Context | None = None, seen: Tensor | None = None) -> Tensor:
        h: Tensor = self.layers(self.waves(self.stem(x, seen).flatten(1)), context)
        return h


@final
class Decoder(nn.Module):
    """z (B, latent) to (B, *numbers): the encoder's layers in the opposite order.

    Arguments:
        hidden: as the encoder's, first to last; the decoder mirrors them.
    """

    writes = False

    def __init__(
        self,
        latent: int,
        numbers: Sequence[int],
        *,
        context: Ports = NO_PORTS,
        hidden: Sequence[int] = (512, 512),
        activation: str = "relu",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.numbers = tuple(numbers)
        widths = (latent, *reversed(hidden), prod(self.numbers))
        self.layers = _Layers(widths, context, activation, dropout)

    def forward(self, z: Tensor, context: Context | None = None) -> Tensor:
        h: Tensor = self.layers(z.flatten(1), context)
        return h.view(-1, *self.numbers)

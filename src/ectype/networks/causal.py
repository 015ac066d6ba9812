"""Dilated convolutions that read and write texts: no step waits for the one before while training.

    x<t ─ embedding, beside z ─ [x + linear(gelu(convolution of x<t, 2^i apart, beside z))] ─ linear ─→ logits

Each layer looks twice as far back as the one before: with 3 symbols each, 5 layers see the last 63. van den
Oord et al. 2016, "WaveNet: a generative model for raw audio", section 2.1; normalised over the channels of
each place, so that no item depends on its neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ectype.context import NO_PORTS, Context, Ports
from ectype.errors import UsageError
from ectype.likelihoods.written import Writer, delayed
from ectype.networks.blocks import Entrance, checked_share
from ectype.networks.recurrent import PADDING, embedded_in, skipped
from ectype.shapes import Shape, Tokens

REACH = 3
"""Symbols that one convolution sees."""


@final
class Layer(nn.Module):
    """x (B, T, C) + what a convolution of it says, whose symbols lie `apart` from each other."""

    def __init__(self, width: int, apart: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.look = nn.Conv1d(width, 2 * width, REACH, dilation=apart)
        self.beside = nn.Linear(width, 2 * width)
        self.out = nn.Linear(2 * width, width)
        self.dropout = nn.Dropout(checked_share(dropout))
        self.before = (REACH - 1) * apart

    def seen(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """What the convolution looks at, (B, C, T); zeros where the mask (B, T) is not."""
        h = self.norm(x).transpose(1, 2)
        return h if mask is None else h * mask.unsqueeze(1).to(h.dtype)

    def added(self, x: Tensor, seen: Tensor, first: Tensor | None) -> Tensor:
        """x (B, T, C) and what is seen around it (B, C, T + before) to the same as x."""
        h = self.look(seen).transpose(1, 2)
        h = h if first is None else h + self.beside(first).unsqueeze(1)
        added: Tensor = x + self.dropout(self.out(F.gelu(h)))
        return added


def _made(width: int, layers: int, dropout: float) -> nn.ModuleList:
    if not (0 < width <= 8192 and 0 < layers <= 16):
        raise UsageError(f"causal needs width in 1..8192 and layers in 1..16, not {width} and {layers}")
    return nn.ModuleList(Layer(width, 2**i, dropout) for i in range(layers))


def _each(layers: nn.ModuleList) -> list[Layer]:
    return [layer for layer in layers if isinstance(layer, Layer)]


@final
class Encoder(nn.Module):
    """x (B, T) of symbols to (B, out); it looks both ways.

    Arguments:
        width: C.
        layers: of convolutions, each of which looks twice as far as the one before.
        dropout: share of what each layer adds silenced at each training step.
    """

    def __init__(
        self,
        shape: Shape,
        out: int,
        *,
        context: Ports = NO_PORTS,
        width: int = 128,
        layers: int = 5,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if not (isinstance(shape, Tokens) and len(shape.size) == 1):
            raise UsageError(f"causal needs a text, and this data is a {type(shape).__name__}; use mlp")
        self.layers = _made(width, layers, dropout)
        self.embedding = nn.Embedding(shape.vocabulary, width)
        self.entrance = Entrance(context, width)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, out)

    def forward(self, x: Tensor, context: Context | None = None, seen: Tensor | None = None) -> Tensor:
        if seen is not None:
            x = torch.where(seen.bool(), x, PADDING)
        h, mask = embedded_in(self.embedding, x)
        pooled = mask.unsqueeze(2).to(h.dtype)
        first = (h * pooled).sum(1) / pooled.sum(1).clamp(min=1)
        for layer in _each(self.layers):
            half = layer.before // 2
            h = layer.added(h, F.pad(layer.seen(h, mask), (half, layer.before - half)), first)
        mean = (self.norm(h) * pooled).sum(1) / pooled.sum(1).clamp(min=1)
        out: Tensor = self.head(self.entrance(mean, context))
        return out


@final
class Decoder(nn.Module):
    """z (B, latent) to a `Writer` of texts; without a latent z is (B, 0).

    Arguments:
        latent: D, or 0.
        numbers: T and V.
        width: C.
        layers: of convolutions, each of which looks twice as far back as the one before.
        dropout: share of what each layer adds silenced at each training step.
        skip: share of its own symbols that it cannot read at each training step.
    """

    writes = True

    def __init__(
        self,
        latent: int,
        numbers: Sequence[int],
        *,
        context: Ports = NO_PORTS,
        width: int = 128,
        layers: int = 5,
        dropout: float = 0.0,
        skip: float = 0.0,
    ) -> None:
        super().__init__()
        if len(numbers) != 2:
            raise UsageError(f"causal writes texts, not items of form {tuple(numbers)}; use mlp")
        self.layers = _made(width, layers, dropout)
        self.embedding = nn.Embedding(numbers[1], width)
        self.tail = nn.Linear(latent, width) if latent else None
        self.begin = nn.Parameter(torch.zeros(width))
        self.first = Entrance(context, width)
        self.last = Entrance(context, width)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, numbers[1])
        self.width = width
        self.skip = checked_share(skip)

    def forward(self, z: Tensor, context: Context | None = None) -> Writer:
        begin = self.begin.expand(len(z), -1)
        begin = begin if self.tail is None else begin + self.tail(z.flatten(1))
        return _Writing(self, self.first(begin, context), context)

    def written(
        self, x: Tensor, first: Tensor, past: Sequence[Tensor], context: Context | None
    ) -> tuple[Tensor, list[Tensor]]:
        """Symbols (B, T) after what each layer saw (B, C, before) to what it knows then, and the same."""
        h = self.embedding(x) + first.unsqueeze(1)
        kept = []
        for layer, before in zip(_each(self.layers), past, strict=True):
            seen = torch.cat([before.to(h.dtype), layer.seen(h).to(h.dtype)], 2)
            h = layer.added(h, seen, first)
            kept.append(seen[:, :, -layer.before :])
        return self.last(self.norm(h).transpose(1, 2), context).transpose(1, 2), kept


@final
class _Writing(Writer):
    """Texts by a `Decoder`, with `first` (B, C) beside every symbol."""

    def __init__(self, network: Decoder, first: Tensor, context: Context | None) -> None:
        super().__init__(len(first), first.device)
        self.network = network
        self.first = first
        self.context = context

    def states(self, x: Tensor) -> Tensor:
        known = skipped(delayed(x), self.network.skip, self.network.training)
        return self.network.written(known, self.first, self.start(), self.context)[0]

    def read(self, states: Tensor) -> Tensor:
        logits: Tensor = self.network.head(states)
        return logits

    def start(self) -> list[Tensor]:
        form = (self.items, self.network.width)
        return [self.first.new_zeros(*form, layer.before) for layer in _each(self.network.layers)]

    def step(self, symbol: Tensor, state: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        states, state = self.network.written(symbol.unsqueeze(1), self.first, state, self.context)
        return self.read(states.squeeze(1)), state

    def taken(self, state: list[Tensor], rows: Tensor) -> list[Tensor]:
        return [seen[rows] for seen in state]

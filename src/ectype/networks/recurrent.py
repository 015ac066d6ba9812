"""Recurrent networks that read and write texts.

    x (B, T) ─ embedding ─ GRU, forwards and backwards ─→ states (B, T, 2C) ─ linear ─→ tokens
                                                            └─ mean over the text ─ linear ─→ out
    z ─ linear, beside an embedding of each position ─ GRU, both ways ─ linear ─→ logits (B, T, V)

The decoder emits all symbols at once, each independent of the others given z. Id 0 is padding: it is never
read, so how far a text is padded changes nothing. Cho et al. 2014, "Learning phrase representations using
RNN encoder-decoder for statistical machine translation", equations 5 to 8.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from ectype.context import NO_PORTS, Context, Ports
from ectype.errors import UsageError
from ectype.networks.blocks import Entrance, checked_share
from ectype.shapes import Shape, Tokens

PADDING = 0


@final
class Encoder(nn.Module):
    """x (B, T) of symbols to (B, out).

    Arguments:
        units: of each direction.
        layers: of the recurrent network, one upon the other.
        dropout: share of the states silenced at each training step.
    """

    def __init__(
        self,
        shape: Shape,
        out: int,
        *,
        context: Ports = NO_PORTS,
        units: int = 128,
        layers: int = 1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if not (isinstance(shape, Tokens) and len(shape.size) == 1):
            raise UsageError(f"recurrent needs a text, and this data is a {type(shape).__name__}; use mlp")
        if not (0 < units <= 8192 and 0 < layers <= 16):
            raise UsageError(
                f"recurrent needs units in 1..8192 and layers in 1..16, not {units} and {layers}"
            )
        self.embedding = nn.Embedding(shape.vocabulary, units, padding_idx=PADDING)
        self.gru = nn.GRU(units, units, layers, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(checked_share(dropout))
        self.entrance = Entrance(context, 2 * units)
        self.head = nn.Linear(2 * units, out)
        self.width = 2 * units

    def forward(self, x: Tensor, context: Context | None = None, seen: Tensor | None = None) -> Tensor:
        if seen is not None:
            x = torch.where(seen.bool(), x, PADDING)
        return self.whole(*self.states(x), context)

    def whole(self, states: Tensor, mask: Tensor, context: Context | None = None) -> Tensor:
        """States (B, T, 2C) and which of them exist to (B, out)."""
        weight = mask.unsqueeze(2).to(states.dtype)
        mean = (states * weight).sum(1) / weight.sum(1).clamp(min=1)
        out: Tensor = self.head(self.entrance(mean, context))
        return out

    def states(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """States (B, T, 2C) and mask (B, T) of texts, hard (B, T) or soft one-hots (B, T, V).

        T becomes the longest text's length in the batch.
        """
        soft = x.dim() == 3
        mask = (x.argmax(2) if soft else x) != PADDING
        length = mask.sum(1)
        steps = max(1, int(length.max()))
        x, mask = x[:, :steps], mask[:, :steps]
        # a text without symbols is read as one step of padding: there is no empty sequence to pack
        embedded = x @ self.embedding.weight if soft else self.embedding(x)
        packed = pack_padded_sequence(
            embedded, length.clamp(min=1).cpu(), batch_first=True, enforce_sorted=False
        )
        states, _ = pad_packed_sequence(self.gru(packed)[0], batch_first=True, total_length=steps)
        return self.dropout(states), mask


@final
class Decoder(nn.Module):
    """z (B, latent) to the logits of every symbol (B, T, V).

    Arguments: as the encoder's.
    """

    def __init__(
        self,
        latent: int,
        numbers: Sequence[int],
        *,
        context: Ports = NO_PORTS,
        units: int = 128,
        layers: int = 1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if len(numbers) != 2:
            raise UsageError(f"recurrent writes texts, not items of form {tuple(numbers)}; use mlp")
        self.positions = nn.Parameter(torch.randn(numbers[0], units) * 0.1)
        self.tail = nn.Linear(latent, units)
        self.first = Entrance(context, units)
        self.gru = nn.GRU(units, units, layers, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(checked_share(dropout))
        self.last = Entrance(context, 2 * units)
        self.head = nn.Linear(2 * units, numbers[1])

    def forward(self, z: Tensor, context: Context | None = None) -> Tensor:
        start = self.first(self.tail(z.flatten(1)), context)
        states, _ = self.gru(start.unsqueeze(1) + self.positions)
        states = self.last(states.transpose(1, 2), context).transpose(1, 2)
        out: Tensor = self.head(self.dropout(states))
        return out

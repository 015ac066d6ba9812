"""Recurrent networks that read and write texts.

    x (B, T) ─ embedding ─ cells, forwards and backwards ─→ states (B, T, 2C) ─ linear ─→ tokens
                                                              └─ mean over the text ─ linear ─→ out
    z ─ linear ─→ first ─→ state before the first symbol
                    └─ beside the embedding of what was written last ─ cells ─ linear ─→ logits of the next

Id 0 is padding: it is never read, so how far a text is padded changes nothing. Cho et al. 2014, "Learning
phrase representations using RNN encoder-decoder for statistical machine translation", equations 5 to 8 (gru);
Hochreiter and Schmidhuber 1997, "Long short-term memory", with the forget gate of Gers, Schmidhuber and
Cummins 2000, "Learning to forget" (lstm). z enters at every step, or a network that knows what it wrote would
soon do without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, final

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from ectype.context import NO_PORTS, Context, Ports
from ectype.errors import UsageError
from ectype.likelihoods.written import Writer, delayed
from ectype.networks.blocks import Entrance, checked_share
from ectype.shapes import Shape, Tokens

PADDING = 0
CELLS = {"gru": nn.GRU, "lstm": nn.LSTM}
Cell = Literal["gru", "lstm"]


def embedded_in(embedding: nn.Embedding, x: Tensor) -> tuple[Tensor, Tensor]:
    """Embedded symbols (B, T, C) and mask (B, T) of texts, hard (B, T) or soft one-hots (B, T, V).

    T becomes the longest text's length in the batch, so that what a batch costs is what there is to read.
    """
    soft = x.dim() == 3
    mask = (x.argmax(2) if soft else x) != PADDING
    there = mask.any(0).nonzero()
    steps = int(there[-1]) + 1 if len(there) else 1
    x, mask = x[:, :steps], mask[:, :steps]
    return x @ embedding.weight if soft else embedding(x), mask


def skipped(x: Tensor, share: float, training: bool) -> Tensor:
    """Symbols (B, T) of which a share became padding while training.

    Bowman et al. 2016, "Generating sentences from a continuous space", section 3.2: what a network cannot
    read in its own beginning it has to read in z.
    """
    if not (training and share > 0):
        return x
    return torch.where(torch.rand(x.shape, device=x.device) < share, PADDING, x)


def cells_called(name: str, units: int, layers: int, *, bidirectional: bool = False) -> nn.GRU | nn.LSTM:
    """Layers of the cells of that name; raises UsageError where there are none."""
    if name not in CELLS:
        raise UsageError(f"cell is {' or '.join(CELLS)}, not '{name}'")
    return CELLS[name](units, units, layers, batch_first=True, bidirectional=bidirectional)


@final
class Encoder(nn.Module):
    """x (B, T) of symbols to (B, out).

    Arguments:
        units: of each direction.
        layers: of the recurrent network, one upon the other.
        dropout: share of the states silenced at each training step.
        cell: gru or lstm.
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
        cell: Cell = "gru",
    ) -> None:
        super().__init__()
        if not (isinstance(shape, Tokens) and len(shape.size) == 1):
            raise UsageError(f"recurrent needs a text, and this data is a {type(shape).__name__}; use mlp")
        if not (0 < units <= 8192 and 0 < layers <= 16):
            raise UsageError(
                f"recurrent needs units in 1..8192 and layers in 1..16, not {units} and {layers}"
            )
        self.embedding = nn.Embedding(shape.vocabulary, units, padding_idx=PADDING)
        self.cells = cells_called(cell, units, layers, bidirectional=True)
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
        embedded, mask = embedded_in(self.embedding, x)
        # from the last symbol backwards: a symbol that is not known may stand before others
        order = torch.arange(1, mask.shape[1] + 1, device=mask.device)
        # a text without symbols is read as one step of padding: there is no empty sequence to pack
        length = (mask * order).amax(1).clamp(min=1).cpu()
        packed = pack_padded_sequence(embedded, length, batch_first=True, enforce_sorted=False)
        states, _ = pad_packed_sequence(self.cells(packed)[0], batch_first=True, total_length=mask.shape[1])
        return self.dropout(states), mask


@final
class Decoder(nn.Module):
    """z (B, latent) to a `Writer` of texts; without a latent z is (B, 0).

    Arguments:
        latent: D, or 0.
        numbers: T and V.
        units: of the recurrent network.
        layers: one upon the other.
        dropout: share of the states silenced at each training step.
        skip: share of its own symbols that it cannot read at each training step.
        cell: gru or lstm.
    """

    writes = True

    def __init__(
        self,
        latent: int,
        numbers: Sequence[int],
        *,
        context: Ports = NO_PORTS,
        units: int = 128,
        layers: int = 1,
        dropout: float = 0.0,
        skip: float = 0.0,
        cell: Cell = "gru",
    ) -> None:
        super().__init__()
        if len(numbers) != 2:
            raise UsageError(f"recurrent writes texts, not items of form {tuple(numbers)}; use mlp")
        self.embedding = nn.Embedding(numbers[1], units)
        self.tail = nn.Linear(latent, units) if latent else None
        self.start = nn.Parameter(torch.zeros(units))
        self.first = Entrance(context, units)
        self.kept = 2 if cell == "lstm" else 1  # what a layer carries along: its output, and its memory
        self.state = nn.Linear(units, layers * self.kept * units)
        self.cells = cells_called(cell, units, layers)
        self.dropout = nn.Dropout(checked_share(dropout))
        self.last = Entrance(context, units)
        self.head = nn.Linear(units, numbers[1])
        self.layers = layers
        self.skip = checked_share(skip)

    def forward(self, z: Tensor, context: Context | None = None) -> Writer:
        start = self.start.expand(len(z), -1)
        start = start if self.tail is None else start + self.tail(z.flatten(1))
        return _Writing(self, self.first(start, context), context)

    def written(self, embedded: Tensor, state: Tensor, context: Context | None) -> tuple[Tensor, Tensor]:
        """Embedded symbols (B, T, C) after a state (layers, B, kept · C): what is known then, and a state."""
        if self.kept == 1:
            states, state = self.cells(embedded, state)
        else:
            parts = tuple(part.contiguous() for part in state.chunk(self.kept, 2))
            states, parts = self.cells(embedded, parts)
            state = torch.cat(parts, 2)
        states = self.last(states.transpose(1, 2), context).transpose(1, 2)
        return self.dropout(states), state


@final
class _Writing(Writer):
    """Texts by a `Decoder`, which begins with `first` (B, C) at every step."""

    def __init__(self, network: Decoder, first: Tensor, context: Context | None) -> None:
        super().__init__(len(first), first.device)
        self.network = network
        self.first = first
        self.context = context

    def states(self, x: Tensor) -> Tensor:
        known = skipped(delayed(x), self.network.skip, self.network.training)
        embedded = self.network.embedding(known) + self.first.unsqueeze(1)
        return self.network.written(embedded, self.start(), self.context)[0]

    def read(self, states: Tensor) -> Tensor:
        logits: Tensor = self.network.head(states)
        return logits

    def start(self) -> Tensor:
        state = torch.tanh(self.network.state(self.first))
        return state.unflatten(1, (self.network.layers, -1)).transpose(0, 1).contiguous()

    def step(self, symbol: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        embedded = (self.network.embedding(symbol) + self.first).unsqueeze(1)
        states, state = self.network.written(embedded, state, self.context)
        return self.read(states.squeeze(1)), state

    def taken(self, state: Tensor, rows: Tensor) -> Tensor:
        return state[:, rows].contiguous()

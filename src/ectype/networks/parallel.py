"""The part of `joint` that writes all symbols of a text at once, each independent of the others given z.

    z ─ linear, beside an embedding of each position ─ GRU, both ways ─ linear ─→ logits (B, T, V)

What is written can only follow from z, so that z has to say all of it: for texts that are made together
with something else, where a network that goes by what it wrote already would leave z to the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn

from ectype.context import NO_PORTS, Context, Ports
from ectype.errors import UsageError
from ectype.networks.blocks import Entrance, checked_share


@final
class Decoder(nn.Module):
    """z (B, latent) to the logits of every symbol (B, T, V).

    Arguments: as those of the recurrent encoder.
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
            raise UsageError(f"parallel writes texts, not items of form {tuple(numbers)}; use mlp")
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

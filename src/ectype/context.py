"""What any set of conditions becomes: the one form every network understands.

    label ─┐
    vector ─┼─ one encoder each ─→ a token (B, C) ─┬─ stacked → tokens (B, T, C), mask (B, T)
    …      ─┘   absent or dropped → a learned null ┴─ summed  → vector (B, C)

There is no conditional class anywhere: nothing given is `None` for a model without conditions, and
a learned null for one with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from ectype.data.batch import Batch


@final
@dataclass(frozen=True)
class Context:
    """Conditions as numbers.

    Arguments:
        vector: (B, C) everything in one vector.
        tokens: (B, T, C) one entry per condition (or per step of one, for text and audio).
        mask: (B, T) which tokens exist.
        aligned: (B, C, *grid) what lies on the output's grid, or None.
    """

    vector: Tensor
    tokens: Tensor
    mask: Tensor
    aligned: Tensor | None = None

    def repeat(self, k: int) -> Context:
        """The same context for K samples per item, K-major: (K·B, ...)."""
        if k == 1:
            return self

        def tile(value: Tensor) -> Tensor:
            return value.repeat(k, *(1 for _ in value.shape[1:]))

        aligned = None if self.aligned is None else tile(self.aligned)
        return Context(tile(self.vector), tile(self.tokens), tile(self.mask), aligned)

    def grouped(self, m: int) -> Context:
        """The mean context of each `m` neighbours: (B/m, ...)."""
        if m == 1:
            return self

        def join(value: Tensor) -> Tensor:
            return value.view(-1, m, *value.shape[1:]).float().mean(1)

        aligned = None if self.aligned is None else join(self.aligned)
        mask = self.mask.view(-1, m, self.mask.shape[1]).any(1)
        return Context(join(self.vector), join(self.tokens), mask, aligned)

    def blank(self, n: int) -> Context:
        """A context of the same widths that says nothing (zeros), for `n` items."""
        tokens = self.tokens.new_zeros(n, *self.tokens.shape[1:])
        mask = self.mask.new_ones(n, *self.mask.shape[1:])
        return Context(self.vector.new_zeros(n, self.vector.shape[1]), tokens, mask)


@final
class Conditioner(nn.Module):
    """Raw conditions to a `Context`, with a learned null for each that is absent or dropped.

    Zeros instead of a learned null would be a value that conditions can have too, and separate
    decisions for encoder and decoder would teach the latent to carry the condition.

    Arguments:
        encoders: by condition name, a module (B, *form) → (B, width).
        width: C, the context's width.
    """

    def __init__(self, encoders: Mapping[str, nn.Module], width: int) -> None:
        super().__init__()
        self.width = width
        self.names = tuple(encoders)
        # by position: a ModuleDict refuses names such as "type" and "a.b", which columns may well have
        self.encoders = nn.ModuleList(encoders.values())
        self.nulls = nn.Parameter(torch.randn(len(self.names), width) * 0.02)

    def forward(self, given: Mapping[str, Tensor], kept: Mapping[str, Tensor], n: int) -> Context:
        """Conditions (B, *form) and which are kept (B,) to the context of `n` items."""
        tokens = []
        for name, encoder, row in zip(self.names, self.encoders, self.nulls, strict=True):
            null = row.expand(n, self.width)
            if name in given:
                token = encoder(given[name]).to(null.dtype)
                if name in kept:
                    token = torch.where(kept[name].view(-1, 1), token, null)
            else:
                token = null
            tokens.append(token)
        stacked = torch.stack(tokens, 1)
        mask = torch.ones(stacked.shape[:2], dtype=torch.bool, device=stacked.device)
        return Context(stacked.sum(1), stacked, mask)

    def of(self, batch: Batch) -> Context:
        """The context of a batch."""
        return self(batch.given, batch.kept, len(batch))

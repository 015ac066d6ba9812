"""Transformers that read and write texts.

    x (B, T) ─ embedding ─ [attention to the text ─ two layers] ─ mean over the text ─→ out
    z ─ linear ─┐
    tokens ─────┴─ memory (B, S, C) ─┐
    x<t ─ embedding ─ [attention to x<t and the memory ─ two layers] ─ linear ─→ logits of x_t

Vaswani et al. 2017, "Attention is all you need", equation 1, with the normalisation before each part as in
Radford et al. 2019, "Language models are unsupervised multitask learners", section 2.3. z is a memory of each
layer, beside the conditions' tokens: Li et al. 2020, "Optimus: organizing sentences via pre-trained modeling
of a latent space", section 3.2, found that better than adding it to the embeddings. Where a symbol stands is
said by turning queries and keys (`turned`): with learned positions added to the embeddings a short training
gets less far (docs/log.md, 2026-11-21).
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

Past = tuple[Tensor, Tensor]
"""Keys and values (B, heads, T, C / heads) of one layer, of what was read so far."""


def turns_of(steps: int, channels: int) -> Tensor:
    """Cosines and sines (2, T, channels // 2) of the angles t · 10000^(-2i / channels)."""
    speeds = 10_000.0 ** (-torch.arange(channels // 2) / max(channels // 2, 1))
    angles = torch.outer(torch.arange(steps), speeds)
    return torch.stack([angles.cos(), angles.sin()])


def turned(x: Tensor, turns: Tensor) -> Tensor:
    """x (B, heads, T, C), each pair of channels turned by an angle (2, T, C // 2) that grows with its place.

    The product of two so turned depends on how far apart they stand: Su et al. 2021, "RoFormer: enhanced
    transformer with rotary position embedding", equation 34. A last odd channel stays as it is.
    """
    cos, sin = turns.to(x.dtype)
    a, b, rest = x.split([cos.shape[-1], cos.shape[-1], x.shape[-1] % 2], -1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos, rest], -1)


def _checked(width: int, heads: int, layers: int) -> None:
    if not (0 < heads <= 64 and 0 < width <= 8192 and width % heads == 0 and 0 < layers <= 64):
        raise UsageError(
            "transformer needs width in 1..8192, a multiple of heads, and layers in 1..64, not "
            f"{width}, {heads} and {layers}"
        )


@final
class Layer(nn.Module):
    """x + attention(norm(x)), then x + two layers(norm(x)), with a gelu between these."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.look = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.dropout = nn.Dropout(dropout)

    def split(self, x: Tensor) -> Tensor:
        """(B, T, C) to (B, heads, T, C / heads)."""
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)

    def forward(
        self,
        x: Tensor,
        turns: Tensor,
        mask: Tensor | None = None,
        past: Past | None = None,
        *,
        causal: bool = False,
    ) -> tuple[Tensor, Past]:
        """x (B, T, C) to the same, and all keys and values there are now.

        Arguments:
            turns: of the places of x, as `turns_of` gives them.
            mask: what each of x may attend to, broadcast to (B, heads, T, S), True: it may; None: all.
            past: keys and values before those of x.
            causal: in place of a mask: nothing attends to what is later.
        """
        query, key, value = (self.split(part) for part in self.look(self.before(x)).chunk(3, 2))
        query, key = turned(query, turns), turned(key, turns)
        if past is not None:
            key, value = torch.cat([past[0], key], 2), torch.cat([past[1], value], 2)
        found = F.scaled_dot_product_attention(query, key, value, mask, is_causal=causal)
        x = x + self.dropout(self.out(found.transpose(1, 2).flatten(2)))
        return x + self.dropout(self.narrow(F.gelu(self.wide(self.between(x))))), (key, value)

    def remembered(self, memory: Tensor) -> Past:
        """Keys and values of a memory (B, S, C), which is read, does not read and stands nowhere."""
        weight, bias = self.look.weight.chunk(3)[1:], self.look.bias.chunk(3)[1:]
        key, value = (self.split(F.linear(memory, w, b)) for w, b in zip(weight, bias, strict=True))
        return key, value


def _made(width: int, heads: int, layers: int, dropout: float) -> nn.ModuleList:
    _checked(width, heads, layers)
    share = checked_share(dropout)
    made = nn.ModuleList(Layer(width, heads, share) for _ in range(layers))
    for name, p in made.named_parameters():
        if p.dim() == 2:
            # what adds to x is the smaller the more layers do
            adds = name.endswith(("out.weight", "narrow.weight"))
            nn.init.normal_(p, std=0.02 / (2 * layers) ** 0.5 if adds else 0.02)
        elif name.endswith("bias"):
            nn.init.zeros_(p)
    return made


@final
class Encoder(nn.Module):
    """x (B, T) of symbols to (B, out).

    Arguments:
        width: C.
        heads: of each layer's attention.
        layers: of attention, one upon the other.
        dropout: share of what each part adds silenced at each training step.
    """

    turns: Tensor

    def __init__(
        self,
        shape: Shape,
        out: int,
        *,
        context: Ports = NO_PORTS,
        width: int = 128,
        heads: int = 4,
        layers: int = 4,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if not (isinstance(shape, Tokens) and len(shape.size) == 1):
            raise UsageError(f"transformer needs a text, and this data is a {type(shape).__name__}; use mlp")
        self.layers = _made(width, heads, layers, dropout)
        self.embedding = nn.Embedding(shape.vocabulary, width)
        self.register_buffer("turns", turns_of(shape.size[0], width // heads), persistent=False)
        self.norm = nn.LayerNorm(width)
        self.entrance = Entrance(context, width)
        self.head = nn.Linear(width, out)
        nn.init.normal_(self.embedding.weight, std=0.02)

    def forward(self, x: Tensor, context: Context | None = None, seen: Tensor | None = None) -> Tensor:
        if seen is not None:
            x = torch.where(seen.bool(), x, PADDING)
        h, known = embedded_in(self.embedding, x)
        first = torch.arange(h.shape[1], device=x.device) == 0
        known = known | (first & ~known.any(1, keepdim=True))  # of nothing one step of padding is read
        for layer in self.layers:
            h = layer(h, self.turns[:, : h.shape[1]], known[:, None, None, :])[0]
        weight = known.unsqueeze(2).to(h.dtype)
        mean = (self.norm(h) * weight).sum(1) / weight.sum(1)
        out: Tensor = self.head(self.entrance(mean, context))
        return out


@final
class Decoder(nn.Module):
    """z (B, latent) to a `Writer` of texts; without a latent z is (B, 0).

    Arguments:
        latent: D, or 0.
        numbers: T and V.
        width: C.
        heads: of each layer's attention.
        layers: of attention, one upon the other.
        dropout: share of what each part adds silenced at each training step.
        skip: share of its own symbols that it cannot read at each training step.
    """

    writes = True

    turns: Tensor

    def __init__(
        self,
        latent: int,
        numbers: Sequence[int],
        *,
        context: Ports = NO_PORTS,
        width: int = 128,
        heads: int = 4,
        layers: int = 4,
        dropout: float = 0.0,
        skip: float = 0.0,
    ) -> None:
        super().__init__()
        if len(numbers) != 2:
            raise UsageError(f"transformer writes texts, not items of form {tuple(numbers)}; use mlp")
        self.layers = _made(width, heads, layers, dropout)
        self.embedding = nn.Embedding(numbers[1], width)
        self.register_buffer("turns", turns_of(numbers[0], width // heads), persistent=False)
        self.tail = nn.Linear(latent, width) if latent else None
        self.tokens = nn.Linear(context.vector, width) if context.vector else None
        self.norm = nn.LayerNorm(width)
        self.entrance = Entrance(Ports(context.vector), width)
        self.head = nn.Linear(width, numbers[1])
        self.skip = checked_share(skip)
        nn.init.normal_(self.embedding.weight, std=0.02)
        nn.init.normal_(self.head.weight, std=0.02)

    def forward(self, z: Tensor, context: Context | None = None) -> Writer:
        rows, there = [], []
        if self.tail is not None:
            rows.append(self.tail(z.flatten(1)).unsqueeze(1))
            there.append(torch.ones(len(z), 1, dtype=torch.bool, device=z.device))
        if self.tokens is not None and context is not None:
            # the vector moves under guidance, where the tokens stay
            rows.append(self.tokens(torch.cat([context.vector.unsqueeze(1), context.tokens], 1)))
            there.append(F.pad(context.mask, (1, 0), value=True))
        memory = torch.cat(rows, 1) if rows else None
        return _Writing(self, memory, torch.cat(there, 1) if there else None, context, len(z))

    def written(
        self, x: Tensor, at: int, past: list[Past] | None, mask: Tensor | None, context: Context | None
    ) -> tuple[Tensor, list[Past]]:
        """Symbols (B, T) from place `at` on, after a past, to what it knows then, and the new past."""
        h, turns, kept = self.embedding(x), self.turns[:, at : at + x.shape[1]], []
        for i, layer in enumerate(self.layers):
            before = None if past is None else past[i]
            h, grown = layer(h, turns, mask, before, causal=mask is None and past is None)
            kept.append(grown)
        h = self.norm(h).transpose(1, 2)
        return self.entrance(h, context).transpose(1, 2), kept


@final
class _Writing(Writer):
    """Texts by a `Decoder` that attends to a memory (B, S, C), of which `there` (B, S) exists."""

    def __init__(
        self,
        network: Decoder,
        memory: Tensor | None,
        there: Tensor | None,
        context: Context | None,
        items: int,
    ) -> None:
        super().__init__(items, network.embedding.weight.device)
        self.network = network
        self.memory = memory
        self.there = there
        self.context = context

    def _past(self) -> list[Past] | None:
        if self.memory is None:
            return None
        return [layer.remembered(self.memory) for layer in self.network.layers if isinstance(layer, Layer)]

    def states(self, x: Tensor) -> Tensor:
        known, steps = skipped(delayed(x), self.network.skip, self.network.training), x.shape[1]
        mask = None
        if self.there is not None:
            causal = torch.ones(steps, steps, dtype=torch.bool, device=x.device).tril()
            seen = self.there[:, None, None, :].expand(-1, 1, steps, -1)
            mask = torch.cat([seen, causal.expand(len(x), 1, -1, -1)], 3)
        return self.network.written(known, 0, self._past(), mask, self.context)[0]

    def read(self, states: Tensor) -> Tensor:
        logits: Tensor = self.network.head(states)
        return logits

    def start(self) -> tuple[int, list[Past] | None]:
        return 0, self._past()

    def step(
        self, symbol: Tensor, state: tuple[int, list[Past] | None]
    ) -> tuple[Tensor, tuple[int, list[Past] | None]]:
        at, past = state
        mask = None
        if self.there is not None:
            mask = F.pad(self.there, (0, at + 1), value=True)[:, None, None, :]
        if past is None:  # with one symbol there is nothing later, and nothing before
            states, past = self.network.written(symbol.unsqueeze(1), at, None, None, self.context)
        else:
            states, past = self.network.written(symbol.unsqueeze(1), at, past, mask, self.context)
        return self.read(states.squeeze(1)), (at + 1, past)

    def taken(self, state: tuple[int, list[Past] | None], rows: Tensor) -> tuple[int, list[Past] | None]:
        at, past = state
        return at, None if past is None else [(key[rows], value[rows]) for key, value in past]

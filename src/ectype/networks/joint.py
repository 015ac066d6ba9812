"""Networks for items of several parts: each part has the network that suits it.

    x_1 ─ encoder 1 ─┐                                  ┌─ decoder 1 ─ numbers of part 1
    x_2 ─ encoder 2 ─┼─ one row ┬ layer ┬ + ─→ out    z ┼─ decoder 2 ─ numbers of part 2
    missing ─ null ──┘          └ linear┘               └─ …

A part of which nothing is seen adds a learned vector of its own, so that one encoder reads every set of
parts. Suzuki, Nakayama and Matsuo 2016, "Joint multimodal learning with deep generative models", section
3.1, read the whole and each part with networks of their own; here the parts' networks are shared.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod
from typing import Any, final

import torch
from torch import Tensor, nn

from ectype.catalog import find
from ectype.context import NO_PORTS, Context, Ports
from ectype.errors import UsageError
from ectype.networks import parallel
from ectype.networks.blocks import activation_called
from ectype.shapes import Joint, Shape, Tokens

_TAKES = {
    "conv": ("width", "depth"),
    "recurrent": ("units",),
    "mlp": ("hidden",),
    "sequence": ("width", "depth"),
}


def _decoder(network: str) -> Any:
    """The decoder of a part; what goes by its own beginning would leave z to the other parts."""
    found = find("networks", network).Decoder
    return parallel.Decoder if found.writes else found


def _sized(network: str, **sizes: object) -> dict[str, Any]:
    """Of the sizes those that a part's network takes."""
    return {name: sizes[name] for name in _TAKES.get(network, ())}


@final
class Encoder(nn.Module):
    """x (B, values) of several parts to (B, out).

    Arguments:
        networks: the network of each part; the data's kind supplies them.
        joined: units of the layers that all parts share; each part's encoder gives half as many.
        width: channels of a picture's first level.
        depth: residual blocks per level of a picture.
        units: of a text's recurrent network, in each direction.
        hidden: units of each hidden layer for labels and numbers.
        activation: of the shared layers: elu, gelu, leaky, relu, silu or tanh.
    """

    def __init__(
        self,
        shape: Shape,
        out: int,
        *,
        context: Ports = NO_PORTS,
        networks: Sequence[str] = (),
        joined: int = 256,
        width: int = 32,
        depth: int = 1,
        units: int = 64,
        hidden: Sequence[int] = (128,),
        activation: str = "relu",
    ) -> None:
        super().__init__()
        if not isinstance(shape, Joint) or len(networks) != len(shape.parts):
            name = type(shape).__name__
            raise UsageError(f"joint needs items of several parts and this data is a {name}; use mlp")
        if not 2 <= joined <= 1 << 16:
            raise UsageError(f"joined is a number of units from 2 to 65536, not {joined}")
        self.shape = shape
        half = joined // 2
        self.parts = nn.ModuleList(
            find("networks", network).Encoder(
                part,
                half,
                context=context,
                **_sized(network, width=width, depth=depth, units=units, hidden=hidden),
            )
            for network, part in zip(networks, shape.parts, strict=True)
        )
        self.nulls = nn.Parameter(torch.randn(len(shape.parts), half) * 0.1)
        self.activation = activation_called(activation)
        self.layer = nn.Linear(half * len(shape.parts), joined)
        self.head = nn.Linear(joined, out)
        # through the layer alone turns of shapes were not found in 4,000 steps (docs/log.md, 2026-11-22)
        self.straight = nn.Linear(half * len(shape.parts), out, bias=False)

    def forward(self, x: Tensor, context: Context | None = None, seen: Tensor | None = None) -> Tensor:
        pieces = self.shape.split(x)
        masks = [None] * len(pieces) if seen is None else self.shape.split(seen)
        rows = []
        for encoder, part, null, piece, mask in zip(
            self.parts, self.shape.parts, self.nulls, pieces, masks, strict=True
        ):
            if isinstance(part, Tokens):
                # an unseen symbol may be anything, NaN included, which is no whole number
                known = piece if mask is None else torch.where(mask.bool(), piece, torch.zeros_like(piece))
                piece = known.long()
            row = encoder(piece, context, mask)
            if mask is not None:
                there = mask.bool().reshape(len(x), -1).any(1, keepdim=True)
                row = row + torch.where(there, 0.0, null).to(row.dtype)
            rows.append(row)
        found = torch.cat(rows, 1)
        h = self.activation(self.layer(self.activation(found)))
        out: Tensor = self.head(h) + self.straight(found)
        return out


@final
class Decoder(nn.Module):
    """z (B, latent) to the numbers of all parts in one row (B, numbers).

    Arguments: as the encoder's, but for its own layers, and
        forms: of the numbers of each part; the likelihood supplies them.
    """

    writes = False

    def __init__(
        self,
        latent: int,
        numbers: Sequence[int],
        *,
        context: Ports = NO_PORTS,
        networks: Sequence[str] = (),
        forms: Sequence[Sequence[int]] = (),
        width: int = 32,
        depth: int = 1,
        units: int = 64,
        hidden: Sequence[int] = (128,),
    ) -> None:
        super().__init__()
        if len(networks) != len(forms) or tuple(numbers) != (sum(map(prod, forms)),) or not forms:
            raise UsageError(f"joint writes items of several parts, not of form {tuple(numbers)}; use mlp")
        # no layers that all parts share before their own: a picture's gradient is a text's many times
        self.parts = nn.ModuleList(
            _decoder(network)(
                latent,
                tuple(form),
                context=context,
                **_sized(network, width=width, depth=depth, units=units, hidden=hidden),
            )
            for network, form in zip(networks, forms, strict=True)
        )

    def forward(self, z: Tensor, context: Context | None = None) -> Tensor:
        return self.some(z, context, range(len(self.parts)))

    def some(self, z: Tensor, context: Context | None, which: Iterable[int]) -> Tensor:
        """The numbers of these parts in one row."""
        return torch.cat([self.parts[i](z.flatten(1), context).float().flatten(1) for i in which], 1)

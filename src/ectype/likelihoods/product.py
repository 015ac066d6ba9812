"""Product of the parts' own likelihoods: parts of one item, independent of each other given z.

    log p(x | z) = sum_i log p_i(x_i | z)

Every value is a site, so that one `seen` fits all parts. Where a part's own likelihood has fewer sites, as
one per pixel, the values of a site share its nats equally.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import final

import torch
from torch import Tensor, nn

from ectype.catalog import find
from ectype.errors import UsageError
from ectype.likelihoods import Distribution, Likelihood
from ectype.noise import Noise
from ectype.shapes import Joint, Shape


@final
class ProductDistribution(Distribution):
    """Independent distributions of the parts of a `Joint`.

    Arguments:
        shape: of the parts together.
        parts: p(x_i | z), in its order.
    """

    def __init__(self, shape: Joint, parts: Sequence[Distribution]) -> None:
        self.shape = shape
        self.parts = tuple(parts)

    def log_prob(self, x: Tensor) -> Tensor:
        """(B, values) to (B, values)."""
        rows = []
        for part, piece in zip(self.parts, self.shape.split(x), strict=True):
            log_p = part.log_prob(piece)
            if log_p.dim() < piece.dim():  # the channels of a pixel are one site
                log_p = log_p.unsqueeze(1).expand_as(piece) / piece.shape[1]
            rows.append(log_p.reshape(len(x), -1))
        return torch.cat(rows, 1)

    def _joined(self, of: Callable[[Distribution], Tensor]) -> Tensor:
        pieces = [of(part) for part in self.parts]
        return torch.cat([piece.reshape(len(piece), -1).float() for piece in pieces], 1)

    def tempered(self, temperature: float = 1.0, nucleus: float = 1.0) -> ProductDistribution:
        return ProductDistribution(self.shape, [part.tempered(temperature, nucleus) for part in self.parts])

    def draw(self, noise: Noise = None) -> Tensor:
        return self._joined(lambda part: part.draw(noise))

    def show(self, noise: Noise = None) -> Tensor:
        return self._joined(lambda part: part.show(noise))

    @property
    def mean(self) -> Tensor:
        return self._joined(lambda part: part.mean)

    @property
    def mode(self) -> Tensor:
        return self._joined(lambda part: part.mode)


@final
class Product(Likelihood):
    """p(x | z) for items of several parts.

    Arguments:
        factors: likelihood and its options for each part; the data's kind supplies them.
    """

    several = True

    def __init__(self, shape: Shape, *, factors: Sequence[tuple[str, Mapping[str, object]]] = ()) -> None:
        super().__init__(shape)
        if not isinstance(shape, Joint):
            raise UsageError(
                f"product needs items of several parts, and this data is a {type(shape).__name__}"
            )
        if len(factors) != len(shape.parts):
            raise UsageError(f"product needs a likelihood for each of {len(shape.parts)} parts")
        self.joint = shape
        self.factors = nn.ModuleList(
            find("likelihoods", name)(part, **options)
            for part, (name, options) in zip(shape.parts, factors, strict=True)
        )
        parts = [part for part in self.factors if isinstance(part, Likelihood)]
        self.forms = tuple(part.numbers for part in parts)
        self.numbers = (sum(map(prod, self.forms)),)
        self.discrete = all(part.discrete for part in parts)
        self.shown = "draw" if any(part.shown == "draw" for part in parts) else "mean"

    def begin(self, x: Tensor) -> None:
        for part, piece in zip(self.factors, self.joint.split(x), strict=True):
            if isinstance(part, Likelihood):
                part.begin(piece)

    def forward(self, h: Tensor) -> ProductDistribution:
        return self.some(h, range(len(self.forms)))

    def some(self, h: Tensor, which: Sequence[int]) -> ProductDistribution:
        """p(x_i | z) of these parts alone, of the numbers that they need in one row."""
        forms = [self.forms[i] for i in which]
        pieces = h.split([prod(form) for form in forms], 1)
        return ProductDistribution(
            Joint(tuple(self.joint.parts[i] for i in which)),
            [
                self.factors[i](piece.reshape(len(h), *form))
                for i, piece, form in zip(which, pieces, forms, strict=True)
            ],
        )

"""What any set of conditions becomes: the one form every network understands.

    label ─┐                       ┌─ vectors, summed            → vector (B, C)
    text  ─┼─ one reader each ─────┼─ vectors and sequences      → tokens (B, T, C), mask (B, T)
    photo ─┘                       └─ what lies on a grid        → aligned (B, A, H, W)
            absent or dropped → a learned null

There is no conditional class anywhere: nothing given is `None` for a model without conditions, and
a learned null for one with them. A network has three ways in for a context: `vector` scales and shifts
its features, `tokens` are attended to, `aligned` is laid beside the picture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, final

import torch
from torch import Tensor, nn

from ectype.data.batch import Batch
from ectype.noise import Noise, normal


class Reading(NamedTuple):
    """What a reader makes of one condition.

    Arguments:
        vector: (B, C) the condition as a whole.
        tokens: (B, T, C) its steps, or None where it has none.
        mask: (B, T) which of them exist; None: all.
        aligned: (B, A, H, W) on the output's grid, or None.
    """

    vector: Tensor
    tokens: Tensor | None = None
    mask: Tensor | None = None
    aligned: Tensor | None = None


@final
@dataclass(frozen=True)
class Ports:
    """Which ways in a context will have, for networks that are built before there is one.

    Arguments:
        vector: C, the width of vector and tokens; 0: no conditions.
        tokens: whether there is a sequence to attend to.
        aligned: A, channels that lie on the output's grid; 0: none.
        grid: H and W of that grid.
    """

    vector: int = 0
    tokens: bool = False
    aligned: int = 0
    grid: tuple[int, int] = (1, 1)


NO_PORTS = Ports()


@final
@dataclass(frozen=True)
class Context:
    """Conditions as numbers.

    Arguments:
        vector: (B, C) everything in one vector.
        tokens: (B, T, C) one entry per condition, then the steps of those that have any.
        mask: (B, T) which tokens exist.
        aligned: (B, A, H, W) what lies on the output's grid, or None.
        kl: (B,) nats of a smoothed vector against N(0, 1), mean of its numbers; None: not smoothed.
    """

    vector: Tensor
    tokens: Tensor
    mask: Tensor
    aligned: Tensor | None = None
    kl: Tensor | None = None

    def repeat(self, k: int) -> Context:
        """The same context for K samples per item, K-major: (K·B, ...)."""
        if k == 1:
            return self

        def tile(value: Tensor) -> Tensor:
            return value.repeat(k, *(1 for _ in value.shape[1:]))

        aligned = None if self.aligned is None else tile(self.aligned)
        return Context(tile(self.vector), tile(self.tokens), tile(self.mask), aligned)

    def grouped(self, m: int) -> Context:
        """The context of each `m` neighbours as one: vectors' mean, tokens in a row, grids side by side."""
        if m == 1:
            return self
        n = len(self.vector) // m
        tokens = self.tokens.reshape(n, -1, self.tokens.shape[2])
        grid = self.aligned
        if grid is not None:
            grid = grid.reshape(n, -1, *grid.shape[2:])
        return Context(self.vector.view(n, m, -1).float().mean(1), tokens, self.mask.reshape(n, -1), grid)

    def blank(self, n: int) -> Context:
        """A context of the same widths that says nothing (zeros), for `n` items."""
        tokens = self.tokens.new_zeros(n, *self.tokens.shape[1:])
        mask = self.mask.new_ones(n, *self.mask.shape[1:])
        aligned = None if self.aligned is None else self.aligned.new_zeros(n, *self.aligned.shape[1:])
        return Context(self.vector.new_zeros(n, self.vector.shape[1]), tokens, mask, aligned)

    def __getitem__(self, at: Tensor | slice) -> Context:
        """The context of some of the items."""
        aligned = None if self.aligned is None else self.aligned[at]
        return Context(self.vector[at], self.tokens[at], self.mask[at], aligned)

    def guided(self, null: Context, scale: float) -> Context:
        """This context, moved away from the one in which nothing is given: null + scale · (self - null).

        Every modulation is linear in the vector and in what lies on the grid, so each moves by the same
        factor: classifier-free guidance (Ho and Salimans 2022, "Classifier-free diffusion guidance",
        equation 6) applied to what conditions do inside a network instead of to its output, which serves a
        likelihood, a prior and a generator alike. What is attended to stays, but for a scale of 0: that is
        `null` itself.
        """
        if scale == 0:
            return null
        grid = self.aligned
        if grid is not None and null.aligned is not None:
            grid = null.aligned + scale * (grid - null.aligned)
        return replace(self, vector=null.vector + scale * (self.vector - null.vector), aligned=grid)

    def within(self, *others: Context) -> Context:
        """This context, its vector and its grid each shortened where longer than those of all the others."""
        grids = [one.aligned for one in others if one.aligned is not None]
        grid = None if self.aligned is None else _shortened(self.aligned, grids)
        return replace(self, vector=_shortened(self.vector, [one.vector for one in others]), aligned=grid)


@final
class Conditioner(nn.Module):
    """Raw conditions to a `Context`, with a learned null for each that is absent or dropped.

    Zeros instead of a learned null would be a value that conditions can have too, and separate
    decisions for encoder and decoder would teach the latent to carry the condition.

    Arguments:
        readers: by condition name, a module (B, *form) → (B, width) or a `Reading`.
        width: C, the context's width.
        grids: form (A, H, W) of the readings that lie on the grid, by name.
        smooth: draw the vector from a normal around it while training: Zhang et al. 2017, "StackGAN: text
            to photo-realistic image synthesis with stacked generative adversarial networks", section 3.2.
            A generator then meets more than the few captions there are.
    """

    def __init__(
        self,
        readers: Mapping[str, nn.Module],
        width: int,
        *,
        grids: Mapping[str, tuple[int, int, int]] | None = None,
        smooth: bool = False,
    ) -> None:
        super().__init__()
        self.width = width
        self.grids = dict(grids or {})
        self.names = tuple(readers)
        # by position: a ModuleDict refuses names such as "type" and "a.b", which columns may well have
        self.encoders = nn.ModuleList(readers.values())
        self.nulls = nn.Parameter(torch.randn(len(self.names), width) * 0.02)
        self.smoothing = nn.Linear(width, 2 * width) if smooth else None

    def forward(
        self, given: Mapping[str, Tensor], kept: Mapping[str, Tensor], n: int, noise: Noise = None
    ) -> Context:
        """Conditions (B, *form) and which are kept (B,) to the context of `n` items."""
        vectors, sequences, masks, grids = [], [], [], []
        for name, reader, row in zip(self.names, self.encoders, self.nulls, strict=True):
            null = row.expand(n, self.width)
            stays = kept.get(name)
            read = _reading(reader(_used(given[name], stays))) if name in given else Reading(null)
            vector = read.vector.to(null.dtype)
            vectors.append(vector if stays is None else torch.where(stays.view(-1, 1), vector, null))
            if read.tokens is not None:
                there = read.tokens.new_ones(read.tokens.shape[:2], dtype=torch.bool)
                there = there if read.mask is None else read.mask
                sequences.append(read.tokens.to(null.dtype))
                masks.append(there if stays is None else there & stays.view(-1, 1))
            if name in self.grids:
                grids.append(_laid(read.aligned, stays, self.grids[name], row))
        tokens = torch.stack(vectors, 1)
        mask = torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device)
        vector, kl = self._smoothed(tokens.sum(1), noise)
        aligned = torch.cat([g.expand(n, -1, -1, -1) for g in grids], 1) if grids else None
        return Context(vector, torch.cat([tokens, *sequences], 1), torch.cat([mask, *masks], 1), aligned, kl)

    def _smoothed(self, vector: Tensor, noise: Noise) -> tuple[Tensor, Tensor | None]:
        """The vector, or a draw around it while training, and what that costs in nats (B,)."""
        if self.smoothing is None:
            return vector, None
        mean, log_scale = self.smoothing(vector).float().chunk(2, 1)
        log_scale = log_scale.clamp(-7, 4)
        kl = 0.5 * (mean.square() + torch.exp(2 * log_scale) - 1) - log_scale
        if self.training:
            mean = mean + torch.exp(log_scale) * normal(mean.shape, noise, mean.device)
        return mean, kl.mean(1)

    def of(self, batch: Batch, noise: Noise = None) -> Context:
        """The context of a batch."""
        return self(batch.given, batch.kept, len(batch), noise)


def _shortened(x: Tensor, others: Sequence[Tensor]) -> Tensor:
    """x (B, ...) with no item longer than the longest of the others' items."""
    length, *lengths = (one.flatten(1).norm(dim=1) for one in (x, *others))
    factor = (torch.stack(lengths).amax(0) / length.clamp(min=1e-12)).clamp(max=1)
    return x * factor.view(-1, *(1 for _ in x.shape[1:]))


def _reading(read: Tensor | Reading) -> Reading:
    return Reading(read) if isinstance(read, Tensor) else read


def _used(value: Tensor, stays: Tensor | None) -> Tensor:
    """A condition (B, *form) with zeros where it is absent or dropped.

    What stands there may be NaN, and choosing the null after the reader would leave 0 · NaN in its gradient.
    """
    if stays is None:
        return value
    return torch.where(stays.view(-1, *(1 for _ in value.shape[1:])), value, value.new_zeros(()))


def _laid(grid: Tensor | None, stays: Tensor | None, form: tuple[int, int, int], like: Tensor) -> Tensor:
    """What lies on the grid (B, A, H, W), or one of zeros where it is absent or dropped.

    A reader keeps one channel for saying that it is there, so that a black picture is not an absent one.
    """
    if grid is None:
        return like.new_zeros(1, *form)
    return grid if stays is None else grid * stays.view(-1, 1, 1, 1).to(grid.dtype)

"""Items as a critic reads them: numbers, for choices have no gradient.

    label (B,)        → one-hot (B, V, 1)
    text  (B, T)      → one-hots (B, V, T), a series of V features
    anything else     → as it is

How long a text is has to be learned, so that padding is a symbol like others here. Elsewhere what is not seen
is zero, and the critic is told.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from ectype.data.batch import Batch
from ectype.likelihoods.written import PADDING
from ectype.shapes import Grid, Joint, Row, Series, Shape, Tokens


def lifted_shape(shape: Shape) -> Grid | Row | Series | Joint:
    """The shape of items of this shape as a critic reads them."""
    return Series(shape.vocabulary, shape.sites) if isinstance(shape, Tokens) else shape


def lifted(batch: Batch, shape: Shape) -> Batch:
    """Real items of a shape as a critic reads them; what is not seen may be anything, NaN included."""
    x, seen = batch.x, batch.seen
    if not isinstance(shape, Tokens):
        return replace(batch, x=x.float() if seen is None else _zeroed(x.float(), seen))
    if seen is not None:
        x = torch.where(seen.bool(), x, PADDING)
    ones = F.one_hot(x.long().view(len(x), -1), shape.vocabulary).float().transpose(1, 2)
    if shape.size or seen is None:
        return replace(batch, x=ones, seen=None)
    seen = seen.view(len(x), 1)
    return replace(batch, x=_zeroed(ones, seen), seen=seen)


def _zeroed(x: Tensor, seen: Tensor) -> Tensor:
    """x (B, *form) with zeros at unseen sites."""
    return torch.where((seen.unsqueeze(1) if seen.dim() < x.dim() else seen).bool(), x, torch.zeros_like(x))

"""Denoising: what an encoder is not shown while it learns.

    x ─ a share of the sites hidden ─ encoder ─→ z ─ decoder ─→ p(x | z), of every site the data has

Vincent, Larochelle, Bengio and Manzagol 2008, "Extracting and composing robust features with denoising
autoencoders", section 2.3, where a hidden value is 0; here it is one that was not seen, which every network
reads. With the posterior of what is left the VAE's objective is still a bound on log p(x): Im, Ahn, Memisevic
and Bengio 2017, "Denoising criterion for variational auto-encoding framework", theorem 1.
"""

from __future__ import annotations

from torch import Tensor

from ectype.data.batch import Batch
from ectype.errors import UsageError
from ectype.noise import Noise, uniform
from ectype.shapes import Grid, Shape


def checked_hide(share: float) -> float:
    """The share of the sites to hide; raises UsageError where it is none."""
    if not 0 <= share < 1:
        raise UsageError(f"hide is a share of an item's values, from 0 to below 1, not {share}")
    return share


def left(batch: Batch, shape: Shape, share: float, noise: Noise) -> Tensor | None:
    """What is seen (B, *sites) of a batch of items of a shape when a share of it is hidden.

    A pixel is hidden with all its channels, of items of several parts each value for itself.
    """
    if share == 0:
        return batch.seen
    form = (1, *shape.size) if isinstance(shape, Grid) else shape.form
    kept = uniform((len(batch), *form), noise, batch.x.device) >= share
    if batch.seen is None:
        return kept.expand(len(batch), *shape.form)
    # where `seen` is of pixels, a pixel's channels are one site
    return batch.seen.bool() & (kept if batch.seen.dim() == kept.dim() else kept.squeeze(1))

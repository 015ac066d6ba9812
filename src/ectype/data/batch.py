"""What travels from the data to a model: one step's items with everything known about them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ectype import noise


@dataclass(frozen=True)
class Batch:
    """One step's items.

    Arguments:
        x: the items, (B, *form) in the model's scale.
        given: conditions by name, each (B, *form of that kind).
        kept: per condition, (B,) bool: present in the data and not dropped this step.
        seen: which likelihood sites are observed, in the likelihood's site shape; None: all.
        mask: which steps exist, (B, T), for variable length; None: all.
        weight: (B,) how much each item counts; None: one each.
        index: (B,) the items' numbers in the data set.
    """

    x: Tensor
    given: Mapping[str, Tensor] = field(default_factory=dict)
    kept: Mapping[str, Tensor] = field(default_factory=dict)
    seen: Tensor | None = None
    mask: Tensor | None = None
    weight: Tensor | None = None
    index: Tensor | None = None

    def __len__(self) -> int:
        return self.x.shape[0]

    @property
    def known(self) -> Tensor:
        """x with NaN where nothing is seen: what is known of the items (B, *form)."""
        if self.seen is None:
            return self.x
        seen = self.seen.unsqueeze(1) if self.seen.dim() < self.x.dim() else self.seen
        return torch.where(seen.bool(), self.x, torch.nan)

    def drop(self, rate: float, generator: noise.Noise) -> Batch:
        """Forget each condition of each item with probability `rate`, decided here once per step.

        Every network of every player then sees the same decision. With separate draws an encoder
        can see a label its decoder does not, and the latent learns to carry it.
        """
        if rate == 0 or not self.given:
            return self
        kept = {}
        for name in self.given:
            stays = noise.uniform((len(self),), generator, self.x.device) >= rate
            kept[name] = stays & self.kept[name] if name in self.kept else stays
        return replace(self, kept=kept)

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on another device."""
        if self.x.device == torch.device(device):
            return self
        return self._each(lambda value: value.to(device, non_blocking=True))

    def first(self, n: int) -> Batch:
        """The first n items."""
        return self if n == len(self) else self._each(lambda value: value[:n])

    def _each(self, change: Callable[[Tensor], Tensor]) -> Batch:
        """The batch with every tensor of it changed."""
        return Batch(
            change(self.x),
            {k: change(v) for k, v in self.given.items()},
            {k: change(v) for k, v in self.kept.items()},
            *(None if v is None else change(v) for v in (self.seen, self.mask, self.weight, self.index)),
        )

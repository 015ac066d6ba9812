"""Which items make up step t: a pure function of (seed, t), so resuming needs no bookkeeping."""

from __future__ import annotations

import torch
from torch import Tensor

from ectype.noise import mix


class Order:
    """Shuffled batches of equal size, epoch after epoch.

    The last partial batch of an epoch is left out (its items come up in other epochs); a set smaller
    than one batch is one batch.

    Arguments:
        indices: the items to train on (N,).
        batch: items per step.
        seed: of the shuffling.
    """

    def __init__(self, indices: Tensor, batch: int, seed: int) -> None:
        self.indices = indices
        self.batch = min(batch, len(indices))
        self.seed = seed
        self.per_epoch = len(indices) // self.batch
        self._epoch = -1
        self._shuffled = self.indices

    def at(self, step: int) -> Tensor:
        """The items of step `step`, counted from 0: (batch,)."""
        epoch, position = divmod(step, self.per_epoch)
        if epoch != self._epoch:
            generator = torch.Generator().manual_seed(mix(self.seed, epoch, 1))
            self._shuffled = self.indices[torch.randperm(len(self.indices), generator=generator)]
            self._epoch = epoch
        return self._shuffled[position * self.batch : (position + 1) * self.batch]

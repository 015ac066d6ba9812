"""How good the averaged weights are, on the select split: what picks the weights that are kept."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ectype.data.data import Data
from ectype.hardware import computing, is_convolutional
from ectype.metrics.space import Space, energy
from ectype.models import Model
from ectype.noise import mix

_ITEMS = 2000  # a standard error of about 2 % of the items' spread
_CHUNK = 500
_AXES_OF = 5000


class Judge:
    """One number per look, lower is better: the loss, or the energy distance of what is made from it.

    A loss that depends on how good the other player is says nothing about quality; there, made items
    are compared with those of the select split under the same conditions, in a space that no model has
    a part in. The noise is the same at every look.

    Arguments:
        data: its select split is judged on.
        model: whether its loss means anything.
        device, precision: of the computation.
        seed: of the noise.
    """

    def __init__(self, data: Data, model: Model, device: torch.device, precision: str, seed: int) -> None:
        self.data = data
        self.device = device
        self.precision = precision
        self.convolutional = is_convolutional(model)
        self.seed = seed
        self.indices = data.splits["select"][:_ITEMS]
        self.margin = 0.0
        """How much worse than the best may be as good as the best: what chance does."""
        self.space: Space | None = None
        if model.adversarial and len(self.indices) > 1:
            self._prepare()

    def _prepare(self) -> None:
        train = self.data.batch(self.data.splits["train"][:_AXES_OF], self._drawing()).x
        self.space = Space(self.data.kind.shape, train)
        self.real = self.space(self.data.batch(self.indices, self._drawing()).x)
        # what the distance of two halves of the same items comes to: 2 of 20 are beyond it
        generator = torch.Generator().manual_seed(mix(self.seed, 8))
        pooled = torch.cat([self.real, self.space(train[: len(self.real)])])
        found = []
        for _ in range(20):
            order = torch.randperm(len(pooled), generator=generator)
            half = len(pooled) // 2
            found.append(abs(energy(pooled[order[:half]], pooled[order[half:]])))
        self.margin = sorted(f if math.isfinite(f) else 0.0 for f in found)[17]

    def _drawing(self) -> torch.Generator:
        return torch.Generator().manual_seed(mix(self.seed, 7))

    @torch.no_grad()
    def of(self, model: Model) -> float | None:
        """The number for a model in eval mode; None without a select split."""
        if len(self.indices) == 0:
            return None
        noise = torch.Generator(device=self.device).manual_seed(mix(self.seed, 4))
        drawing = self._drawing()
        total = torch.zeros((), device=self.device)
        made: list[Tensor] = []
        for part in self.indices.split(_CHUNK):
            batch = self.data.batch(part, drawing).to(self.device)
            with computing(self.convolutional, self.device, self.precision):
                if self.space is None:
                    total += sum(model.loss(batch, name, noise).each.sum() for name in _judged(model))
                else:
                    made.append(model.made(batch, noise))
        if self.space is None:
            return float(total) / len(self.indices)
        return energy(self.real, torch.cat([self.space(x) for x in made]))


def _judged(model: Model) -> tuple[str, ...]:
    return next(stage.players for stage in reversed(model.stages) if stage.players)

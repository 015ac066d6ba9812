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
from ectype.training.signs import Signs

_ITEMS = 2000  # a standard error of about 2 % of the items' spread
_CHUNK = 500
_FEW = 256
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

    def as_good_as(self, best: float) -> float:
        """Below which a later number counts as no worse than the best.

        Of two players the later ones are the better ones until something breaks: the distance prefers
        even modes to sharp ones, and would pick an early blur for a little more evenness.
        """
        return best if self.space is None else 1.5 * max(best, 0.0) + 2 * self.margin

    def _drawing(self) -> torch.Generator:
        return torch.Generator().manual_seed(mix(self.seed, 7))

    @torch.no_grad()
    def of(self, model: Model) -> float | None:
        """The number for a model in eval mode; None without a select split, or two players and one item."""
        if len(self.indices) == 0 or (model.adversarial and self.space is None):
            return None
        if self.space is not None:
            return energy(self.real, self._made(model, self.indices, 4))
        noise, drawing = self._noise(4), self._drawing()
        total = torch.zeros((), device=self.device)
        for part in self.indices.split(_CHUNK):
            batch = self.data.batch(part, drawing).to(self.device)
            with computing(self.convolutional, self.device, self.precision):
                total += sum(model.loss(batch, name, noise).each.sum() for name in _judged(model))
        return float(total) / len(self.indices)

    @torch.no_grad()
    def signs(self, model: Model, signs: Signs) -> set[str]:
        """What a few made items show; nothing for a model whose loss means something."""
        if self.space is None:
            return set()
        few = self.indices[:_FEW]
        return signs.look(self._made(model, few, 10), self.real[: len(few)])

    def _made(self, model: Model, indices: Tensor, stream: int) -> Tensor:
        """Coordinates (N, d) of items made under the conditions of these."""
        space, noise, drawing = self.space, self._noise(stream), self._drawing()
        made = []
        for part in indices.split(_CHUNK):
            batch = self.data.batch(part, drawing).to(self.device)
            with computing(self.convolutional, self.device, self.precision):
                made.append(model.made(batch, noise))
        return torch.cat([space(x) for x in made]) if space else torch.zeros(0)

    def _noise(self, stream: int) -> torch.Generator:
        return torch.Generator(device=self.device).manual_seed(mix(self.seed, stream))


def _judged(model: Model) -> tuple[str, ...]:
    return next(stage.players for stage in reversed(model.stages) if stage.players)

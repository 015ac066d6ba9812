"""The critic: how real an item looks under its conditions, as one logit.

    x (B, *form) ─ augment ─ [pack m side by side] ─ encoder ─→ h (B/m, F) ─ head ─→ logit (B/m,)
                                                                └─ · V c (projection of the condition)

Projection: Miyato and Koyama 2018, "cGANs with projection discriminator", equation 3. It is the only place
where conditions meet an item, but for what lies on the picture's grid, which is read beside it: features that
know no conditions can be held against all of a batch's at the price of one product. Packing: Lin,
Khetan, Fanti and Oh 2018, "PacGAN", section 3: a critic that sees m items at once sees that they are
all the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import final

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, normalize
from torch.nn.utils.parametrizations import spectral_norm

from ectype.context import Conditioner, Context
from ectype.data.batch import Batch
from ectype.errors import UsageError
from ectype.models.lifting import lifted_shape
from ectype.shapes import Grid, Joint, Row, Series, Shape

_POWERS = 6
FEATURES = 128
"""Width F of what the critic sees in an item."""


def packed(shape: Shape, pack: int) -> Shape:
    """The shape of `pack` items side by side, as a critic reads them, as one item.

    Raises UsageError unless 1 <= pack <= 64.
    """
    if not 1 <= pack <= 64:
        raise UsageError(f"pack is the number of items judged together, from 1 to 64, not {pack}")
    shape = lifted_shape(shape)
    if pack == 1:
        return shape
    match shape:
        case Grid():
            return replace(shape, channels=pack * shape.channels)
        case Row():
            return Row(pack * shape.widths)
        case Series():
            return replace(shape, features=pack * shape.features)
        case Joint():
            raise UsageError(
                "pack puts items of one kind side by side, and these have several parts: leave it out"
            )


def _stretch(w: Tensor) -> Tensor:
    """The largest singular value of w (A, B), a scalar, by power iteration: never more, hardly less."""
    # from the longest row, which is no worse than its own length, and the same in a resumed run
    v = w.index_select(0, w.square().sum(1).argmax().view(1))[0]
    for _ in range(_POWERS):
        v = normalize(w.T @ (w @ v), dim=0)
    return torch.linalg.vector_norm(w @ v)


@final
class Critic(nn.Module):
    """Encoder, head and conditions of its own.

    Arguments:
        encoder: (x, context, seen) → (B/pack, FEATURES), for the shape `packed` gives; of the context it
            reads what lies on the grid.
        conditioner: conditions to a Context, shared with no other player; or None.
        pack: items judged together; the last of a batch that make no whole pack are left out.
        spectral: divide each weight by its largest singular value.
    """

    def __init__(
        self,
        encoder: nn.Module,
        conditioner: Conditioner | None = None,
        *,
        pack: int = 1,
        spectral: bool = False,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        # a bias would move all logits alike, which pairing does not see; the other losses find one in h
        self.head = nn.Linear(FEATURES, 1, bias=False)
        self.conditioner = conditioner
        self.projection = nn.Linear(conditioner.width, FEATURES) if conditioner is not None else None
        self.pack = pack
        if spectral:
            for layer in self._layers():
                # layers that start at zero would be 0 / 0; on the meta device nothing has a value
                if layer.weight.is_meta or not layer.weight.any():
                    layer.reset_parameters()
                spectral_norm(layer)

    def _layers(self) -> list[nn.Linear | nn.Conv2d]:
        return [part for part in self.modules() if isinstance(part, (nn.Linear, nn.Conv2d))]

    @torch.no_grad()
    def restrain(self) -> None:
        """Divide each weight, as a matrix, by its largest singular value where that is above 1, or nearly.

        Found by a few power iterations, which may leave a few hundredths; a convolution of such a weight can
        still lengthen a picture, at most by the root of its kernel's places over its stride's.

        Gouk, Frank, Pfahringer and Cree 2021, "Regularisation of neural networks by enforcing Lipschitz
        continuity", algorithm 2: a projection after each step, which needs no state of its own.
        """
        for layer in self._layers():
            layer.weight.div_(_stretch(layer.weight.flatten(1)).clamp(min=1))

    def condition(self, batch: Batch) -> Context | None:
        """The critic's own reading of a batch's conditions."""
        return None if self.conditioner is None else self.conditioner.of(batch)

    @contextmanager
    def held(self) -> Iterator[None]:
        """What is judged inside gets gradients, the critic's own weights do not: another player moves."""
        mine = [p for p in self.parameters() if p.requires_grad]
        for parameter in mine:
            parameter.requires_grad_(False)
        try:
            yield
        finally:
            for parameter in mine:
                parameter.requires_grad_(True)

    def features(self, x: Tensor, context: Context | None = None, seen: Tensor | None = None) -> Tensor:
        """h (B/pack, F), what the critic sees in items x (B, *form), B a multiple of pack (see `whole`)."""
        if self.pack > 1:
            if context is not None:
                context = context.grouped(self.pack)
            if seen is not None:
                seen = self._side_by_side(seen.unsqueeze(1).expand_as(x) if seen.dim() < x.dim() else seen)
            x = self._side_by_side(x)
        h: Tensor = self.encoder(x, context, seen)
        return leaky_relu(h.float(), 0.2)

    def whole(self, batch: Batch) -> Batch:
        """The batch without its last items where they are too few for a pack.

        Raises UsageError where all of them are: the batch, or the training set, is smaller than a pack.
        """
        if len(batch) < self.pack:
            raise UsageError(
                f"a batch of {len(batch)} items cannot be judged {self.pack} at a time: choose a larger "
                "batch or a smaller pack, neither above the size of the training set"
            )
        return batch.first(len(batch) // self.pack * self.pack)

    def _side_by_side(self, x: Tensor) -> Tensor:
        """(B, C, …) to (B/pack, pack · C, …)."""
        return x.reshape(len(x) // self.pack, self.pack * x.shape[1], *x.shape[2:])

    def forward(self, x: Tensor, context: Context | None = None, seen: Tensor | None = None) -> Tensor:
        """The logit of each pack, (B/pack,)."""
        return self.judged(self.features(x, context, seen), context)

    def judged(self, h: Tensor, context: Context | None = None) -> Tensor:
        """The logit of each pack (B/pack,), from its features h (B/pack, F)."""
        with torch.autocast(h.device.type, enabled=False):
            logit: Tensor = self.head(h).squeeze(1)
            if context is not None:
                logit = logit + (h * self._projected(context)).sum(1)
        return logit

    def fits(self, h: Tensor, context: Context) -> Tensor:
        """How well each pack of features h (B/pack, F) fits each pack's conditions, (B/pack, B/pack)."""
        with torch.autocast(h.device.type, enabled=False):
            return h @ self._projected(context).T

    def _projected(self, context: Context) -> Tensor:
        """V c (B/pack, F)."""
        if self.projection is None:
            raise UsageError("this critic was built without conditions")
        out: Tensor = self.projection(context.grouped(self.pack).vector.float())
        return out

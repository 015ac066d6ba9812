"""What keeps the two players level: penalties, augmentation, and the controller of γ.

    critic      adversary(r, f) + γ/2 (|∇D(x)|² + |∇D(x̂)|²) + m · mistaken(x)

Under conditions a critic also tells which of a batch's conditions an item has been given (`_mistaken`).
The controller: P(r > f), how often the critic ranks a pair rightly, is 1/2 when it is blind and 1 when
it has won. γ moves so that it stays near a target between the two:

    log γ ← log γ + κ · (P(r > f) - target) · B,   within bounds

in the manner of the controller that Karras et al. 2020, "Training generative adversarial networks with
limited data", equation 1 and section 3, use for augmentation. Its bounds do much of the work, because how
often the critic is right says little of how steep it is. γ₀ of pictures is 2e-4 per value of an item, at
least a quarter of it and at most twice as much: a tenth is less good, and between the two it hardly matters
(docs/log.md, 2026-11-21); the schedules of Huang et al. 2024 lie there too. For rows of numbers it is 0.01,
and at most 0.1: a critic that reads their waves finds the steepest first, and until the generator is near
the data γ only climbs, whatever it does; from above it is slow to come back. For series, whose values
deviate three times as far as pictures', heavy is better throughout, from 0.1 on. For choices it is 0.2 per
symbol, at most 2: with less a generator of labels went in circles.
"""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, relu

from ectype.context import Context
from ectype.data.batch import Batch
from ectype.errors import UsageError
from ectype.models import Loss
from ectype.models.adversarial import COMPARES, Pair, gradient_penalty, slopes
from ectype.models.augment import augment, strength
from ectype.models.critic import Critic
from ectype.models.lifting import lifted
from ectype.noise import Noise
from ectype.shapes import Grid, Row, Series, Shape, Tokens

# on a CPU, for as long as one is asked, many steps of narrow networks are far ahead of few of wide ones; a
# generator whose latent also scales its features is behind (captioned shapes, docs/log.md, 2026-11-22)
PICTURES = {"width": 16, "style": 0}
TARGET = 0.55
_ITEMS = 5_000  # items after which an error of 1 in the accuracy has moved γ by a factor e
_USUAL = (1e-8, 1e-4, 1.0)
_GAMMA: dict[type[Shape], tuple[float, float, float]] = {
    Grid: (5e-5, 2e-4, 4e-4),
    Row: (1e-8, 1e-2, 0.1),
    Series: (1e-4, 0.1, 1.0),
    Tokens: (1e-8, 0.2, 2.0),
}
"""γ at least, at the start and at most, per value of an item."""


@final
class Balance(nn.Module):
    """Penalties, augmentation and γ of one game.

    Arguments:
        shape: of the items.
        regularizer: r1r2, r1, gp or none.
        gamma: weight of the penalty; None: the controller's.
        augment: probability of each augmentation; None: from the size of the data.
        mismatch: weight of telling an item's conditions from those of the batch's others; None: the kind's.
    """

    log_gamma: Tensor
    strength: Tensor

    def __init__(
        self,
        shape: Shape,
        *,
        regularizer: str,
        gamma: float | None,
        augment: float | None,
        mismatch: float | None = None,
    ) -> None:
        super().__init__()
        if mismatch is None:
            # what pulls hard at first settles a choice for good: of sixteen games of texts five ended with
            # one sort only at 1, of nine one at 0.1 (docs/log.md, 2026-11-22)
            mismatch = 0.1 if isinstance(shape, Tokens) and shape.size else 0.5
        if not 0 <= mismatch < math.inf:
            raise UsageError(f"mismatch is the weight of a loss, 0 or more, not {mismatch}")
        self.mismatch = mismatch
        if gamma is not None and not 0 <= gamma < math.inf:
            raise UsageError(f"gamma is the weight of a penalty, 0 or more, not {gamma}")
        if augment is not None and not 0 <= augment <= 1:
            raise UsageError(f"augment is a probability, not {augment}")
        if gamma is None and regularizer == "gp":
            gamma = 20.0  # Gulrajani et al. 2017 weigh their penalty, which is γ/2 here, by 10
        self.shape = shape
        self.regularizer = regularizer
        self.fixed = gamma
        self.chosen = augment
        least, first, most = _GAMMA.get(type(shape), _USUAL)
        values = max(shape.sites, 2)
        self.bounds = math.log(least * values), math.log(most * values)
        start = math.log(first * values) if gamma is None else math.log(max(gamma, 1e-30))
        self.register_buffer("log_gamma", torch.tensor(start))
        self.register_buffer("strength", torch.tensor(augment or 0.0))

    def begin(self, items: int) -> None:
        """Set the augmentation for a training set of this size, where nobody chose one."""
        if self.chosen is None:
            self.strength.fill_(strength(items))

    @property
    def gamma(self) -> Tensor:
        """γ now, a scalar on the device."""
        return self.log_gamma.exp()

    def critic_loss(self, critic: Critic, batch: Batch, fake: Tensor, pair: Pair, noise: Noise) -> Loss:
        """What the critic has to make small for real items, and made ones as it reads them."""
        batch = lifted(critic.whole(batch), self.shape)  # or one pack would hold real and made items
        context = critic.condition(batch)
        n, m = len(batch), critic.pack
        with torch.enable_grad():
            # one pass over both: nothing in a critic couples items of a batch, and one product is faster
            x = torch.cat([batch.x, fake[:n].detach()]).requires_grad_(self.regularizer in ("r1r2", "r1"))
            seen = None if batch.seen is None else torch.cat([batch.seen, batch.seen])
            varied = self._varied(x, seen, noise)
            twice = None if context is None else context.repeat(2)
            h = critic.features(varied, twice, seen)
            logits = critic.judged(h, twice)
            real, made = logits.chunk(2)
            each = pair(real, made)
            # choices are often the same ones: a critic is blind at 1/2 only where a tie counts half
            accuracy = 0.5 * ((real > made).float() + (real >= made).float()).mean()
            parts = {"accuracy": accuracy.detach(), "gap": (real - made).mean().detach()}
            if self.regularizer != "none" and self.fixed != 0:
                if self.regularizer == "gp":
                    steep = gradient_penalty(lambda y: critic(y, context, batch.seen), x[:n], x[n:], noise, m)
                else:
                    steep = slopes(logits, x, m)
                    real_ones, made_ones = steep.chunk(2)
                    steep = real_ones + made_ones if self.regularizer == "r1r2" else real_ones
                parts |= {"penalty": steep.mean().detach() / m, "gamma": self.gamma}
                each = each + 0.5 * self.gamma * steep
            if context is not None and self.mismatch > 0:
                each = each + self.mismatch * _mistaken(critic, h[: len(real)], context, batch)
        return Loss(each.repeat_interleave(m), batch.weight, parts)

    def generator_loss(
        self, critic: Critic, batch: Batch, fake: Tensor, pair: Pair, noise: Noise, *, contrast: float = 0.0
    ) -> Loss:
        """What the generator has to make small for items as the critic reads them; it gets no gradient.

        Arguments:
            contrast: weight of fitting its conditions, among all of the batch, as well as the real item
                beside it does, and no better.
        """
        batch = lifted(critic.whole(batch), self.shape)
        n, seen, fake = len(batch), batch.seen, fake[: len(batch)]
        with critic.held():
            context = critic.condition(batch)
            if pair not in COMPARES and contrast == 0:  # a pass of the critic over the real items for nothing
                made = critic(self._varied(fake, seen, noise), context, seen)
                each = pair(made.detach(), made)
            else:
                twice = None if seen is None else torch.cat([seen, seen])
                both = self._varied(torch.cat([batch.x, fake]), twice, noise)
                with torch.no_grad():
                    real = critic.features(both[:n], context, seen)
                made = critic.features(both[n:], context, seen)
                each = pair(critic.judged(real, context), critic.judged(made, context))
                if context is not None and contrast > 0:
                    less = [_mistaken(critic, h, context, batch) for h in (made, real)]
                    each = each + contrast * relu(less[0] - less[1])
        return Loss(each.repeat_interleave(critic.pack), batch.weight)

    def _varied(self, x: Tensor, seen: Tensor | None, noise: Noise) -> Tensor:
        """Augmented; with unseen sites as it is, because the mask would have to move along."""
        return x if seen is not None or self.chosen == 0 else augment(x, self.shape, self.strength, noise)

    def steadied(self, factor: float, augmentation: float) -> dict[str, Tensor]:
        """γ times a factor, also one that somebody chose, and so much more augmentation."""
        more = self.strength + augmentation if self.chosen != 0 else self.strength
        return {"log_gamma": self.log_gamma + math.log(factor), "strength": more.clamp(max=0.8)}

    @torch.no_grad()
    def follow(self, accuracy: Tensor, items: int, broken: Tensor) -> None:
        """Move γ after a step of the critic; a broken step moves nothing."""
        if self.fixed is not None:
            return
        move = (accuracy - TARGET) * (items / _ITEMS)
        # what was made heavier than the upper bound by `steadied` stays so until the critic is too weak
        low, high = self.bounds[0], self.log_gamma.clamp(min=self.bounds[1])
        moved = (self.log_gamma + move).clamp(min=low).minimum(high)
        self.log_gamma.copy_(torch.where(broken > 0, self.log_gamma, moved))


def _mistaken(critic: Critic, h: Tensor, context: Context, batch: Batch) -> Tensor:
    """How little items, by their features h (B/pack, F), fit their own conditions among others' (B/pack,).

        log Σ_j exp(D(x_i, c_j) - D(x_i, c_i)),  j over i and every item whose conditions differ

    Reed et al. 2016, "Generative adversarial text to image synthesis", algorithm 1, has one other condition
    per item: without it a critic learns what looks real long before what fits. One is not enough where a
    condition says several things: nearly every other caption is wrong by its easiest word, and what is hard
    to see is hardly ever what decides. All others of the batch at once, as the one fake they make together,
    leave the gradient to the nearest: Zhang et al. 2021, "Cross-modal contrastive learning for text-to-image
    generation", equation 5; Kang and Park 2020, "ContraGAN".
    """
    own = torch.eye(len(h), dtype=torch.bool, device=h.device)
    scores = critic.fits(h, context).masked_fill(~(_differ(batch, critic.pack) | own), -torch.inf)
    return cross_entropy(scores, torch.arange(len(h), device=h.device), reduction="none")


def _differ(batch: Batch, pack: int) -> Tensor:
    """Which packs' conditions say something else than which others', (B/pack, B/pack).

    Nothing given is true of every item, and equal conditions are of each other's.
    """
    packs = len(batch) // pack
    differ = torch.zeros(packs, packs, dtype=torch.bool, device=batch.x.device)
    for name, value in batch.given.items():
        rows = value.reshape(len(batch), -1).double()
        # one number for each condition, which a picture's pixels, pair by pair, would take long to compare
        marks = (rows * torch.cos(torch.arange(1.0, 1 + rows.shape[1], device=rows.device).double())).sum(1)
        mark = marks.view(packs, pack).sum(1)
        kept = batch.kept.get(name, torch.ones_like(marks, dtype=torch.bool)).view(packs, pack).all(1)
        differ |= (mark != mark.unsqueeze(1)) & kept & kept.unsqueeze(1)
    return differ

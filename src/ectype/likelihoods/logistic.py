"""Discretised mixture of logistics: pixels of 2^bits levels, so log_prob is a true probability.

With F the logistic distribution function, the level at v (in [-1, 1], levels 2/(L-1) apart) has

    P(v) = sum_m w_m [ F((v + 1/(L-1) - mu_m) / s_m) - F((v - 1/(L-1) - mu_m) / s_m) ]

where the lowest level takes the whole tail below it and the highest the whole tail above. A pixel
is one site: its channels share the mixture component, and the mean of channel c moves linearly with
the channels before it (Salimans, Karpathy, Chen and Kingma 2017, "PixelCNN++: Improving the PixelCNN
with discretized logistic mixture likelihood and other modifications", equations 2 and 3).
"""

from __future__ import annotations

import math
from typing import Any, final

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from ectype.errors import UsageError
from ectype.likelihoods import Distribution, Likelihood
from ectype.likelihoods.scale import width
from ectype.noise import Noise, uniform
from ectype.shapes import Grid, Shape


@final
class LogisticMixtureDistribution(Distribution):
    """Per pixel M components over C channels.

    Arguments:
        logits: (B, M, *size) mixture weights before the softmax.
        means: (B, M, C, *size) in [-1, 1] units, before the channels' influence on each other.
        log_scales: (B, M, C, *size).
        mixing: (B, M, C(C-1)/2, *size) how channel j < c moves the mean of channel c.
        levels: how many values a channel can take.
    """

    def __init__(
        self, logits: Tensor, means: Tensor, log_scales: Tensor, mixing: Tensor, levels: int
    ) -> None:
        self.log_w = F.log_softmax(logits, 1)
        self.means = means
        self.log_scales = log_scales
        self.mixing = mixing
        self.levels = levels

    def _centres(self, v: Tensor) -> Tensor:
        """Means given the earlier channels of v (B, 1 or M, C, *size): (B, M, C, *size)."""
        channels = self.means.shape[2]
        rows = [self.means[:, :, 0]]
        at = 0
        for c in range(1, channels):
            rows.append(self.means[:, :, c] + (self.mixing[:, :, at : at + c] * v[:, :, :c]).sum(2))
            at += c
        return torch.stack(rows, 2) if channels > 1 else self.means

    def log_prob(self, x: Tensor) -> Tensor:
        """(B, C, *size) in [0, 1] to (B, *size): a pixel is one site."""
        v = (2 * x - 1).unsqueeze(1)
        log_p: Tensor = _Bins.apply(v, self._centres(v), self.log_scales, 1 / (self.levels - 1))  # type: ignore[no-untyped-call]
        return torch.logsumexp(self.log_w + log_p, 1)

    def _component(self, log_w: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Means, scales and mixing of the component with the largest log_w, (B, ·, *size)."""
        chosen = log_w.argmax(1, keepdim=True).unsqueeze(2)

        def take(values: Tensor) -> Tensor:
            form = (*values.shape[:1], 1, *values.shape[2:])
            return values.gather(1, chosen.expand(form)).squeeze(1)

        return take(self.means), take(self.log_scales), take(self.mixing)

    def _channels(self, means: Tensor, mixing: Tensor, spread: Tensor) -> Tensor:
        """Channel by channel, each moved by those before it and by `spread`: levels in [0, 1]."""
        rows: list[Tensor] = []
        at = 0
        for c in range(means.shape[1]):
            value = means[:, c] + spread[:, c]
            for j in range(c):
                value = value + mixing[:, at + j] * rows[j]
            at += c
            rows.append(self._round(value))
        return (torch.stack(rows, 1) + 1) / 2

    def _round(self, v: Tensor) -> Tensor:
        """The nearest level, in [-1, 1] units."""
        steps = self.levels - 1
        return torch.round((v.clamp(-1, 1) + 1) / 2 * steps) / steps * 2 - 1

    def draw(self, noise: Noise = None) -> Tensor:
        u = uniform(self.log_w.shape, noise, self.log_w.device).clamp(1e-20, 1 - 1e-7)
        means, log_scales, mixing = self._component(self.log_w - torch.log(-torch.log(u)))
        u = uniform(means.shape, noise, means.device).clamp(1e-7, 1 - 1e-7)
        spread = width(log_scales) * (torch.log(u) - torch.log1p(-u))
        return self._channels(means, mixing, spread)

    @property
    def mean(self) -> Tensor:
        """E[x] up to the rounding to levels; exact at the edges, where the tails pile up.

        E[clip(X)] = 1 - integral of F over [-1, 1], and the integral of F((t - mu) / s) is
        s softplus((t - mu) / s). Later channels see the mean of the earlier ones. In the range that data
        can have, [0, 1].
        """
        rows: list[Tensor] = []
        at = 0
        for c in range(self.means.shape[2]):
            value = self.means[:, :, c]
            for j in range(c):
                value = value + self.mixing[:, :, at + j] * rows[j]
            at += c
            rows.append(1 - _mass_below(value, width(self.log_scales[:, :, c])))
        v = (self.log_w.exp().unsqueeze(2) * torch.stack(rows, 2)).sum(1)
        return ((v + 1) / 2).clamp(0, 1)

    @property
    def mode(self) -> Tensor:
        """The centre of the heaviest component, rounded to a level."""
        means, _, mixing = self._component(self.log_w)
        return self._channels(means, mixing, torch.zeros_like(means))


@final
class _Bins(torch.autograd.Function):
    """log of the logistic's mass in the bin of each value, summed over channels: (B, M, *size).

    With a and b the bin's edges in scales from the centre, the mass of an inner bin is exactly

        log(F(a) - F(b)) = log F(a) + log F(-b) + log(1 - exp(b - a))

    where the difference of two sigmoids would round to zero. The gradients are written out, which takes
    a third of the time of the some thirty steps that autograd keeps: d/da = F(-a) + r, d/db = -F(b) - r
    with r = 1 / (exp(a - b) - 1), and the two r cancel in the gradient of the centre.
    """

    @staticmethod
    def forward(ctx: Any, v: Tensor, centres: Tensor, log_scales: Tensor, half: float) -> Tensor:
        inverse = torch.exp(-log_scales)
        d = v - centres
        # the lowest level's lower edge and the highest level's upper one lie at infinity, or far enough
        low, high = v < half - 1, v > 1 - half
        above = ((d + half) * inverse).masked_fill_(high, _FAR)
        below = (d.sub_(half) * inverse).masked_fill_(low, -_FAR)
        gap = (inverse * (2 * half)).masked_fill_(low | high, _FAR)
        # the smallest number instead of 0, which scales of e^80 and more would round to
        bins = torch.expm1(-gap).neg_().clamp_(min=torch.finfo(gap.dtype).tiny)
        log_p = torch.log(bins).sub_(F.softplus(-above)).sub_(F.softplus(below))
        over, under = torch.sigmoid(-above), torch.sigmoid(below)
        # gap · r, which is 1 in the limit of wide scales
        rest = torch.where(gap < 1e-6, 1.0, gap * (1 - bins) / bins)
        by_scale = below.mul_(under).sub_(above.mul_(over)).sub_(rest)
        ctx.save_for_backward(under.sub_(over).mul_(inverse), by_scale)
        return log_p.sum(2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor, Tensor, None]:
        by_centre, by_scale = ctx.saved_tensors
        grad = grad.unsqueeze(2)
        return None, grad * by_centre, grad * by_scale, None


_FAR = 1e30  # scales from a centre: beyond it there is no mass, and 0 times it is still 0


def _mass_below(mean: Tensor, s: Tensor) -> Tensor:
    """The integral of F((t - mean) / s) over t in [-1, 1], of the form of both: from 0 to 2."""
    low, across = (-1 - mean) / s, 2 / s
    # log((1 + e^high) / (1 + e^low)), where the difference of two logs would leave nothing but rounding
    flat = torch.log1p(torch.sigmoid(low) * torch.expm1(across.clamp(max=1.0)))
    steep = F.softplus((1 - mean) / s) - F.softplus(low)
    return s * torch.where(across < 1, flat, steep)


@final
class DiscretizedLogisticMixture(Likelihood):
    """p(x | z) for images of 2 or more levels per channel.

    Arguments:
        levels: values a channel can take (256 for 8-bit); the data's kind supplies it.
        logistics: mixture components per pixel.
    """

    discrete = True

    def __init__(self, shape: Shape, *, levels: int = 256, logistics: int = 3) -> None:
        super().__init__(shape)
        if not isinstance(shape, Grid):
            raise UsageError(f"logistic needs a grid, and this data is a {type(shape).__name__}")
        if not (2 <= levels <= 1 << 16 and 0 < logistics <= 1 << 10):
            raise UsageError(
                f"logistic needs 2 to 65536 levels and 1 to 1024 logistics, not {levels} and {logistics}"
            )
        self.levels = levels
        self.logistics = logistics
        channels = shape.channels
        self.pairs = channels * (channels - 1) // 2
        self.numbers = (logistics * (1 + 2 * channels + self.pairs), *shape.size)
        # the components start side by side, or all would learn the same thing
        apart = torch.linspace(-1, 1, logistics + 2)[1:-1] if logistics > 1 else torch.zeros(1)
        self.register_buffer("apart", apart, persistent=False)
        self.register_buffer("origin", torch.zeros(shape.form))
        self.register_buffer("spread", torch.full(shape.form, 0.5))
        self.lowest = math.log(0.25 / (levels - 1))

    def begin(self, x: Tensor) -> None:
        """0 means that each value lies as it does in the items: around its mean, as far as it deviates."""
        v = 2 * x - 1
        mean = v.nanmean(0).nan_to_num(0.0)
        self.get_buffer("origin").copy_(mean)
        self.get_buffer("spread").copy_((v - mean).square().nanmean(0).nan_to_num(0.25).sqrt())

    def forward(self, h: Tensor) -> LogisticMixtureDistribution:
        # channels first, as the items lie: twice as fast as what follows on the mixed layouts
        h = h.float().contiguous()
        m, c = self.logistics, self.shape.form[0]
        logits, means, scales, mixing = h.split([m, m * c, m * c, m * self.pairs], 1)
        size = h.shape[2:]

        def grid(values: Tensor, per: int) -> Tensor:
            return values.reshape(h.shape[0], m, per, *size)

        origin, spread = self.get_buffer("origin"), self.get_buffer("spread")
        apart = 2 * self.get_buffer("apart").view(1, m, 1, *(1 for _ in size))
        means = grid(means, c) + (origin + apart * spread)
        # softplus keeps a gradient at the floor, below which a bin is one level wide anyway
        scales = self.lowest + F.softplus(grid(scales, c) - 2.0 - self.lowest)
        mixing = torch.tanh(grid(mixing, self.pairs))
        return LogisticMixtureDistribution(logits, means, scales, mixing, self.levels)

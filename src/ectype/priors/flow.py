"""A prior bent by learned invertible layers: affine couplings over a normal or a mixture of normals.

    z W = (a, b) → (b · exp s(a, c) + t(a, c), a)
    log p(z) = log p(e) + sum of the s + sum of log |det W|      e = f(z) of N(0, 1) or of M learned normals

Each layer mixes the numbers and moves one half of them by an amount that the other half decides, so it is
inverted exactly and its Jacobian is triangular but for W. Dinh, Sohl-Dickstein and Bengio 2017, "Density
estimation using Real NVP", equations 4 to 6; W, orthogonal at the start, is learned as in Kingma and Dhariwal
2018, "Glow: Generative flow with invertible 1x1 convolutions", equation 9. As a prior: Chen et al. 2017,
"Variational lossy autoencoder", section 3.2.

What bends one normal into several leaves bridges between them, from which items come that are neither one
thing nor the other; a mixture need not. Fitted to the same posteriors of drawn shapes with captions, in three
trials of four with one of 64 81 to 93 instead of 65 to 75 % of what is made agrees, and 90 with either in the
fourth (docs/log.md, 2026-11-22).

The codes change as long as the encoder learns, and a flow follows slowly: of drawn shapes with captions it
was 8 nats behind at the end (docs/log.md, 2026-11-22). With a share of the run of its own, the last one, it
is fitted to the posteriors of a model that holds still (models/density.py).
"""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ectype.context import Context
from ectype.errors import UsageError
from ectype.hardware import exact
from ectype.likelihoods import Latent
from ectype.likelihoods.normal import NormalDistribution
from ectype.noise import Noise
from ectype.priors import Posterior, Prior
from ectype.priors.mixture import Mixture, checked_count
from ectype.shapes import Joint, Shape

_MIXED = 256  # largest latent whose numbers are mixed: the matrices take longer than all else from there on
_REACH = 2.0  # largest |log scale| of one layer: a layer that could explode would


@final
class Coupling(nn.Module):
    """W (D, D), and shift and log scale of one half (B, D - D//2) as decided by the other half (B, D//2).

    Without W halves change places only, where a latent is large.
    """

    def __init__(self, latent: int, context: int, units: int) -> None:
        super().__init__()
        reads, moves = latent // 2, latent - latent // 2
        self.turn: nn.Parameter | None = None
        if latent <= _MIXED:
            self.turn = nn.Parameter(nn.init.orthogonal_(torch.empty(latent, latent)))
        self.first = nn.Linear(reads + context, units)
        self.second = nn.Linear(units, units)
        self.last = nn.Linear(units, 2 * moves)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, half: Tensor, vector: Tensor | None) -> tuple[Tensor, Tensor]:
        h = half if vector is None else torch.cat([half, vector], 1)
        h = self.last(F.silu(self.second(F.silu(self.first(h)))))
        shift, log_scale = h.chunk(2, 1)
        return shift, _REACH * torch.tanh(log_scale / _REACH)


@final
class FlowDistribution(Latent):
    """The density of z (B, D); a latent is one site, so log_prob is (B,)."""

    joint = True

    def __init__(self, couplings: nn.ModuleList, base: Latent, vector: Tensor | None) -> None:
        self.couplings = [layer for layer in couplings if isinstance(layer, Coupling)]
        self.base = base
        self.n, self.latent = base.mode.shape
        self.vector = vector

    def _vector(self, n: int) -> Tensor | None:
        """The condition for n latents, K-major."""
        return None if self.vector is None else self.vector.repeat(n // self.n, 1)

    def _there(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """From the latent to the e it is made of (B, D), and the log of the volume's change (B,)."""
        with exact(x.device):
            z, volume, vector = x.float(), x.new_zeros(len(x)).float(), self._vector(len(x))
            for coupling in self.couplings:
                if coupling.turn is not None:
                    z = z @ coupling.turn
                    volume = volume + torch.linalg.slogdet(coupling.turn)[1]
                still, moved = z[:, : self.latent // 2], z[:, self.latent // 2 :]
                shift, log_scale = coupling(still, vector)
                z = torch.cat([moved * torch.exp(log_scale) + shift, still], 1)
                volume = volume + log_scale.sum(1)
            return z, volume

    def log_prob(self, x: Tensor) -> Tensor:
        e, volume = self._there(x)
        if self.base.joint:
            return self.base.log_prob(e) + volume
        zero = torch.zeros_like(e)  # as many as there are: N(0, 1) is the same for all
        return NormalDistribution(zero, zero).log_prob(e).sum(1) + volume

    def noise_of(self, x: Tensor) -> Tensor:
        return self._there(x)[0]

    def of_noise(self, e: Tensor) -> Tensor:
        with exact(e.device):
            z, vector = e, self._vector(len(e))
            for coupling in reversed(self.couplings):
                split = self.latent - self.latent // 2
                moved, still = z[:, :split], z[:, split:]
                shift, log_scale = coupling(still, vector)
                z = torch.cat([still, (moved - shift) * torch.exp(-log_scale)], 1)
                if coupling.turn is not None:
                    z = z @ torch.linalg.inv(coupling.turn)
            return z

    def numbers(self, noise: Noise = None) -> Tensor:
        return self.base.draw(noise)

    def stepped(self, e: Tensor, size: Tensor, noise: Noise = None) -> Tensor:
        return self.base.stepped(e, size, noise)

    @property
    def mean(self) -> Tensor:
        """Where the normal's centre goes, or that of the heaviest of several; the true mean is unknown."""
        return self.of_noise(self.base.mode)

    @property
    def mode(self) -> Tensor:
        return self.mean


@final
class Flow(Prior):
    """Normals bent by affine couplings, on the latent and the condition.

    Arguments:
        layers: couplings; each moves one half of the latent.
        units: hidden units of a coupling's two layers.
        components: normals of the mixture that is bent; 1, which is N(0, 1); of items of several parts 64.
        share: part of the run, its last one, in which the prior learns by itself, below 1; default: of a
            flow 0, of items of several parts 0.3; of a gan 0.4.
    """

    least = 2

    def __init__(
        self,
        latent: int,
        shape: Shape,
        *,
        context: int = 0,
        layers: int = 6,
        units: int = 256,
        components: int | None = None,
        share: float | None = None,
    ) -> None:
        super().__init__(latent, shape, context=context)
        if latent < self.least:
            raise UsageError("a flow prior needs a latent of 2 or more")
        if not (0 < layers <= 256 and 0 < units <= 1 << 16):
            raise UsageError(f"flow needs layers in 1..256 and units in 1..65536, not {layers} and {units}")
        several = isinstance(shape, Joint)
        self.share = (0.3 if several else 0.0) if share is None else share
        if not 0 <= self.share < 1:
            raise UsageError(
                f"share is the part of the run in which the prior learns by itself, below 1, not {share}"
            )
        self.size = (layers, units)
        self.couplings = self._couplings()
        count = checked_count((64 if several else 1) if components is None else components)
        self.base = None if count == 1 else self._mixture(count)

    def _mixture(self, components: int) -> Mixture:
        """Learned normals that are together about as wide as N(0, 1)."""
        mixture = Mixture(self.latent, self.shape, context=self.context, components=components)
        mixture.means.data.mul_(math.sqrt(0.5))
        mixture.log_scales.data.fill_(math.log(0.5) / 2)
        return mixture

    def _couplings(self) -> nn.ModuleList:
        layers, units = self.size
        return nn.ModuleList(Coupling(self.latent, self.context, units) for _ in range(layers))

    def reset(self) -> None:
        """Other weights, drawn as the first ones were: the base turned."""
        self.couplings.load_state_dict(self._couplings().state_dict())
        if self.base is not None:
            self.base.load_state_dict(self._mixture(len(self.base.means)).state_dict())

    def forward(self, n: int, context: Context | None, posterior: Posterior) -> FlowDistribution:
        vector = None if context is None else context.vector.float()
        if self.base is not None:
            return FlowDistribution(self.couplings, self.base(n, context, posterior), vector)
        zero = next(self.couplings.parameters()).new_zeros(1).expand(n, self.latent)
        return FlowDistribution(self.couplings, NormalDistribution(zero, zero), vector)

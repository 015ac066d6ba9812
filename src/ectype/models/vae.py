"""Variational autoencoder, with its importance-weighted form.

    x ─ encoder ─→ q(z | x, c) ─ draw ─→ z ─ decoder ─→ p(x | z, c)
                        └── KL against p(z | c) ──┘

    ELBO    log p(x | c) >= E_q[log p(x | z, c)] - KL(q(z | x, c) || p(z | c))
    IWAE    log p(x | c) >= E[log 1/K sum_k p(x | z_k, c) p(z_k | c) / q(z_k | x, c)]

Kingma and Welling 2014, "Auto-encoding variational Bayes", equation 10; Burda, Grosse and
Salakhutdinov 2016, "Importance weighted autoencoders", equation 8. The reported KL is always the
true one, whatever β, warm-up or free bits do to the objective.

An item of several parts is also read by some of them, so that a part can be completed from the others:

    objective + complete · KL(q(z | x, c) || q(z | x_S, c))    S a random subset of the parts there are

Suzuki, Nakayama and Matsuo 2016, "Joint multimodal learning with deep generative models", section 3.3, the
model they call JMVAE-kl. Here q(z | x, c) is held in this term: it teaches what a part alone says and does
not make the code of the whole poorer.
"""

from __future__ import annotations

import math
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from ectype.context import Conditioner, Context
from ectype.data.batch import Batch
from ectype.errors import UsageError
from ectype.likelihoods import Distribution, Likelihood
from ectype.likelihoods.logistic import DiscretizedLogisticMixture
from ectype.likelihoods.normal import NormalDistribution, normal_kl
from ectype.models import Autoencoder, Latents, Loss
from ectype.models.hiding import checked_hide, left
from ectype.noise import Noise, normal, uniform
from ectype.priors import Prior
from ectype.shapes import Joint

_ALONE, _RISING = 0.2, 0.4  # shares of what is left after training was begun anew
_LEVELS = (
    "the likelihood logistic counts every level of a pixel, for bits/dim and classify; to make pictures of "
    "conditions --likelihood normal is better"
)
# of the posterior's log scale at the start: codes of width 1 drown in their own noise, the decoder learns
# to do without them, and what is hard to say is said twice as late or never (docs/log.md, 2026-11-22)
_NARROW = 3.0
_AGAIN = 0.25  # nats per latent dimension that are free where that did not help


@final
class VAE(Autoencoder):
    """Variational autoencoder with a diagonal normal posterior.

    Arguments:
        beta: weight of the KL; 1 is the bound on log p(x).
        warmup: share of training over which that weight rises from 0, with the cube of what has passed; 0.1,
            for items of several parts 0.5.
        free_bits: nats per latent dimension (batch mean) below which the KL is not pressed further.
        samples: K; above 1 the objective is the importance-weighted bound.
        hide: share of an item's values that the encoder does not see at each training step.
        complete: of items of several parts: weight of the term by which some of them complete the others,
            from the end of the KL's warm-up on; 0.3 by default; 0 leaves it out.
    """

    default_prior = "flow"
    per_latent = 2
    # further than 1e-3; 3e-3 goes further in short runs and diverges in long ones (docs/log.md, 2026-11-22)
    rates: ClassVar = {"conv": 2e-3}
    usual: ClassVar = {"joint": {"warmup": 0.5}}

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        likelihood: Likelihood,
        prior: Prior,
        conditioner: Conditioner | None = None,
        *,
        beta: float = 1.0,
        warmup: float = 0.1,
        free_bits: float = 0.0,
        samples: int = 1,
        hide: float = 0.0,
        complete: float | None = None,
    ) -> None:
        super().__init__(encoder, decoder, likelihood, prior, conditioner)
        if not (beta >= 0 and free_bits >= 0 and 0 <= warmup <= 1 and samples >= 1):
            raise UsageError(
                "beta and free_bits are not negative, warmup is a share of training (0 to 1) and "
                f"samples at least 1; got {beta}, {free_bits}, {warmup} and {samples}"
            )
        if free_bits > 0 and samples > 1:
            raise UsageError("free_bits changes the ELBO's KL term, which samples > 1 does not have")
        self.bounded = prior.dense
        shape = likelihood.shape
        if complete is not None and not (complete >= 0 and isinstance(shape, Joint)):
            raise UsageError("complete is a weight, 0 or more, for items of several parts (train --joint)")
        self.joint = shape if isinstance(shape, Joint) else None
        self.complete = complete if complete is not None else 0.3 if self.joint else 0.0
        self.beta = beta
        self.warmup = warmup
        self.free_bits = free_bits
        self.samples = samples
        self.hide = checked_hide(hide)
        self.coupled = free_bits > 0
        if conditioner is not None and isinstance(likelihood, DiscretizedLogisticMixture):
            self.remark = _LEVELS

    @property
    def warm_starts(self) -> bool:
        # who chose how the KL weighs means it; and where a condition tells all, a latent has nothing to say
        chosen = {"beta", "free_bits", "warmup"} & set(self.spec.get("options", {}))
        return not chosen and self.conditioner is None

    @property
    def settled(self) -> bool:
        # the bound may well fall behind while the KL weighs less than it does in the bound
        return super().settled and self.progress >= self.warmup

    @property
    def weight(self) -> float:
        """The KL's weight now: β, or its warm-up share.

        It rises late: while a decoder does not draw a shape's turn yet a code of it is worth nothing, and a
        twentieth of the KL is enough for it never to be found (docs/log.md, 2026-11-22).
        Begun anew, nothing for a fifth of what is left and then a slow rise: the decoder first learns to read
        a code (Li et al. 2019, "A surprisingly effective fix for deep latent variable modeling of text",
        section 4.1).
        """
        if self.anew:
            since = (self.progress - self.anew) / (1 - self.anew)
            return self.beta * min(1.0, max(0.0, (since - _ALONE) / _RISING))
        return self.beta * min(1.0, self.progress / self.warmup) ** 3 if self.warmup > 0 else self.beta

    def posterior(
        self, x: Tensor, context: Context | None = None, seen: Tensor | None = None
    ) -> NormalDistribution:
        mean, log_scale = self.encoder(x, context, seen).float().chunk(2, 1)
        # exp(-7) is far below any useful posterior width; the clamp stops overflow at the start
        return NormalDistribution(mean, (log_scale - _NARROW).clamp(-7, 4))

    def draws(self, q: Distribution, context: Context | None, k: int, noise: Noise) -> Latents:
        if not isinstance(q, NormalDistribution):
            raise TypeError(f"the posterior of a VAE is normal, not {type(q).__name__}")
        n, d = q.mean.shape
        # drawn (B, K, D) so that an item's stream does not depend on its neighbours
        e = normal((n, k, d), noise, q.mean.device).transpose(0, 1)
        z = q.mean + torch.exp(q.log_scale) * e
        return Latents(z.reshape(k * n, d), q, self.prior.against(n, context, self.posterior))

    def loss(self, batch: Batch, player: str = "model", noise: Noise = None) -> Loss:
        context = self.condition(batch)
        k = self.samples
        seen = left(batch, self.likelihood.shape, self.hide if self.training else 0.0, noise)
        latents = self.infer(batch.x, context, k, noise=noise, seen=seen)
        p = self.decode(latents.z, context if context is None else context.repeat(k))
        log_p = self.reconstruction(p, batch, k).view(k, -1)
        distortion, exact = -log_p.mean(0), latents.kl
        if k == 1:
            kl = latents.log_q - latents.log_p if exact is None else exact.sum(1)
            objective = distortion + self.weight * self._pressed(exact, kl)
        else:
            ratio = (latents.log_q - latents.log_p).view(k, -1)
            kl = ratio.mean(0) if exact is None else exact.sum(1)
            objective = math.log(k) - torch.logsumexp(log_p - self.weight * ratio, 0)
        parts = {"distortion": distortion.detach(), "kl": kl.detach()}
        if self.joint is not None and self.complete > 0:
            begun = self.progress >= min(self.warmup, _LATEST)
            with torch.set_grad_enabled(begun and torch.is_grad_enabled()):
                gap = self._gap(self.joint, batch, latents.q, context, noise)
            # before the KL weighs what it does in the bound, posteriors are narrower than they will be, and
            # what parts say of them is not worth learning: it keeps a code from being learned (docs/log.md)
            objective = objective + (self.complete if begun else 0.0) * gap
            parts["completion"] = gap.detach()
        return Loss(objective, batch.weight, parts)

    def _gap(
        self, joint: Joint, batch: Batch, q: Distribution, context: Context | None, noise: Noise
    ) -> Tensor:
        """KL(q(z | x, c) || q(z | x_S, c)) of a random S for each item, (B,) nats; q is held.

        With two parts or more to see, S has one at least and lacks one at least.
        """
        n = len(batch)
        counts = torch.tensor([part.sites for part in joint.parts], device=batch.x.device)
        seen = torch.ones_like(batch.x, dtype=torch.bool) if batch.seen is None else batch.seen.bool()
        there = torch.stack([piece.reshape(n, -1).any(1) for piece in joint.split(seen)], 1)
        u = uniform((n, len(counts)), noise, batch.x.device)
        most = torch.where(there, u, -1.0).argmax(1, keepdim=True)
        least = torch.where(there, u, 2.0).argmin(1, keepdim=True)
        kept = (u < 0.5).scatter(1, least, False).scatter(1, most, True)
        some = self.posterior(batch.x, context, seen & kept.repeat_interleave(counts, 1))
        if not isinstance(q, NormalDistribution):
            raise TypeError(f"the posterior of a VAE is normal, not {type(q).__name__}")
        return _eased(NormalDistribution(q.mean.detach(), q.log_scale.detach()), some)

    def _pressed(self, per_dimension: Tensor | None, kl: Tensor) -> Tensor:
        """The KL (B,) that the objective sees: at least `free_bits` per dimension on average.

        Kingma et al. 2016, "Improved variational inference with inverse autoregressive flow",
        equation 15. Dimensions whose batch mean lies below count as the constant and get no gradient.
        Training that fell silent twice has some too. (Batch-normalised means bound the KL from below as well,
        Zhu et al. 2020, "A batch normalized inference network keeps the KL vanishing away"; but their
        statistics are not those of averaged weights, and the bound is against N(0, 1), not a learned prior.)
        """
        free_bits = max(self.free_bits, _AGAIN if self.begun > 1 else 0.0)
        if free_bits == 0:
            return kl
        if per_dimension is None:  # one joint estimate: all dimensions are one group
            least = free_bits * self.latent
            return torch.where(kl.mean() > least, kl, torch.full_like(kl, least))
        free = torch.full_like(per_dimension, free_bits)
        return torch.where(per_dimension.mean(0) > free_bits, per_dimension, free).sum(1)


_PULL, _LATEST = 3.0, 0.7


def _eased(q: NormalDistribution, some: NormalDistribution) -> Tensor:
    """KL(q || some) in nats (B,), whose gradient is at most `_PULL` per dimension of an item, in the mean.

    A guess of a narrow posterior from a part may be off by many of its widths: 10^5 nats, whose gradient
    would move the encoder that both share until it reads nothing at all. The bound is on the pull for a move
    by one width of `some`, which is what a nat or so of reconstruction is lost by.
    """
    kl = normal_kl(q, some).sum(1)
    if not torch.is_grad_enabled():
        return kl
    precision = torch.exp(-2 * some.log_scale.detach())
    far = some.mean.detach() - q.mean
    by_mean = far * precision
    by_scale = 1 - (torch.exp(2 * q.log_scale) + far.square()) * precision
    # a bound on the pull as it is held a part that knows much, whose guess is narrow, to a fraction of it
    widths = far.square() * precision
    steep = torch.sqrt((widths + by_scale.square()).sum(1, keepdim=True))
    easy = (_PULL * q.mean.shape[1] ** 0.5 / steep.clamp(min=1e-12)).clamp(max=1)
    pull = ((some.mean * by_mean + some.log_scale * by_scale) * easy).sum(1)
    return kl.detach() + (pull - pull.detach())

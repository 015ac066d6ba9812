"""What the two players of a GAN make small, as pure functions of the critic's logits.

                    critic                                  generator
    relativistic    softplus(-(r - f))                      softplus(r - f)
    saturating not  softplus(-r) + softplus(f)              softplus(-f)            ("ns")
    hinge           relu(1 - r) + relu(1 + f)               -f
    wasserstein     f - r                                   -f

r, f (B,) are the logits of a real and a made item. Relativistic pairing: Jolicoeur-Martineau 2019,
"The relativistic discriminator", equation 4 with the pairing of Huang et al. 2024, "The GAN is dead;
long live the GAN! A modern baseline GAN", equation 2. Non-saturating: Goodfellow et al. 2014,
"Generative adversarial networks", section 3. Hinge: Miyato et al. 2018, "Spectral normalization for
generative adversarial networks", equations 16 and 17. Wasserstein: Arjovsky, Chintala and Bottou 2017,
"Wasserstein GAN", algorithm 1, to be used with the gradient penalty.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import relu, softplus

from ectype.noise import Noise, uniform

Pair = Callable[[Tensor, Tensor], Tensor]

CRITIC: dict[str, Pair] = {
    "relativistic": lambda r, f: softplus(f - r),
    "ns": lambda r, f: softplus(-r) + softplus(f),
    "hinge": lambda r, f: relu(1 - r) + relu(1 + f),
    "wasserstein": lambda r, f: f - r,
}
GENERATOR: dict[str, Pair] = {
    "relativistic": lambda r, f: softplus(r - f),
    "ns": lambda r, f: softplus(-f),
    "hinge": lambda r, f: -f,
    "wasserstein": lambda r, f: -f,
}
COMPARES = frozenset({GENERATOR["relativistic"]})
"""The generator's losses that read r; for the others nobody has to compute it."""


def slopes(logits: Tensor, x: Tensor, pack: int = 1) -> Tensor:
    """|∇_x D(x)|² of each pack (B/pack,), summed over its values and differentiable, for x (B, *form).

    R1 is half of its mean over real items, R2 over made ones: Mescheder, Geiger and Nowozin 2018,
    "Which training methods for GANs do actually converge?", equation 9; Roth et al. 2017, "Stabilizing
    training of generative adversarial networks through regularization". Items must not meet inside the
    critic, but where they are packed together.
    """
    (gradient,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
    return gradient.float().square().reshape(len(x) // pack, -1).sum(1)


def gradient_penalty(
    critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, noise: Noise, pack: int = 1
) -> Tensor:
    """(|∇D| - 1)² at a random point between each pair of packs (B/pack,), for the Wasserstein critic.

    A pack is one item of its critic: one point between, and one slope. Gulrajani et al. 2017, "Improved
    training of Wasserstein GANs", equation 3.
    """
    share = uniform((len(real) // pack, *(1 for _ in real.shape[1:])), noise, real.device)
    share = share.repeat_interleave(pack, 0)
    between = torch.lerp(fake.detach(), real, share).requires_grad_(True)
    return (slopes(critic(between), between, pack).add(1e-12).sqrt() - 1).square()

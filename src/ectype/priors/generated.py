"""What an adversary taught to look like the codes: a latent GAN.

    z = m + L g(ε, c)      ε ~ N(0, 1), g(ε, c) = ε + network(ε, c), L Lᵀ the covariance of the codes

The network starts at zero, so that the game starts at the normal with the codes' mean and covariance, and
what the critic reads, L⁻¹ (z - m), is nearly of unit scale. Zhao, Kim, Zhang, Rush and LeCun 2018,
"Adversarially regularized autoencoders", section 3, learn a prior of texts by such a game while the
autoencoder trains; here the codes hold still, as in Achlioptas, Diamanti, Mitliagkas and Guibas 2018,
"Learning representations and generative models for 3D point clouds", section 4.3.
"""

from __future__ import annotations

from dataclasses import replace
from typing import final

import torch
from torch import Tensor, nn

from ectype.context import Context, Ports
from ectype.errors import DataError, UsageError
from ectype.hardware import exact
from ectype.likelihoods import Latent
from ectype.likelihoods.normal import NormalDistribution
from ectype.networks.mlp import Decoder
from ectype.noise import Noise, normal
from ectype.priors import Posterior, Prior
from ectype.shapes import Shape

HIDDEN = (256,) * 3
"""Units of the hidden layers of the generator, and of its critic."""


@final
class Generator(nn.Module):
    """g(ε, c) for ε (B, D): itself and what a network adds to it, nothing at first.

    Arguments:
        latent: D.
        context: width C of the condition vector, 0 for none.
    """

    def __init__(self, latent: int, context: int) -> None:
        super().__init__()
        ports = Ports(vector=context)
        self.network = Decoder(latent, (latent,), context=ports, hidden=HIDDEN, activation="silu")
        last = self.network.layers.linears[-1]
        for parameter in last.parameters():
            nn.init.zeros_(parameter)

    def forward(self, e: Tensor, context: Context | None = None) -> Tensor:
        """ε (B, D) to (B, D)."""
        added: Tensor = self.network(e, context)
        return e + added


@final
class GeneratedDistribution(Latent):
    """z (B, D) that can be drawn, and have no density.

    Arguments:
        generator: g.
        context: of B items, or None.
        mean: m (D,).
        factor: L (D, D).
        n: B.
    """

    joint = True

    def __init__(
        self, generator: Generator, context: Context | None, mean: Tensor, factor: Tensor, n: int
    ) -> None:
        self.generator = generator
        self.context = context
        self.centre = mean
        self.factor = factor
        self.n = n

    def log_prob(self, x: Tensor) -> Tensor:
        raise UsageError(
            "codes of the prior gan can be drawn and have no density, so that no bound on log p(x) exists: "
            "train with another prior, such as fitted or flow"
        )

    def numbers(self, noise: Noise = None) -> Tensor:
        return normal((self.n, len(self.centre)), noise, self.centre.device)

    def of_noise(self, e: Tensor) -> Tensor:
        with exact(e.device):
            return self.centre + self.generator(e, self.context).float() @ self.factor.T

    def noise_of(self, x: Tensor) -> Tensor:
        raise UsageError("what a code of the prior gan is made of is not known: its generator has no inverse")

    @property
    def mean(self) -> Tensor:
        """Where ε = 0 goes; the true mean has no closed form."""
        return self.of_noise(self.centre.new_zeros(self.n, len(self.centre)))

    @property
    def mode(self) -> Tensor:
        return self.mean


@final
class Generated(Prior):
    """N(0, 1) while training; afterwards a generator of codes, learned against a critic of them.

    Arguments:
        share: of --prior gan: part of the run, its last one, in which the generator of codes learns.
    """

    after_training = True
    dense = False

    def __init__(self, latent: int, shape: Shape, *, context: int = 0, share: float = 0.4) -> None:
        super().__init__(latent, shape, context=context)
        if not 0 < share < 1:
            raise UsageError(
                f"share is the part of the run that learns the prior, above 0 and below 1, not {share}"
            )
        self.share = share
        # only its own game moves it, when the codes are known: until then it is no player's
        self.generator = Generator(latent, context).requires_grad_(False)
        self.register_buffer("ready", torch.zeros(1))
        self.register_buffer("mean", torch.zeros(latent))
        self.register_buffer("factor", torch.eye(latent))

    def forward(self, n: int, context: Context | None, posterior: Posterior) -> Latent:
        if not self.get_buffer("ready").item():
            return self.against(n, context, posterior)
        mean, factor = self.get_buffer("mean"), self.get_buffer("factor")
        if context is not None:  # of which a code takes the vector: what lies on a grid is the decoder's
            context = replace(context, aligned=None)
        return GeneratedDistribution(self.generator, context, mean, factor, n)

    def against(self, n: int, context: Context | None, posterior: Posterior) -> NormalDistribution:
        """N(0, 1), before and after: what is drawn from has no density to weigh anything by."""
        zero = self.get_buffer("mean").new_zeros(n, self.latent)
        return NormalDistribution(zero, zero)

    def fit(self, codes: Tensor, held_out: Tensor, vectors: Tensor | None) -> None:
        """Take mean and covariance of the codes; the game comes after."""
        rows = codes.double().cpu()
        if not (len(rows) and bool(rows.isfinite().all())):
            raise DataError("there are no finite codes to learn a prior from: did the training diverge?")
        apart = rows - rows.mean(0)
        covariance = apart.T @ apart / max(1, len(rows) - 1)
        floor = 1e-4 * float(covariance.diagonal().mean()) + 1e-8
        covariance += floor * torch.eye(self.latent, dtype=torch.float64)
        self.get_buffer("mean").copy_(rows.mean(0))
        self.get_buffer("factor").copy_(torch.linalg.cholesky(covariance))
        self.get_buffer("ready").fill_(1)

    def whitened(self, codes: Tensor) -> Tensor:
        """L⁻¹ (z - m) for codes z (N, D): what the generator has to make."""
        apart = (codes - self.get_buffer("mean").to(codes.device)).double().T
        factor = self.get_buffer("factor").to(codes.device).double()
        return torch.linalg.solve_triangular(factor, apart, upper=False).T.float().contiguous()

"""A prior's own part of a run: the codes of an autoencoder as data, and what learns them.

    codes z (N, D), whitened ─┐
                              ├─ critic     a latent GAN: loss, penalty and controller are the GAN's (gan.py)
    ε ─ prior's generator ────┘

    posteriors q(z | x, c) (N, 2D) ─ z ─ prior's density      a flow: density.py

Nothing of the autoencoder is in it: its weights cannot move. Conditions enter as the vectors that its own
conditioner makes of them, those of dropped ones too, so that guidance has what it needs.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from ectype.context import Conditioner, Ports
from ectype.data.batch import Batch
from ectype.data.data import Condition, Data
from ectype.data.store import Resident
from ectype.kinds.vector import Vector
from ectype.likelihoods.point import Point
from ectype.models import Autoencoder, Model
from ectype.models.critic import FEATURES, Critic
from ectype.models.density import Density
from ectype.models.gan import GAN
from ectype.models.settling import codes_of, drawn, moments
from ectype.networks.mlp import Encoder
from ectype.priors import Prior
from ectype.priors.flow import Flow
from ectype.priors.generated import HIDDEN, Generated, Generator
from ectype.priors.normal import StandardNormal

_CONTEXT = "context"


def moving(prior: Prior) -> nn.Module:
    """What of a prior its own part of a run moves."""
    if isinstance(prior, Generated):
        return prior.generator
    if isinstance(prior, Flow):
        return prior
    raise TypeError(f"{type(prior).__name__} has no part of a run of its own")


def draw_from(prior: Prior, learner: Model) -> None:
    """Let the prior draw from what a learner of its codes, or an average of it, has learned."""
    if isinstance(prior, Generated) and isinstance(learner, GAN) and isinstance(learner.decoder, Generator):
        prior.generator = learner.decoder
    if isinstance(prior, Flow) and isinstance(learner.prior, Flow):
        prior.couplings, prior.base = learner.prior.couplings, learner.prior.base


def learner_of(prior: Prior, items: int) -> GAN | Density:
    """What moves a prior: a GAN whose generator is the prior's own, or its density.

    Arguments:
        items: how many codes there are to learn from.
    """
    width, shape = prior.context, _numbers(prior.latent).shape

    def conditioner() -> Conditioner | None:
        return Conditioner({_CONTEXT: nn.Identity()}, width) if width else None

    if not isinstance(prior, Generated):
        return Density(prior, conditioner())
    encoder = Encoder(shape, FEATURES, context=Ports(vector=width), hidden=HIDDEN, activation="silu")
    critic = Critic(encoder, conditioner())
    noise = StandardNormal(prior.latent, shape)
    game = GAN(critic, prior.generator.requires_grad_(True), Point(shape), noise, conditioner())
    game.balance.begin(items)
    return game.to(prior.get_buffer("mean").device)


def data_of(model: Autoencoder, prior: Prior, train: Iterable[Batch], select: Iterable[Batch]) -> Data:
    """What a prior learns of items, as rows, under their condition vectors where there are conditions."""
    of = drawn if isinstance(prior, Generated) else moments
    codes, vectors = codes_of(model, train, of)
    held, others = codes_of(model, select, of)
    at = torch.arange(len(codes) + len(held))
    splits = {"train": at[: len(codes)], "select": at[len(codes) :], "test": at[:0], "all": at}
    given = {}
    if vectors is not None:
        told = vectors if others is None else torch.cat([vectors, others])
        given[_CONTEXT] = Condition(_numbers(prior.context), told, torch.ones(len(at), dtype=torch.bool))
    rows = torch.cat([codes, held]) if len(held) else codes
    rows = prior.whitened(rows) if isinstance(prior, Generated) else rows
    return Data(_numbers(rows.shape[1]), Resident(rows), splits, given)


def _numbers(count: int) -> Vector:
    """The kind of rows that are of unit scale already, or that nothing may be done to."""
    return Vector([0.0] * count, [1.0] * count)

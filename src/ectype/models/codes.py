"""A latent GAN's game: the codes of an autoencoder as data, and a GAN of them.

    codes z (N, D), whitened ─┐
                              ├─ critic     every loss, penalty and controller is the GAN's (gan.py)
    ε ─ prior's generator ────┘

Nothing of the autoencoder is in the game: its weights cannot move. Conditions enter as the vectors that its
own conditioner makes of them, those of dropped ones too, so that guidance has what it needs.
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
from ectype.models import Autoencoder
from ectype.models.critic import FEATURES, Critic
from ectype.models.gan import GAN
from ectype.models.settling import codes_of
from ectype.networks.mlp import Encoder
from ectype.priors.generated import HIDDEN, Generated
from ectype.priors.normal import StandardNormal

_CONTEXT = "context"


def game_of(prior: Generated, items: int) -> GAN:
    """A GAN whose generator is the prior's own; its critic is new.

    Arguments:
        items: how many codes there are to learn from.
    """
    width, shape = prior.context, _numbers(prior.latent).shape

    def conditioner() -> Conditioner | None:
        return Conditioner({_CONTEXT: nn.Identity()}, width) if width else None

    encoder = Encoder(shape, FEATURES, context=Ports(vector=width), hidden=HIDDEN, activation="silu")
    critic = Critic(encoder, conditioner())
    noise = StandardNormal(prior.latent, shape)
    game = GAN(critic, prior.generator.requires_grad_(True), Point(shape), noise, conditioner())
    game.balance.begin(items)
    return game.to(prior.get_buffer("mean").device)


def data_of(model: Autoencoder, prior: Generated, train: Iterable[Batch], select: Iterable[Batch]) -> Data:
    """Whitened codes of items as rows, under their condition vectors where there are conditions."""
    codes, vectors = codes_of(model, train, drawn=True)
    held, others = codes_of(model, select, drawn=True)
    at = torch.arange(len(codes) + len(held))
    splits = {"train": at[: len(codes)], "select": at[len(codes) :], "test": at[:0], "all": at}
    given = {}
    if vectors is not None:
        told = vectors if others is None else torch.cat([vectors, others])
        given[_CONTEXT] = Condition(_numbers(prior.context), told, torch.ones(len(at), dtype=torch.bool))
    return Data(_numbers(prior.latent), Resident(prior.whitened(torch.cat([codes, held]))), splits, given)


def _numbers(count: int) -> Vector:
    """The kind of rows that are of unit scale already, or that nothing may be done to."""
    return Vector([0.0] * count, [1.0] * count)

"""Codes of what is known in part: draws from p(z | x_S), whatever the encoder says of it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

import ectype as ec
from ectype.context import Context
from ectype.jobs.candidates import CANDIDATES, Search, codes, drawn
from ectype.likelihoods.normal import NormalDistribution
from ectype.models.vae import VAE
from ectype.priors.flow import Flow
from ectype.priors.mixture import Mixture

WIDTH = 0.5  # of p(x | z), a normal around z
KNOWN = torch.tensor([[True, False]])
X = torch.tensor([[1.5, torch.nan]])  # what is not known may be anything


@pytest.fixture(params=["normal", "flow", "mixture", "flow of a mixture"])
def model(request: pytest.FixtureRequest) -> VAE:
    """p(z) = N(0, 1), x_i = z_i + noise; its encoder knows nothing."""
    data = ec.read(np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32))
    options = {
        "mixture": {"components": 2},
        "flow": {"layers": 2},
        "flow of a mixture": {"components": 3, "layers": 2},
    }.get(request.param, {})
    prior = request.param.split()[0]
    built = ec.build("vae", data, network="mlp", hidden=(), latent=2, prior=prior, **options)
    assert isinstance(built, VAE)
    if request.param == "mixture":
        built.prior.means.data.zero_()  # type: ignore[union-attr, operator]
    if isinstance(built.prior, Flow) and built.prior.base is not None:
        built.prior.base.means.data.zero_()
        built.prior.base.log_scales.data.zero_()
    return built.eval()


@pytest.fixture(autouse=True)
def known_model(monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(self: VAE, z: Tensor, context: Context | None = None) -> NormalDistribution:
        return NormalDistribution(z, torch.full_like(z, math.log(WIDTH)))

    monkeypatch.setattr(VAE, "decode", decode)


GUESSES = {"right": (1.2, -0.8), "wide": (0.0, 1.0), "far": (-4.0, -1.0)}


@pytest.mark.parametrize("guess", GUESSES)
def test_codes_are_draws_given_what_is_known(model: VAE, guess: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mean, log_scale = (torch.full((1, 2), v) for v in GUESSES[guess])
    monkeypatch.setattr(VAE, "posterior", lambda *_: NormalDistribution(mean, log_scale))
    with torch.no_grad():
        z = torch.cat([codes(model, X, None, seed, KNOWN) for seed in range(20)])
    precision = 1 + 1 / WIDTH**2
    wanted = torch.tensor([[1.5 / WIDTH**2 / precision, 0.0], [precision**-0.5, 1.0]])
    torch.testing.assert_close(torch.stack([z.mean(0), z.std(0)]), wanted, atol=0.12, rtol=0.0)
    assert abs(float(z.T.corrcoef()[0, 1])) < 0.12


@pytest.mark.parametrize("prior", ["mixture", "flow"])
def test_components_that_lie_apart_keep_their_shares(prior: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """p(z) = N(-2, 0.5²) / 2 + N(2, 0.5²) / 2, known x = z + noise of 1.5: by Bayes' rule."""
    data = ec.read(np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32))
    model = ec.build("vae", data, network="mlp", hidden=(), latent=2, prior=prior, components=2)
    mixture = model.prior.base if isinstance(model.prior, Flow) else model.prior
    assert isinstance(model, VAE) and isinstance(mixture, Mixture)
    if isinstance(model.prior, Flow):
        for coupling in model.prior.couplings:
            coupling.turn.data.copy_(torch.eye(2))
            coupling.last.bias.data.zero_()
        assert len(model.prior.couplings) % 2 == 0  # halves are back in their places
    mixture.means.data.copy_(torch.tensor([[-2.0, 0.0], [2.0, 0.0]]))
    mixture.log_scales.data.copy_(torch.tensor([[math.log(0.5), 0.0]] * 2))
    wide = torch.zeros(1, 2)
    monkeypatch.setattr(VAE, "posterior", lambda *_: NormalDistribution(wide, wide))
    monkeypatch.setattr(
        VAE, "decode", lambda _, z, context=None: NormalDistribution(z, torch.full_like(z, math.log(1.5)))
    )
    with torch.no_grad():
        z = torch.cat(
            [codes(model, torch.tensor([[0.6, torch.nan]]), None, seed, KNOWN) for seed in range(20)]
        )
    # each mean moves 0.1 of the way to x; log odds of the right one: 2 · 2 · 0.6 / (0.5² + 1.5²)
    share = 1 / (1 + math.exp(-2 * 2 * 0.6 / 2.5))
    right = z[:, 0] > 0
    assert abs(float(right.float().mean()) - share) < 0.08
    assert abs(float(z[right, 0].mean()) - (2 - 0.1 * 1.4)) < 0.05
    assert abs(float(z[~right, 0].mean()) - (-2 + 0.1 * 2.6)) < 0.05


def knowing(
    patched: pytest.MonkeyPatch, latent: int, prior: str, width: float, *, sign: bool = True, **options: int
) -> VAE:
    """p(x | z) is a normal of this width around z, or around |z|; the encoder knows nothing."""
    data = ec.read(np.random.default_rng(0).normal(size=(50, latent)).astype(np.float32))
    built = ec.build("vae", data, network="mlp", hidden=(), latent=latent, prior=prior, **options)
    assert isinstance(built, VAE)
    nothing = NormalDistribution(torch.zeros(1, latent), torch.zeros(1, latent))

    def decode(self: VAE, z: Tensor, context: Context | None = None) -> NormalDistribution:
        return NormalDistribution(z if sign else z.abs(), torch.full_like(z, math.log(width)))

    patched.setattr(VAE, "posterior", lambda *_: nothing)
    patched.setattr(VAE, "decode", decode)
    return built


@pytest.mark.parametrize("components", [1, 16])
def test_what_nearly_no_draw_of_the_prior_fits_is_found(
    components: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """8 numbers, all known to a hundredth: 10^-20 of the prior's draws fit, and the guess is its own."""
    model = knowing(monkeypatch, 8, "flow", 0.01, components=components)
    x = torch.randn(1, 8, generator=torch.Generator().manual_seed(0))
    z = codes(model, x, None, 0)
    assert float((z - x).square().mean().sqrt()) < 0.02
    assert len(z.unique(dim=0)) > 40  # weighed once, one would be all


def test_several_far_apart_places_that_fit_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """|z| known of four numbers: 16 places, several of them found in each search, not one."""
    model = knowing(monkeypatch, 4, "normal", 0.02, sign=False)
    x = torch.tensor([[0.7, 1.1, 0.4, 0.9]])
    places = [len((codes(model, x, None, seed) > 0).unique(dim=0)) for seed in range(5)]
    assert sum(places) >= 15


def test_before_what_is_known_counts_moves_stay_where_the_search_begins(
    model: VAE, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At b = 0 they leave g = p / 2 + q / 2 as it is."""
    mean, log_scale = torch.full((1, 2), 2.0), torch.full((1, 2), -1.0)
    monkeypatch.setattr(VAE, "posterior", lambda *_: NormalDistribution(mean, log_scale))
    rows = []
    with torch.no_grad():
        for seed in range(15):
            stream = torch.Generator().manual_seed(seed)
            search = Search(model, X, None, KNOWN)
            now = search.begin(stream)
            for _ in range(40):
                now = search.moved(now, 0.0, stream)
            rows.append(now.z)
    z = torch.cat(rows)
    width = (0.5 * (1 + math.exp(-2)) + 1) ** 0.5
    wanted = torch.tensor([[1.0, 1.0], [width, width]])
    torch.testing.assert_close(torch.stack([z.mean(0), z.std(0)]), wanted, atol=0.12, rtol=0.0)


def test_draws_differ_whatever_the_prior(model: VAE) -> None:
    sharp = torch.tensor([[1.5, -0.5]])
    found = torch.stack(list(drawn(model, sharp, None, 3, range(6))))
    assert len(found.unique(dim=0)) > 3
    again = torch.stack(list(drawn(model, sharp, None, 3, range(4))))
    assert torch.equal(found[:4], again)


def test_codes_of_a_latent_gan_are_moved_though_they_have_no_density(monkeypatch: pytest.MonkeyPatch) -> None:
    data = ec.read(np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32))
    model = ec.build("vae", data, network="mlp", hidden=(), latent=2, prior="gan")
    model.prior.get_buffer("ready").fill_(1)
    monkeypatch.setattr(
        VAE, "decode", lambda _, z, context=None: NormalDistribution(z, torch.full_like(z, math.log(0.01)))
    )
    z = codes(model, torch.tensor([[1.5, -1.0]]), None, 0)
    assert len(z.unique(dim=0)) > 40
    assert float((z - torch.tensor([1.5, -1.0])).square().mean().sqrt()) < 0.02


def test_what_is_no_number_is_no_candidate(model: VAE, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = VAE.decode

    def broken(self: VAE, z: Tensor, context: Context | None = None) -> NormalDistribution:
        p = kept(self, z, context)
        return NormalDistribution(torch.where(z[:, :1] > 0, p.mean, torch.nan), p.log_scale)

    monkeypatch.setattr(VAE, "decode", broken)
    z = codes(model, X, None, 0, KNOWN)
    assert bool(z.isfinite().all()) and bool((z[:, 0] > 0).all())


def test_noise_and_draws_belong_together(model: VAE) -> None:
    p = Search(model, X, None, KNOWN).p
    e = torch.randn(CANDIDATES, 2)
    z = p.of_noise(e)
    torch.testing.assert_close(p.noise_of(z), e, atol=1e-5, rtol=1e-4)


def test_the_same_seed_finds_the_same_codes(model: VAE) -> None:
    one, same, other = (codes(model, X, None, seed, KNOWN) for seed in (1, 1, 2))
    assert torch.equal(one, same) and not torch.equal(one, other)

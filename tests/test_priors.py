"""Priors: flow inverse and Jacobian, mixtures against torch, the VampPrior's definition, the fitted one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch import distributions as oracle

from ectype.context import Context
from ectype.data.batch import Batch
from ectype.errors import DataError, UsageError
from ectype.hardware import computing
from ectype.likelihoods import Distribution, Latent
from ectype.likelihoods.normal import Normal, NormalDistribution
from ectype.models.ae import AE
from ectype.models.vae import _NARROW, VAE
from ectype.networks.mlp import Decoder, Encoder
from ectype.noise import PerItem
from ectype.priors import Prior
from ectype.priors.fitted import Fitted, FullMixture, fit_mixture
from ectype.priors.flow import Flow
from ectype.priors.mixture import Mixture, NormalMixture, VampPrior
from ectype.priors.normal import StandardNormal
from ectype.shapes import Grid, Row, Tokens

SHAPE = Row((1, 1, 1))
C = 3


def nobody(x: Tensor, context: Context | None) -> Distribution:
    raise RuntimeError("this prior asks the posterior for nothing")


def context(n: int, seed: int = 0) -> Context:
    vector = torch.randn(n, C, generator=torch.Generator().manual_seed(seed))
    return Context(vector, vector.unsqueeze(1), torch.ones(n, 1, dtype=torch.bool))


def item(of: Context | None, i: int) -> Context | None:
    return None if of is None else Context(of.vector[i : i + 1], of.tokens[i : i + 1], of.mask[i : i + 1])


def awake(prior: Any, by: float = 0.3) -> Any:
    with torch.no_grad():
        for p in prior.parameters():
            p += by * torch.randn_like(p)
    return prior


def per_latent(p: Distribution, z: Tensor) -> Tensor:
    """log p(z), (B,), whether a latent is one site or D."""
    log_p = p.log_prob(z)
    return log_p.sum(1) if log_p.dim() == 2 else log_p


# ---- flow ----


@pytest.mark.parametrize("latent", [2, 3, 6, 7])
@pytest.mark.parametrize("given", [None, context(4)], ids=["alone", "conditioned"])
@pytest.mark.parametrize("components", [1, 3])
def test_flow_inverse_and_jacobian(latent: int, given: Context | None, components: int) -> None:
    width = C if given else 0
    prior = awake(Flow(latent, SHAPE, context=width, layers=5, units=16, components=components), 0.15)
    p, e = prior(4, given, nobody), torch.randn(4, latent)
    z = p.of_noise(e)
    torch.testing.assert_close(p.noise_of(z), e, atol=1e-4, rtol=1e-4)
    standard = per_latent(NormalDistribution(torch.zeros(4, latent), torch.zeros(4, latent)), e)
    if components > 1:
        standard = prior.base(4, given, nobody).log_prob(e).detach()
    bent = 0.0
    for i in range(4):
        alone = prior(1, item(given, i), nobody)
        jacobian = torch.autograd.functional.jacobian(
            lambda row, q=alone: q.of_noise(row.view(1, -1))[0], e[i]
        )
        volume = torch.linalg.slogdet(jacobian)[1]
        assert abs(float(p.log_prob(z)[i].detach()) - float(standard[i] - volume)) < 2e-3
        bent = max(bent, abs(float(volume)))
    assert bent > 0.1, "the flow must not be the identity for this test to mean anything"


@pytest.mark.parametrize("latent", [2, 3, 5])
def test_flow_moves_every_dimension_and_starts_as_the_normal(latent: int) -> None:
    fresh = Flow(latent, SHAPE, layers=4, units=8)
    z = torch.randn(6, latent)
    zero = torch.zeros(6, latent)
    assert torch.allclose(
        fresh(6, None, nobody).log_prob(z), NormalDistribution(zero, zero).log_prob(z).sum(1)
    )
    # the layers only turn at the start: a draw is as long as its noise
    torch.testing.assert_close(fresh(6, None, nobody).of_noise(z).norm(dim=1), z.norm(dim=1))
    p = awake(fresh)(6, None, nobody)
    density = p.log_prob(z.requires_grad_())
    (gradient,) = torch.autograd.grad(density.sum(), z)
    assert ((gradient + z).abs() > 1e-4).any(0).all()  # the normal's would be -z


@pytest.mark.parametrize("components", [1, 4])
def test_flow_density_adds_up_to_one(components: int) -> None:
    p = awake(Flow(2, SHAPE, layers=3, units=8, components=components), 0.2)
    side = torch.linspace(-9, 9, 400)
    z = torch.cartesian_prod(side, side)
    with torch.no_grad():
        mass = p(len(z), None, nobody).log_prob(z).exp().sum() * (side[1] - side[0]) ** 2
    assert abs(float(mass) - 1) < 0.01


def test_flow_of_a_mixture_leaves_less_between_what_lies_apart() -> None:
    """Nine narrow normals on a grid: what is drawn further than four widths from each of them."""
    between = {}
    for components in (1, 32):
        torch.manual_seed(1)
        z = 3.0 * torch.randint(-1, 2, (4000, 2)) + 0.2 * torch.randn(4000, 2)
        prior = Flow(2, SHAPE, layers=3, units=16, components=components)
        steps = torch.optim.Adam(prior.parameters(), 5e-3)
        for _ in range(500):
            steps.zero_grad()
            (-prior(256, None, nobody).log_prob(z[torch.randint(0, 4000, (256,))]).mean()).backward()
            steps.step()
        with torch.no_grad():
            drawn = prior(4000, None, nobody).draw(torch.Generator().manual_seed(0))
        far = (drawn - 3 * (drawn / 3).round().clamp(-1, 1)).abs() > 0.8
        between[components] = float(far.any(1).float().mean())
    assert between[32] < 0.5 * between[1]  # .13 and .39


@pytest.mark.parametrize("components", [1, 4])
def test_flow_begins_anew_as_it_began(components: int) -> None:
    prior = awake(Flow(3, SHAPE, layers=2, units=8, components=components))
    torch.manual_seed(1)
    prior.reset()
    torch.manual_seed(1)
    fresh = Flow(3, SHAPE, layers=2, units=8, components=components).state_dict()
    assert prior.state_dict().keys() == fresh.keys()
    assert all(torch.equal(value, fresh[name]) for name, value in prior.state_dict().items())
    drawn = prior(4000, None, nobody).draw(torch.Generator().manual_seed(0))
    assert 0.6 < float(drawn.std().detach()) < 1.4


def two(sort: str, n: int) -> Latent:
    """Two normals that overlap, the wide one thrice as heavy: bent ones, as they are, or with covariances."""
    logits = torch.tensor([[0.0, math.log(3.0)]]).expand(n, -1)
    means, log_scales = torch.tensor([[0.0, 0.0], [1.0, 0.5]]), torch.tensor([[-1.5, -1.5], [0.3, 0.0]])
    if sort == "full":
        tall = torch.tensor([[0.3, 0.0], [0.2, 0.3]])
        return FullMixture(logits, means, torch.stack([tall, torch.tensor([[1.0, 0.0], [-0.8, 0.5]])]))
    if sort == "diagonal":
        return NormalMixture(logits, means, log_scales)
    prior = awake(Flow(2, SHAPE, layers=2, units=8, components=2), 0.1)
    assert prior.base is not None
    prior.base.means.data.copy_(means)
    prior.base.log_scales.data.copy_(log_scales)
    prior.base.weights.bias.data.copy_(logits[0])
    bent: Latent = prior(n, None, nobody)
    return bent


@torch.no_grad()
@pytest.mark.parametrize("size", [0.2, 0.6, 0.95])
@pytest.mark.parametrize("sort", ["bent", "diagonal", "full"])
def test_steps_leave_numbers_distributed_as_they_are(sort: str, size: float) -> None:
    p, noise = two(sort, 40_000), torch.Generator().manual_seed(0)
    e = p.numbers(noise)
    torch.testing.assert_close(p.noise_of(p.of_noise(e)), e, atol=1e-4, rtol=1e-4)
    now = e
    for _ in range(20):
        now = p.stepped(now, torch.full((40_000, 1), size), noise)
    assert float((now - e).abs().mean()) > 0.5
    # all that is near the narrow one's mean, and moments
    one, other = (
        torch.cat([(x.norm(dim=1) < r).float().mean().view(1) for r in (0.2, 0.5, 1.0, 2.0)] + [x.mean(0)])
        for x in (e, now)
    )
    torch.testing.assert_close(other, one, atol=0.015, rtol=0.0)


@torch.no_grad()
def test_the_longest_steps_of_a_mixture_reach_what_lies_apart() -> None:
    means = torch.tensor([[-50.0], [50.0]])
    p = NormalMixture(torch.zeros(1000, 2), means, torch.zeros(2, 1))
    now = p.stepped(torch.full((1000, 1), -50.0), torch.ones(1000, 1), torch.Generator().manual_seed(0))
    assert 0.4 < float((now > 0).float().mean()) < 0.6


# ---- mixtures ----


@pytest.mark.parametrize("given", [None, context(5)], ids=["alone", "conditioned"])
def test_mixture_against_torch(given: Context | None) -> None:
    prior = awake(Mixture(2, SHAPE, context=C if given else 0, components=4), 0.8)
    p, z = prior(5, given, nobody), 2 * torch.randn(15, 2)
    logits = prior.weights(5, given)
    assert given is None or not torch.allclose(logits[0], logits[1], atol=1e-3)
    parts = oracle.Independent(oracle.Normal(prior.means, prior.log_scales.exp()), 1)
    weights = [oracle.Categorical(logits=logits[i % 5]) for i in range(15)]
    expected = torch.stack([oracle.MixtureSameFamily(weights[i], parts).log_prob(z[i]) for i in range(15)])
    assert torch.allclose(p.log_prob(z), expected, atol=1e-4)  # 15 = 3 samples of 5 items, K-major


def test_full_mixture_against_torch() -> None:
    factors = torch.tril(torch.randn(3, 2, 2)) * 0.3
    factors.diagonal(dim1=1, dim2=2).abs_().add_(0.5)
    means, logits, z = torch.randn(3, 2), torch.randn(4, 3), torch.randn(8, 2)
    parts = oracle.MultivariateNormal(means, scale_tril=factors)
    p = FullMixture(logits, means, factors)
    weights = [oracle.Categorical(logits=logits[i % 4]) for i in range(8)]
    expected = torch.stack([oracle.MixtureSameFamily(weights[i], parts).log_prob(z[i]) for i in range(8)])
    assert torch.allclose(p.log_prob(z), expected, atol=1e-5)


@pytest.mark.parametrize("sort", ["diagonal", "full"])
def test_draws_have_the_mixture_moments(sort: str) -> None:
    n, logits = 40_000, torch.log(torch.tensor([[0.7, 0.3]]))
    means = torch.tensor([[0.0, 1.0], [3.0, -1.0]])
    factors = torch.tensor([[[1.0, 0.0], [0.8, 0.3]], [[0.5, 0.0], [0.0, 2.0]]])
    p: Distribution
    if sort == "full":
        p, covariances = FullMixture(logits.expand(n, 2), means, factors), factors @ factors.mT
    else:
        scales = torch.tensor([[1.0, 0.3], [0.5, 2.0]])
        p, covariances = NormalMixture(logits.expand(n, 2), means, scales.log()), torch.diag_embed(scales**2)
    z, w = p.draw(torch.Generator().manual_seed(0)), torch.tensor([0.7, 0.3])
    mean = w @ means
    d = means - mean
    covariance = (w.view(2, 1, 1) * (covariances + d.unsqueeze(2) * d.unsqueeze(1))).sum(0)
    assert torch.allclose(p.mean[0], mean) and torch.equal(p.mode[0], means[0])
    assert torch.allclose(z.mean(0), mean, atol=5 * 2 / math.sqrt(n))
    assert torch.allclose(torch.cov(z.T), covariance, atol=0.06)


def test_densities_are_exact_where_networks_compute_in_bf16() -> None:
    """oneDNN may be told to round the operands of every product: 18 nats off, once."""
    torch.manual_seed(1)
    mixture = NormalMixture(torch.zeros(50, 8), 3 * torch.randn(8, 6), torch.full((8, 6), -3.0))
    flow = awake(Flow(6, SHAPE, layers=6, units=32), 0.1)(50, None, nobody)
    under = awake(Flow(6, SHAPE, context=C, layers=6, units=32, components=4), 0.1)
    log_w = under(50, context(50), nobody).base.log_w
    for p in (mixture, flow, under(50, context(50), nobody)):
        z = p.draw(torch.Generator().manual_seed(0)).detach().requires_grad_()
        exact = p.log_prob(z)
        (gradient,) = torch.autograd.grad(exact.sum(), z)
        for convolutional in (False, True):  # two ways of computing in bf16
            with computing(convolutional, torch.device("cpu"), "bf16"):
                got = p.log_prob(z)
                (slope,) = torch.autograd.grad(got.sum(), z)
                assert torch.allclose(p.draw(torch.Generator().manual_seed(0)), z, atol=1e-5)
            assert torch.equal(got, exact)
            with computing(convolutional, torch.device("cpu"), "bf16"):
                assert torch.equal(under(50, context(50), nobody).base.log_w, log_w)
            if p is mixture:
                assert torch.allclose(slope, gradient, atol=1e-4, rtol=1e-4)


# ---- VampPrior ----


class Reader(nn.Module):
    """A posterior that notes what it was asked about."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 4)
        self.contexts: list[Context | None] = []

    def forward(self, x: Tensor, context: Context | None) -> NormalDistribution:
        self.contexts.append(context)
        return NormalDistribution(*self.linear(x.flatten(1)).chunk(2, 1))


@pytest.mark.parametrize("given", [None, context(6)], ids=["alone", "conditioned"])
def test_vamp_is_the_mean_of_posteriors_at_its_pseudo_inputs(given: Context | None) -> None:
    reader, prior = Reader(), VampPrior(2, SHAPE, context=C if given else 0, components=5)
    z = torch.randn(6, 2)
    q = reader(prior.inputs(), None)
    each = torch.stack(
        [NormalDistribution(m, s).log_prob(z).sum(1) for m, s in zip(q.mean, q.log_scale, strict=True)]
    )
    log_p = prior(6, given, reader).log_prob(z)
    assert torch.allclose(log_p, torch.logsumexp(each, 0) - math.log(5), atol=1e-5)
    asked = reader.contexts[-1]
    assert (asked is None) == (given is None)
    assert asked is None or (asked.vector.shape == (5, C) and (asked.vector == 0).all())
    log_p.sum().backward()
    assert prior.pseudo.grad is not None and (prior.pseudo.grad != 0).all()
    if given is not None:
        awake(prior.weights, 1.0)
        assert not torch.allclose(
            prior(6, given, reader).log_prob(z), prior(6, context(6, 1), reader).log_prob(z), atol=1e-3
        )


@pytest.mark.parametrize("shape", [SHAPE, Grid(1, (1, 3)), Tokens(4, (3,))])
def test_vamp_begins_near_real_items(shape: Any) -> None:
    prior = VampPrior(2, shape, components=5)
    tokens = isinstance(shape, Tokens)
    x = torch.randint(0, 4, (3, 3)) if tokens else torch.rand(3, *shape.form).round()
    prior.begin(x)
    inputs = prior.inputs()
    near = inputs.argmax(-1) if tokens else inputs.round() if isinstance(shape, Grid) else inputs
    again = x[[0, 1, 2, 0, 1]]
    assert torch.equal(near, again) if tokens else torch.allclose(near.float(), again.float(), atol=0.1)
    assert not torch.equal(inputs[0], inputs[3])  # copies of one item are told apart
    if not isinstance(shape, Row):
        assert (inputs > 0.01).all() and (inputs < 0.99).all()


def test_vamp_needs_normal_posteriors() -> None:
    def mixture(x: Tensor, context: Context | None) -> Distribution:
        return NormalMixture(torch.zeros(1, 1), torch.zeros(1, 2), torch.zeros(1, 2))

    with pytest.raises(TypeError, match="mixture of normal posteriors"):
        VampPrior(2, SHAPE)(1, None, mixture)


# ---- standard normal ----


def test_standard_normal_learns_where_conditions_lie() -> None:
    z = torch.randn(4, 2)
    plain = StandardNormal(2, SHAPE)(4, None, nobody)
    assert torch.allclose(plain.log_prob(z), oracle.Normal(0, 1).log_prob(z)) and plain.mean.shape == (4, 2)
    prior = StandardNormal(2, SHAPE, context=C)
    assert torch.allclose(prior(4, context(4), nobody).log_prob(z), plain.log_prob(z))
    p, other = awake(prior)(4, context(4), nobody), prior(4, context(4, 1), nobody)
    assert not torch.allclose(p.mean, other.mean, atol=1e-3)
    assert not torch.allclose(p.log_scale, other.log_scale, atol=1e-3)


@pytest.mark.parametrize("name", ["normal", "mixture", "vamp", "flow", "fitted"])
def test_an_items_latent_is_its_own_and_conditions_move_it(name: str) -> None:
    reader = Reader()
    prior: Prior = {
        "normal": StandardNormal(2, SHAPE, context=C),
        "mixture": Mixture(2, SHAPE, context=C, components=4),
        "vamp": VampPrior(2, SHAPE, context=C, components=4),
        "flow": Flow(2, SHAPE, context=C, layers=4, units=8),
        "fitted": fitted_by_vector(),
    }[name]
    awake(prior, 1.0)
    with torch.no_grad():
        p = prior(6, context(6), reader)
        z = p.draw(PerItem(1, range(6)))
        two = Context(*(v[2:4] for v in (context(6).vector, context(6).tokens, context(6).mask)))
        assert torch.allclose(prior(2, two, reader).draw(PerItem(1, [2, 3])), z[2:4], atol=1e-5)
        assert not torch.allclose(p.draw(PerItem(2, range(6))), z, atol=1e-3)
        moved = prior(6, context(6, 1), reader)
        assert not torch.allclose(per_latent(p, z), per_latent(moved, z), atol=1e-3)
        k = torch.cat([z, z + 1])  # two samples of every item, K-major
        assert torch.allclose(per_latent(p, z), log_k(p, k)[:6], atol=1e-4)


def log_k(p: Distribution, z: Tensor) -> Tensor:
    """log p of 12 latents of six items, as the model asks for it."""
    if isinstance(p, NormalDistribution):
        return p.log_prob(z.view(2, 6, 2)).sum(2).flatten()
    return p.log_prob(z)


# ---- fitted ----

MEANS = np.array([[-4.0, 0.0], [4.0, 1.0], [0.0, 5.0]])
COVARIANCES = np.array([[[1.0, 0.8], [0.8, 1.0]], [[0.2, 0.0], [0.0, 2.0]], [[0.5, -0.2], [-0.2, 0.3]]])
WEIGHTS = np.array([0.5, 0.3, 0.2])


def blobs(n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Draws from a known mixture, and which component each is from."""
    rng = np.random.default_rng(seed)
    owner = rng.choice(3, n, p=WEIGHTS)
    z = np.stack([rng.multivariate_normal(MEANS[i], COVARIANCES[i]) for i in owner])
    return torch.from_numpy(z).float(), torch.from_numpy(owner)


def fitted_by_vector() -> Fitted:
    """Fitted to blobs whose context says which one it is."""
    codes, owner = blobs(400, 0)
    prior = Fitted(2, SHAPE, context=C, components=4)
    prior.fit(codes, blobs(200, 1)[0], nn.functional.one_hot(owner, C).float())
    return prior


def test_fitted_recovers_a_known_mixture() -> None:
    train, held_out, fresh = blobs(3000, 0)[0], blobs(1000, 1)[0], blobs(4000, 2)[0]
    prior = Fitted(2, SHAPE, components=16)
    before = prior(5, None, nobody)
    assert isinstance(before, NormalDistribution) and (before.mean == 0).all()
    prior.fit(train, held_out, None)
    truth = oracle.MixtureSameFamily(
        oracle.Categorical(torch.tensor(WEIGHTS)),
        oracle.MultivariateNormal(torch.tensor(MEANS), torch.tensor(COVARIANCES)),
    ).log_prob(fresh.double())
    got = prior(len(fresh), None, nobody).log_prob(fresh)
    assert abs(float(got.mean()) - float(truth.mean())) < 0.05
    drawn = prior(20_000, None, nobody).draw(torch.Generator().manual_seed(0))
    assert torch.allclose(drawn.mean(0), torch.tensor(WEIGHTS @ MEANS).float(), atol=0.15)
    again = Fitted(2, SHAPE, components=16)
    again.load_state_dict(prior.state_dict())
    assert torch.equal(again(len(fresh), None, nobody).log_prob(fresh), got)


def test_fitted_chooses_by_what_was_held_out() -> None:
    few = blobs(60, 0)[0]
    many = fit_mixture(few, blobs(1000, 1)[0], None, 8)
    fooled = fit_mixture(few, few, None, 8)

    def used(fit: dict[str, Tensor]) -> int:
        return int((fit["bias"] > -1e8).sum())

    assert used(fooled) == 8 and used(many) < 8
    assert used(fit_mixture(torch.randn(4, 2), torch.zeros(0, 2), None, 8)) == 1


def test_fitted_weights_follow_the_condition() -> None:
    prior = fitted_by_vector()
    for i in range(3):
        vector = torch.eye(C)[i].expand(500, C)
        given = Context(vector, vector.unsqueeze(1), torch.ones(500, 1, dtype=torch.bool))
        z = prior(500, given, nobody).draw(torch.Generator().manual_seed(i))
        assert torch.allclose(z.mean(0), torch.tensor(MEANS[i]).float(), atol=0.5)


@pytest.mark.parametrize("classes", [1, 2])
def test_fitted_with_one_or_two_components_and_a_condition(classes: int) -> None:
    z = torch.randn(200, 2) + torch.tensor([8.0, 0.0]) * (torch.arange(200) % classes).view(-1, 1)
    vectors = nn.functional.one_hot(torch.arange(200) % 2, C).float()
    prior = Fitted(2, SHAPE, context=C, components=classes)
    prior.fit(z, z, vectors)
    second = Context(vectors[1::2], vectors[1::2].unsqueeze(1), torch.ones(100, 1, dtype=torch.bool))
    mean = prior(100, second, nobody).mean[0, 0].item()
    assert abs(mean - (8 if classes == 2 else 0)) < 0.5


def test_fitted_with_no_codes() -> None:
    with pytest.raises(DataError, match="no codes to fit a mixture to"):
        fit_mixture(torch.zeros(0, 2), torch.zeros(0, 2), None, 4)


def test_fitted_with_one_code() -> None:
    prior = Fitted(2, SHAPE, components=4)
    prior.fit(torch.tensor([[1.0, -2.0]]), torch.zeros(0, 2), None)
    z = prior(9, None, nobody).draw(torch.Generator().manual_seed(0))
    assert torch.allclose(z, torch.tensor([1.0, -2.0]), atol=1e-3)


def test_settling_fits_the_codes_of_an_autoencoder() -> None:
    shape = Row((1, 1))
    model = AE(Encoder(shape, 2, hidden=()), Decoder(2, (2,), hidden=()), Normal(shape), Fitted(2, shape))
    with torch.no_grad():
        model.encoder.layers.linears[0].weight.copy_(torch.eye(2))
        model.encoder.layers.linears[0].bias.copy_(torch.tensor([10.0, 0.0]))
    assert [(s.name, s.players) for s in model.stages] == [("train", ("model",)), ("density", ())]
    x = blobs(600, 0)[0]
    model.settle([Batch(x[:300]), Batch(x[300:])], [Batch(blobs(200, 1)[0])])
    z = model.latents(5000).draw(torch.Generator().manual_seed(0))
    assert torch.allclose(z.mean(0), x.mean(0) + torch.tensor([10.0, 0.0]), atol=0.2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Flow(1, SHAPE), "flow prior needs a latent of 2 or more"),
        (lambda: Flow(2, SHAPE, layers=0), r"layers in 1..256 .* not 0 and 256"),
        (lambda: Mixture(2, SHAPE, components=0), "components is a number from 1 to 65536, not 0"),
        (lambda: Mixture(2, SHAPE, components=-1), "components is a number from 1 to 65536, not -1"),
        (lambda: VampPrior(2, SHAPE, components=-1), "components is a number"),
        (lambda: Fitted(2, SHAPE, components=0), "components is a number"),
    ],
)
def test_refusals(make: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make()


def test_a_fitted_prior_of_a_vae_knows_how_wide_the_posteriors_are() -> None:
    """Fitted to the posteriors' means alone, it made the KL of a real run 71,540 nats, once."""

    class Reader(nn.Module):
        """q(z | x) = N(x / 100, 1): far wider than the means are apart."""

        def forward(self, x: torch.Tensor, context: object = None, seen: object = None) -> torch.Tensor:
            return torch.cat([x / 100, torch.full_like(x, _NARROW)], 1)

    shape = Row((1, 1))
    model = VAE(Reader(), nn.Identity(), Normal(shape), Fitted(2, shape, components=4))
    x = torch.randn(400, 2, generator=torch.Generator().manual_seed(0))
    model.settle([Batch(x[:300])], [Batch(x[300:])])
    latents = model.infer(x, noise=torch.Generator().manual_seed(1))
    assert latents.kl is None
    assert (latents.log_q - latents.log_p).mean().item() == pytest.approx(0, abs=0.1)

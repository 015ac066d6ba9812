"""The objectives of vae and ae: their terms against closed forms, on a linear-Gaussian model.

    z ~ N(0, 1)    x | z ~ N(W z + b, s^2)    p(z | x) and log p(x) are known; W has orthogonal columns,
so that p(z | x) is diagonal and an encoder can be exactly right, or wrong by a known amount.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch import distributions as oracle

from ectype.assembly import build
from ectype.context import Context
from ectype.data.batch import Batch
from ectype.data.reading import read
from ectype.errors import UsageError
from ectype.likelihoods.normal import Normal, NormalDistribution, normal_kl
from ectype.likelihoods.point import PointDistribution
from ectype.models import Loss
from ectype.models.ae import AE
from ectype.models.vae import _NARROW, VAE
from ectype.noise import PerItem
from ectype.priors.fitted import Fitted
from ectype.priors.mixture import Mixture
from ectype.priors.normal import StandardNormal
from ectype.shapes import Row

D, X, S = 3, 5, 0.7
SHAPE = Row((1,) * X)


class Encoding(nn.Module):
    """The exact posterior, moved by `shift` and widened by exp(`widen`)."""

    def __init__(self, shift: float, widen: float) -> None:
        super().__init__()
        orthogonal, _ = torch.linalg.qr(torch.randn(X, D, generator=torch.Generator().manual_seed(0)))
        self.w = orthogonal * torch.tensor([1.5, 0.8, 0.2])
        self.b = torch.linspace(-1, 1, X)
        self.precision = 1 + (self.w**2).sum(0) / S**2
        self.shift, self.widen = nn.Parameter(torch.full((D,), shift)), nn.Parameter(torch.full((D,), widen))

    def forward(self, x: Tensor, context: Context | None = None, seen: Tensor | None = None) -> Tensor:
        mean = (x - self.b) @ self.w / S**2 / self.precision
        log_scale = (_NARROW - 0.5 * self.precision.log()).expand_as(mean)
        return torch.cat([mean + self.shift, log_scale + self.widen], 1)


class Decoding(nn.Module):
    """W z + b; notes how many latents it was given."""

    def __init__(self, of: Encoding) -> None:
        super().__init__()
        self.w, self.b = nn.Parameter(of.w.clone()), nn.Parameter(of.b.clone())
        self.calls: list[Tensor] = []

    def forward(self, z: Tensor, context: Context | None = None) -> Tensor:
        self.calls.append(z.detach())
        return z @ self.w.T + self.b


def linear(shift: float = 0.0, widen: float = 0.0, **options: Any) -> VAE:
    likelihood = Normal(SHAPE, scale="shared", floor=1e-3)
    # the inverse of how the likelihood reads it
    likelihood.scale.log_scale.data.fill_(math.log(1e-3) + math.log(math.expm1(math.log(S / 1e-3))))
    encoder = Encoding(shift, widen)
    options = {"warmup": 0.0, **options}
    return VAE(encoder, Decoding(encoder), likelihood, StandardNormal(D, SHAPE), **options)


def data(n: int = 6) -> Tensor:
    return 1.5 * torch.randn(n, X, generator=torch.Generator().manual_seed(5))


def log_p(x: Tensor) -> Tensor:
    """The truth, (B,) nats."""
    e = Encoding(0.0, 0.0)
    return oracle.MultivariateNormal(e.b, e.w @ e.w.T + S**2 * torch.eye(X)).log_prob(x)


def known_kl(model: VAE, x: Tensor) -> Tensor:
    """KL of the model's posterior against the exact one, (B,) nats."""
    q, exact = model.posterior(x), linear().posterior(x)
    return oracle.kl_divergence(
        oracle.Normal(q.mean, q.log_scale.exp()), oracle.Normal(exact.mean, exact.log_scale.exp())
    ).sum(1)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# ---- terms ----


def test_kl_against_torch() -> None:
    m, s, n, t = torch.randn(4, 7, 3).unbind()
    got = normal_kl(NormalDistribution(m, s), NormalDistribution(n, t))
    expected = oracle.kl_divergence(oracle.Normal(m, s.exp()), oracle.Normal(n, t.exp()))
    assert got.shape == (7, 3) and torch.allclose(got, expected, atol=1e-4, rtol=1e-4)
    assert torch.allclose(
        normal_kl(NormalDistribution(m, s), NormalDistribution(m, s)), torch.zeros(7, 3), atol=1e-6
    )


def test_latents_carry_their_densities() -> None:
    model, x = linear(0.3, 0.2), data()
    q = model.posterior(x)
    got = model.infer(x, k=4, noise=generator())
    z = got.z.view(4, 6, D)
    assert torch.allclose(
        got.log_q.view(4, 6), oracle.Normal(q.mean, q.log_scale.exp()).log_prob(z).sum(2), atol=1e-4
    )
    assert torch.allclose(got.log_p.view(4, 6), oracle.Normal(0, 1).log_prob(z).sum(2), atol=1e-4)
    standard = oracle.Normal(torch.zeros(D), torch.ones(D))
    expected = oracle.kl_divergence(oracle.Normal(q.mean, q.log_scale.exp()), standard)
    assert got.kl is not None and torch.allclose(got.kl, expected, atol=1e-4)


def test_with_a_mixture_prior_the_kl_is_estimated_and_on_average_right() -> None:
    model, x = linear(0.3, 0.2), data(4)
    exact = model.infer(x, noise=generator()).kl
    prior = Mixture(D, SHAPE, components=3)
    prior.means.data.zero_()  # three times N(0, 1)
    model.prior = prior
    assert model.infer(x, noise=generator()).kl is None
    big = Batch(x.repeat(20_000, 1))
    kl = model.loss(big, noise=generator()).parts["kl"].view(20_000, 4)
    assert exact is not None
    error = kl.std(0) / math.sqrt(20_000)
    assert ((kl.mean(0) - exact.sum(1)).abs() < 5 * error).all()


# ---- the bound ----


@pytest.mark.parametrize("k", [1, 2, 7])
def test_with_the_exact_posterior_every_sample_gives_log_p(k: int) -> None:
    model, x = linear(samples=k), data()
    each = model.loss(Batch(x), noise=generator()).each
    if k == 1:  # its KL is analytic, so one sample is right on average only
        many = model.loss(Batch(x.repeat(40_000, 1)), noise=generator()).each.view(40_000, 6)
        assert ((many.mean(0) + log_p(x)).abs() < 5 * many.std(0) / 200).all()
    else:
        assert torch.allclose(-each, log_p(x), atol=1e-4)


def test_with_a_wrong_posterior_the_gap_is_its_kl() -> None:
    model, x = linear(0.4, -0.5), data()
    many = model.loss(Batch(x.repeat(40_000, 1)), noise=generator()).each.view(40_000, 6)
    gap = log_p(x) + many.mean(0)
    assert (known_kl(model, x) > 0.5).all()
    assert ((gap - known_kl(model, x)).abs() < 5 * many.std(0) / 200).all()


def test_more_samples_tighten_the_objective() -> None:
    x, last = data(), torch.tensor(-math.inf)
    for k in (1, 5, 50):
        model = linear(0.4, -0.3, samples=k)
        big = Batch(x.repeat(2000, 1))
        bound = -model.loss(big, noise=generator()).each.view(2000, 6).mean(0)
        assert (bound > last + 0.02).all() and (bound < log_p(x) + 0.02).all()
        last = bound


@pytest.mark.parametrize("k", [1, 7, 150])
def test_k_samples_are_decoded_and_no_more(k: int) -> None:
    model = linear(samples=k)
    model.loss(Batch(data()), noise=generator())
    (z,) = model.decoder.calls
    assert z.shape == (k * 6, D) and len(torch.unique(z[:, 0])) == k * 6


def test_the_gradient_of_the_importance_weighted_bound_is_a_softmax_weighting() -> None:
    k, x = 5, data()
    model = linear(0.4, -0.3, samples=k)
    model.loss(Batch(x), noise=generator()).total.backward()
    got = model.decoder.w.grad
    latents = model.infer(x, k=k, noise=generator())
    p = model.decode(latents.z)
    log_x = p.log_prob(x.repeat(k, 1)).sum(1).view(k, 6)
    weights = torch.softmax(log_x + (latents.log_p - latents.log_q).view(k, 6), 0).detach()
    assert (weights.max(0).values > 1.5 / k).sum() > 3  # far from equal, or the test would not see them
    (expected,) = torch.autograd.grad(-(weights * log_x).sum(0).mean(), model.decoder.w)
    assert got is not None and torch.allclose(got, expected, atol=1e-4)


@pytest.mark.parametrize("prior", ["normal", "mixture", "flow"])
def test_k_samples_of_an_item_share_its_condition(prior: str) -> None:
    x, labels = torch.randn(30, 4, generator=generator()).numpy(), [i % 3 for i in range(30)]
    labelled = read((x, labels), kind="vector", given="label")
    model = build("vae", labelled, hidden=(8,), latent=2, prior=prior, samples=4)
    with torch.no_grad():
        for p in model.parameters():
            p += 0.3 * torch.randn(p.shape, generator=generator(1))
        whole = model.loss(labelled.batch(range(6)), noise=PerItem(0, range(6))).each
        for i in range(6):
            alone = model.loss(labelled.batch([i]), noise=PerItem(0, [i])).each
            # another batch size may add up in another order: some 1e-5 of a loss of 1e7 nats
            assert torch.allclose(whole[i : i + 1], alone, rtol=1e-4, atol=1e-3)


# ---- what changes the objective but not the report ----


def test_beta_weighs_the_kl() -> None:
    x = data()
    plain, heavy = (linear(0.3, beta=beta).loss(Batch(x), noise=generator()) for beta in (1.0, 4.0))
    for loss in (plain, heavy):
        assert not loss.parts["kl"].requires_grad and not loss.parts["distortion"].requires_grad
    assert torch.equal(plain.parts["kl"], heavy.parts["kl"])
    assert torch.allclose(plain.each, plain.parts["distortion"] + plain.parts["kl"], atol=1e-4)
    assert torch.allclose(heavy.each, heavy.parts["distortion"] + 4 * heavy.parts["kl"], atol=1e-4)
    iwae = linear(0.3, beta=0.0, samples=3)
    log_x = iwae.decode(iwae.infer(x, k=3, noise=generator()).z).log_prob(x.repeat(3, 1)).sum(1).view(3, 6)
    expected = math.log(3) - torch.logsumexp(log_x, 0)
    assert torch.allclose(iwae.loss(Batch(x), noise=generator()).each, expected, atol=1e-4)


@pytest.mark.parametrize(("warmup", "settles"), [(0.0, 0.2), (0.1, 0.2), (0.7, 0.7)])
def test_losses_can_be_compared_when_the_warm_up_is_over(warmup: float, settles: float) -> None:
    model = linear(0.3, warmup=warmup)
    for progress in (0.0, settles - 0.01, settles, 1.0):
        model.progress = progress
        assert model.settled == (progress >= settles)


def test_the_weight_rises_over_the_warm_up() -> None:
    model = linear(0.3, beta=2.0, warmup=0.25)
    assert model.progress == 1.0 and model.weight == 2.0  # a model in nobody's loop is warm
    weights = []
    for model.progress in (0.0, 0.125, 0.25, 0.6):
        loss = model.loss(Batch(data()), noise=generator())
        assert torch.allclose(
            loss.each, loss.parts["distortion"] + model.weight * loss.parts["kl"], atol=1e-4
        )
        weights.append(model.weight)
    assert weights == [0.0, 0.25, 2.0, 2.0]  # a half of it is an eighth of the weight


def test_items_of_several_parts_are_warmed_up_for_longer() -> None:
    rows = np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32)
    pairs = read((rows, {"side": ["left", "right"] * 20}), joint="side")
    assert build("vae", pairs).warmup == 0.5 and build("vae", read(rows)).warmup == 0.1  # type: ignore[attr-defined]
    assert build("vae", pairs, warmup=0.2).warmup == 0.2  # type: ignore[attr-defined]


def test_a_posterior_starts_narrow() -> None:
    rows = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
    model = build("vae", read(rows))
    q = model.posterior(read(rows).batch(torch.arange(40)).x)  # type: ignore[operator]
    assert 0.01 < float(q.log_scale.detach().exp().mean()) < 0.2


@pytest.mark.parametrize("estimated", [False, True])
def test_free_bits_leave_small_kls_alone_and_report_the_truth(estimated: bool) -> None:
    x = data()

    def loss(free_bits: float) -> tuple[VAE, Loss]:
        model = linear(0.3, 0.1, free_bits=free_bits)
        assert model.coupled == (free_bits > 0)
        if estimated:
            model.prior = Mixture(D, SHAPE, components=1)
            model.prior.means.data.zero_()
        return model, model.loss(Batch(x), noise=generator())

    _, plain = loss(0.0)
    per = (
        normal_kl(linear(0.3, 0.1).posterior(x), NormalDistribution(torch.zeros(1), torch.zeros(1)))
        .detach()
        .mean(0)
    )
    below, above = per.argmin(), per.argmax()
    least = float(per.sum() / D + 0.3 if estimated else (per[below] + per[above]) / 2)
    model, pressed = loss(least)
    assert torch.equal(pressed.parts["kl"], plain.parts["kl"])  # the true one
    kl = pressed.each - pressed.parts["distortion"]
    if estimated:
        assert torch.allclose(kl, torch.full_like(kl, D * least), atol=1e-4)
    else:
        kept = per > least
        expected = float(per[kept].sum() + least * (~kept).sum())
        assert abs(float(kl.detach().mean()) - expected) < 1e-4
    (pressed.each - distortion_of(model, x)).mean().backward()
    gradient = model.encoder.shift.grad
    assert gradient is not None
    assert abs(float(gradient[below])) < 1e-5
    assert estimated or abs(float(gradient[above])) > 0.1


def distortion_of(model: VAE, x: Tensor) -> Tensor:
    """-log p(x | z) of the same draw, with its gradient."""
    latents = model.infer(x, noise=generator())
    return -model.decode(latents.z).log_prob(x).sum(1)


# ---- weights and missing values ----


def test_the_total_is_the_weighted_mean() -> None:
    each = torch.tensor([1.0, 2.0, 6.0])
    assert float(Loss(each).total) == 3.0
    assert float(Loss(each, torch.tensor([1.0, 0.0, 3.0])).total) == 19 / 4
    model, x = linear(0.3), data(3)
    twice = model.loss(Batch(x, weight=torch.tensor([1.0, 0.0, 3.0])), noise=generator())
    assert torch.allclose(twice.total, (twice.each * torch.tensor([0.25, 0.0, 0.75])).sum())
    twice.total.backward()
    first = model.decoder.w.grad.clone()
    model.zero_grad()
    each = model.loss(Batch(x), noise=generator()).each
    (0.25 * each[0] + 0.75 * each[2]).backward()
    assert torch.allclose(first, model.decoder.w.grad, atol=1e-5)


@pytest.mark.parametrize("k", [1, 4])
def test_unseen_sites_weigh_nothing(k: int) -> None:
    model, x = linear(0.3, samples=k), data()
    seen = torch.ones(6, X, dtype=torch.bool)
    seen[:, 2] = False
    p = model.decode(model.infer(x, k=k, noise=generator()).z)
    got = model.reconstruction(p, Batch(x, seen=seen), k)
    sites = p.log_prob(x.repeat(k, 1))
    assert torch.allclose(got, sites[:, [0, 1, 3, 4]].sum(1), atol=1e-5)
    hole = torch.where(seen, x, torch.tensor(float("nan")))
    assert torch.equal(model.reconstruction(p, Batch(hole, seen=seen), k), got)
    model.reconstruction(p, Batch(hole, seen=seen), k).sum().backward()
    assert model.decoder.w.grad is not None and model.decoder.w.grad.isfinite().all()


# ---- ae ----


class Codes(nn.Module):
    """The first D numbers of x as its code."""

    def forward(self, x: Tensor, context: Context | None = None, seen: Tensor | None = None) -> Tensor:
        return x[:, :D]


def auto(**options: Any) -> AE:
    return AE(Codes(), Decoding(Encoding(0.0, 0.0)), Normal(SHAPE), Fitted(D, SHAPE), **options)


def test_the_loss_of_an_autoencoder() -> None:
    model, x = auto(penalty=0.2), data()
    loss = model.loss(Batch(x), noise=generator())
    distortion = -model.decode(x[:, :D]).log_prob(x).sum(1)
    assert torch.allclose(loss.each, distortion + 0.1 * (x[:, :D] ** 2).sum(1), atol=1e-5)
    assert torch.allclose(loss.parts["distortion"], distortion, atol=1e-5)
    assert not model.bounded and torch.equal(model.infer(x, k=2).z, x[:, :D].repeat(2, 1))


def test_corruption_is_for_training_only() -> None:
    model, x = auto(corruption=0.5), data(5000)
    model.train().loss(Batch(x), noise=generator())
    moved = model.decoder.calls[-1] - x[:, :D]
    assert abs(float(moved.std()) - 0.5) < 0.02 and abs(float(moved.mean())) < 0.02
    model.eval().loss(Batch(x), noise=generator())
    assert torch.equal(model.decoder.calls[-1], x[:, :D])


def test_a_code_is_a_point_mass() -> None:
    q = PointDistribution(torch.tensor([[1.0, 2.0]]))
    assert q.log_prob(torch.tensor([[1.0, 3.0]])).tolist() == [[0.0, -math.inf]]
    assert q.draw(generator()) is q.mean is q.mode


# ---- refusals and the way in ----


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: linear(beta=-1.0), "beta and free_bits are not negative"),
        (lambda: linear(beta=math.nan), "got nan"),
        (lambda: linear(warmup=1.5), "warmup is a share of training"),
        (lambda: linear(samples=0), "samples at least 1"),
        (lambda: linear(free_bits=0.1, samples=2), "free_bits changes the ELBO's KL term"),
        (lambda: auto(corruption=-1.0), "corruption and penalty are not negative, got -1.0"),
        (lambda: auto(penalty=math.nan), "got 0.0 and nan"),
    ],
)
def test_refusals(make: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make()


def test_a_posterior_of_another_family_is_refused() -> None:
    with pytest.raises(TypeError, match="posterior of a VAE is normal, not PointDistribution"):
        linear().draws(PointDistribution(torch.zeros(1, D)), None, 1, None)


def test_every_problem_with_the_options_is_told_at_once() -> None:
    rows = read(torch.randn(30, 4, generator=generator()).numpy())
    with pytest.raises(UsageError) as error:
        build("vae", rows, hiden=(3,), beta="much", samples=2)
    assert "no part of this model takes 'hiden'; did you mean 'hidden'?" in str(error.value)
    assert "beta='much': input should be a valid number" in str(error.value)
    for latent in (0, -1, 70_000):
        with pytest.raises(UsageError, match=f"from 1 to 65536, not {latent}"):
            build("vae", rows, latent=latent)
    with pytest.raises(
        UsageError, match="bernoulli counts levels, and the values of a vector have none; use normal"
    ):
        build("vae", rows, likelihood="bernoulli")
    with pytest.raises(UsageError, match="there is no model called 'vea'; did you mean 'vae'"):
        build("vea", rows)


def test_a_built_model_trains_in_anybodys_loop() -> None:
    rows = read(torch.randn(60, 4, generator=generator()).numpy())
    before = torch.get_rng_state()
    model = build("vae", rows, hidden=(16,), latent=2, seed=3)
    assert torch.equal(torch.get_rng_state(), before)  # building leaves the process's noise alone
    batch = rows.batch(rows.splits["train"])
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)  # at 1e-2 flows break without clipping
    losses = []
    for step in range(60):
        optimizer.zero_grad()
        total = model.loss(batch, noise=PerItem(step, range(len(batch)))).total
        total.backward()
        optimizer.step()
        losses.append(float(total.detach()))
    assert losses[-1] < losses[0] - 0.3


def test_what_counts_levels_says_what_makes_better_pictures_of_conditions() -> None:
    given, plain = read("digits", given="label"), read("digits")
    assert "--likelihood normal is better" in build("vae", given, width=2, latent=2).remark
    assert not build("vae", plain, width=2, latent=2).remark
    assert not build("vae", given, width=2, latent=2, likelihood="normal").remark

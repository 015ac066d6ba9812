"""ELBO <= IWAE-K <= log p(x) on a linear-Gaussian model whose log p(x) is known."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch import distributions as oracle

from ectype.context import Conditioner, Context
from ectype.data.batch import Batch
from ectype.errors import DataError, UsageError
from ectype.likelihoods.normal import Normal
from ectype.metrics import bounds as room
from ectype.metrics.bounds import bounds
from ectype.models.vae import _NARROW, VAE
from ectype.priors.mixture import Mixture
from ectype.priors.normal import StandardNormal
from ectype.shapes import Row

# D is a multiple of 16, of which torch makes normal numbers at a time: any chunk of samples is then a
# piece of the same stream, and only the arithmetic of the chunks is tested
D, X, S, N = 16, 18, 0.9, 11
SHAPE = Row((1,) * X)


class Encoding(nn.Module):
    """The exact posterior, moved by `shift` and widened by exp(`widen`)."""

    def __init__(self, shift: float, widen: float) -> None:
        super().__init__()
        orthogonal, _ = torch.linalg.qr(torch.randn(X, D, generator=torch.Generator().manual_seed(0)))
        self.w = orthogonal * torch.linspace(0.1, 1.2, D)
        self.precision = 1 + (self.w**2).sum(0) / S**2
        self.shift, self.widen = shift, widen
        self.calls = 0

    def forward(self, x: Tensor, context: Context | None = None, seen: Tensor | None = None) -> Tensor:
        self.calls += len(x)
        mean = x @ self.w / S**2 / self.precision
        if context is not None:
            mean = mean + 0.1 * context.vector
        log_scale = (_NARROW - 0.5 * self.precision.log()).expand_as(mean)
        return torch.cat([mean + self.shift, log_scale + self.widen], 1)


class Decoding(nn.Module):
    """W z; notes the latents it was given."""

    def __init__(self, of: Encoding) -> None:
        super().__init__()
        self.of, self.calls = of, []  # type: ignore[var-annotated]

    def forward(self, z: Tensor, context: Context | None = None) -> Tensor:
        self.calls.append(z)
        moved = z if context is None else z + context.vector
        return moved @ self.of.w.T


def linear(shift: float = 0.0, widen: float = 0.0, conditioner: Conditioner | None = None) -> VAE:
    likelihood = Normal(SHAPE, scale="shared", floor=1e-3)
    likelihood.scale.log_scale.data.fill_(math.log(1e-3) + math.log(math.expm1(math.log(S / 1e-3))))
    encoder = Encoding(shift, widen)
    return VAE(encoder, Decoding(encoder), likelihood, StandardNormal(D, SHAPE), conditioner)


def data(n: int = N) -> Tensor:
    return torch.randn(n, X, generator=torch.Generator().manual_seed(5))


def log_p(x: Tensor) -> Tensor:
    w = Encoding(0.0, 0.0).w
    return oracle.MultivariateNormal(torch.zeros(X), w @ w.T + S**2 * torch.eye(X)).log_prob(x)


@pytest.fixture(params=[1_200_000, 8 * X * 40, 8 * X, 1], ids=["whole", "chunks", "ones", "tiny"])
def room_for(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """How many numbers are decoded at a time."""
    monkeypatch.setattr(room, "_VALUES", request.param)
    yield request.param


@pytest.mark.parametrize("k", [1, 7, 150])
def test_with_the_exact_posterior_any_k_gives_log_p(k: int, room_for: int) -> None:
    got = bounds(linear(), [Batch(data())], samples=k)
    assert torch.allclose(got.iwae, log_p(data()), atol=2e-4)
    assert torch.allclose(got.elbo, log_p(data()), atol=2e-4)
    assert got.samples == k


@pytest.mark.parametrize("k", [1, 7, 150])
def test_the_numbers_are_those_of_k_samples_at_once(k: int, room_for: int) -> None:
    """Everything recomputed by torch from the latents that were really decoded."""
    x, model = data(), linear(0.2, -0.2)
    got = bounds(model, [Batch(x)], samples=k, seed=3)
    assert model.encoder.calls == N  # encoded once
    assert sum(map(len, model.decoder.calls)) == k * N
    z = collected(model, k)
    assert len(torch.unique(z[..., 0])) == k * N
    q = model.posterior(x)
    w = oracle.Normal(z @ model.encoder.w.T, S).log_prob(x).sum(2)
    distortion = -w.mean(0)
    w = (
        w
        + oracle.Normal(0, 1).log_prob(z).sum(2)
        - oracle.Normal(q.mean, q.log_scale.exp()).log_prob(z).sum(2)
    )
    assert torch.allclose(got.iwae, torch.logsumexp(w, 0) - math.log(k), atol=1e-3)
    assert torch.allclose(got.elbo, w.mean(0), atol=1e-3)
    assert torch.allclose(got.distortion, distortion, atol=1e-3)
    expected = oracle.kl_divergence(oracle.Normal(q.mean, q.log_scale.exp()), oracle.Normal(0.0, 1.0)).sum(1)
    assert torch.allclose(got.kl, expected, atol=1e-3)


def collected(model: VAE, k: int) -> Tensor:
    """The decoded latents as (K, N, D), from however they were cut."""
    items = max(1, room._VALUES // (room._chunk(X, k) * X))
    calls, rows = list(model.decoder.calls), []
    for first in range(0, N, items):
        n, of_part = min(items, N - first), []
        while sum(map(len, of_part)) < k * n:
            of_part.append(calls.pop(0))
        rows.append(torch.cat([z.view(-1, n, D) for z in of_part]))
    return torch.cat(rows, 1)


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    x, results = data(), []
    for values in (10**7, 8 * X * 40, 8 * X * 7, 1):
        monkeypatch.setattr(room, "_VALUES", values)
        results.append(bounds(linear(0.3, 0.1), [Batch(x)], samples=150))
    for other in results[1:]:
        for name in ("elbo", "iwae", "distortion", "kl"):
            assert torch.allclose(getattr(results[0], name), getattr(other, name), atol=1e-3), name


def test_elbo_below_iwae_below_log_p() -> None:
    x = data(200)
    model = linear(0.25, -0.3)
    q, exact = model.posterior(x), linear().posterior(x)
    gap = oracle.kl_divergence(
        oracle.Normal(q.mean, q.log_scale.exp()), oracle.Normal(exact.mean, exact.log_scale.exp())
    ).sum(1)
    truth, last = log_p(x), -math.inf
    for k in (1, 10, 200):
        got = bounds(model, [Batch(x, index=torch.arange(200))], samples=k)
        assert (got.elbo <= got.iwae + 1e-4).all()
        mean = float(got.iwae.mean())
        assert last + 0.1 < mean < float(truth.mean()) + 0.02
        last = mean
    assert float(truth.mean()) - last < 0.3 * float(gap.mean())
    assert abs(float((truth - got.elbo - gap).mean())) < 0.05


def test_an_item_has_its_value_in_any_company() -> None:
    x = data()
    index = torch.arange(N) + 40
    model = linear(0.3, 0.1)
    whole = bounds(model, [Batch(x, index=index)], samples=50)
    # 50 samples of 3 items and of 11 fill different shares of a chunk
    parts = bounds(model, [Batch(x[i : i + 3], index=index[i : i + 3]) for i in range(0, N, 3)], samples=50)
    assert torch.allclose(whole.iwae, parts.iwae, atol=1e-3)
    backwards = bounds(model, [Batch(x.flip(0), index=index.flip(0))], samples=50)
    assert torch.allclose(whole.iwae, backwards.iwae.flip(0), atol=1e-3)
    other = bounds(model, [Batch(x, index=index)], samples=50, seed=1)
    assert not torch.isclose(whole.iwae, other.iwae, atol=1e-3).any()


@pytest.mark.parametrize("latent", [3, 5])
def test_an_items_noise_does_not_depend_on_the_size_of_its_batch(
    latent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small latents: there another chunk of samples is another piece of the stream."""
    monkeypatch.setattr(room, "_VALUES", 3000)
    shape = Row((1, 1))
    decoder = nn.Linear(latent, 2)

    class Any2(nn.Module):
        """A fixed linear encoder or decoder, whatever else it is given."""

        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x: Tensor, *rest: Any) -> Tensor:
            out: Tensor = self.inner(x)
            return out

    model = VAE(Any2(nn.Linear(2, 2 * latent)), Any2(decoder), Normal(shape), StandardNormal(latent, shape))
    x, index = torch.randn(20, 2), torch.arange(20)
    whole = bounds(model, [Batch(x, index=index)], samples=200)
    few = bounds(model, [Batch(x[:3], index=index[:3])], samples=200)
    assert torch.allclose(whole.iwae[:3], few.iwae, atol=1e-4)


def test_batches_without_numbers_are_counted_through() -> None:
    x, model = data(), linear(0.3, 0.1)
    told = bounds(model, [Batch(x, index=torch.arange(N))], samples=5)
    counted = bounds(model, [Batch(x[:4]), Batch(x[4:])], samples=5)
    assert torch.allclose(told.iwae, counted.iwae, atol=1e-3)


def test_conditions_seen_and_the_rest_are_cut_with_the_items(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    conditioner = Conditioner({"c": nn.Linear(2, D)}, D)
    model = linear(0.1, 0.1, conditioner)
    seen = torch.rand(N, X) < 0.7
    batch = Batch(
        data(), {"c": torch.randn(N, 2)}, {"c": torch.arange(N) % 2 == 0}, seen,
        mask=torch.ones(N, 1), weight=torch.ones(N), index=torch.arange(N),
    )  # fmt: skip
    whole = bounds(model, [batch], samples=40)
    monkeypatch.setattr(room, "_VALUES", 8 * X * 10)
    cut = bounds(model, [batch], samples=40)
    assert torch.allclose(whole.iwae, cut.iwae, atol=1e-3)
    unconditioned = bounds(model, [Batch(batch.x, seen=seen, index=batch.index)], samples=40)
    changed = ~torch.isclose(whole.iwae, unconditioned.iwae, atol=1e-3)
    assert torch.equal(changed, batch.kept["c"])


def test_with_an_estimated_kl() -> None:
    model, x = linear(0.2, -0.1), data()
    exact = bounds(model, [Batch(x)], samples=4000)
    prior = Mixture(D, SHAPE, components=2)
    prior.means.data.zero_()
    model.prior = prior
    estimated = bounds(model, [Batch(x)], samples=4000)
    assert torch.allclose(estimated.iwae, exact.iwae, atol=1e-3)
    assert torch.allclose(estimated.kl, exact.kl, atol=0.2)
    assert not torch.equal(estimated.kl, exact.kl)
    assert torch.allclose(estimated.elbo, -estimated.distortion - estimated.kl, atol=1e-3)


def test_bf16_is_near() -> None:
    x, model = data(), linear(0.2, -0.1)
    exact, rough = (bounds(model, [Batch(x)], samples=20, precision=p) for p in ("fp32", "bf16"))
    assert torch.allclose(exact.iwae, rough.iwae, atol=0.5)


def test_refusals() -> None:
    with pytest.raises(UsageError, match="samples is at least 1, not 0"):
        bounds(linear(), [Batch(data())], samples=0)
    with pytest.raises(DataError, match="no items to evaluate"):
        bounds(linear(), [])
    plain = linear()
    plain.bounded = False
    with pytest.raises(UsageError, match="have no density"):
        bounds(plain, [Batch(data())])

"""Likelihoods against closed forms and torch's own distributions."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch import distributions as oracle

from ectype import catalog
from ectype.errors import UsageError
from ectype.likelihoods import Distribution, each
from ectype.likelihoods.bernoulli import Bernoulli
from ectype.likelihoods.categorical import Categorical
from ectype.likelihoods.laplace import Laplace
from ectype.likelihoods.logistic import DiscretizedLogisticMixture, LogisticMixtureDistribution
from ectype.likelihoods.normal import Normal
from ectype.likelihoods.point import Point
from ectype.noise import PerItem
from ectype.shapes import Grid, Joint, Row, Shape, Tokens

GRID = Grid(3, (2, 2))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def randn(*form: int, seed: int = 0) -> Tensor:
    return torch.randn(form, generator=generator(seed))


# ---- discretised mixture of logistics ----


def mixture(
    channels: int, levels: int, n: int, size: float = 1.0, seed: int = 0
) -> LogisticMixtureDistribution:
    """n pixels with random parameters."""
    make = DiscretizedLogisticMixture(Grid(channels, (1, 1)), levels=levels, logistics=3)
    return make(size * randn(n, *make.numbers, seed=seed))


def all_pixels(channels: int, levels: int) -> Tensor:
    """Every value that a pixel can take, (levels^channels, channels, 1, 1) in [0, 1]."""
    values = torch.linspace(0, 1, levels)
    return torch.cartesian_prod(*[values] * channels).view(-1, channels, 1, 1)


def one_by_one(p: LogisticMixtureDistribution, x: Tensor) -> Tensor:
    """log_prob of many values (V, C, 1, 1) under a single pixel's distribution: (V,)."""
    n = len(x)

    def wide(value: Tensor) -> Tensor:
        return value.expand(n, *value.shape[1:])

    q = LogisticMixtureDistribution(
        wide(p.log_w), wide(p.means), wide(p.log_scales), wide(p.mixing), p.levels
    )
    return q.log_prob(x).flatten()


@pytest.mark.parametrize(
    ("channels", "levels"), [(1, 2), (1, 4), (1, 16), (1, 256), (3, 2), (3, 4), (3, 16), (4, 2), (4, 4)]
)
@pytest.mark.parametrize("size", [0.3, 1.0, 8.0])
def test_probabilities_of_all_pixels_add_up_to_one(channels: int, levels: int, size: float) -> None:
    x = all_pixels(channels, levels)
    for seed in range(3):
        total = one_by_one(mixture(channels, levels, 1, size, seed), x).double().exp().sum()
        assert abs(float(total) - 1) < 2e-5


@pytest.mark.parametrize("log_scale", [-12.0, -6.0, 0.0, 5.0, 30.0, 100.0])
def test_extreme_scales_still_add_up(log_scale: float) -> None:
    for levels, mean in itertools.product((2, 256, 4096), (-1.5, -1.0, 0.013, 0.9, 7.0)):
        parameters = (torch.zeros(1, 1, 1, 1), torch.full((1, 1, 1, 1, 1), mean))
        scales = torch.full((1, 1, 1, 1, 1), max(log_scale, math.log(0.25 / (levels - 1)))).requires_grad_()
        p = LogisticMixtureDistribution(*parameters, scales, torch.zeros(1, 1, 0, 1, 1), levels)
        log_p = one_by_one(p, all_pixels(1, levels))
        assert abs(float(log_p.detach().double().exp().sum()) - 1) < 1e-4
        log_p.sum().backward()
        assert scales.grad is not None and scales.grad.isfinite().all()


def test_a_level_has_the_mass_between_its_edges() -> None:
    levels, mean, log_scale = 16, 0.2, -1.3
    p = LogisticMixtureDistribution(
        torch.zeros(1, 1, 1, 1), torch.full((1, 1, 1, 1, 1), mean), torch.full((1, 1, 1, 1, 1), log_scale),
        torch.zeros(1, 1, 0, 1, 1), levels,
    )  # fmt: skip
    inner = ((2 * torch.arange(1, levels) - levels) / (levels - 1)).tolist()
    edges = torch.tensor([-math.inf, *inner, math.inf]).double()
    cdf = torch.sigmoid((edges - mean) / math.exp(log_scale))
    got = one_by_one(p, all_pixels(1, levels)).double().exp()
    assert torch.allclose(got, cdf[1:] - cdf[:-1], atol=1e-6)


def test_channels_move_the_means_of_later_ones() -> None:
    """Equation 3 of PixelCNN++, written out for one component."""
    means, scales = randn(1, 1, 3, 1, 1), randn(1, 1, 3, 1, 1, seed=1)
    a, b, c = mixing = [0.3, -0.5, 0.8]
    p = LogisticMixtureDistribution(
        torch.zeros(1, 1, 1, 1), means, scales, torch.tensor(mixing).view(1, 1, 3, 1, 1), 8
    )
    x = torch.tensor([2 / 7, 5 / 7, 1.0]).view(1, 3, 1, 1)
    r, g, _ = (2 * x - 1).flatten().tolist()
    m = means.flatten()
    moved = torch.stack([m[0], m[1] + a * r, m[2] + b * r + c * g])
    alone = LogisticMixtureDistribution(
        torch.zeros(3, 1, 1, 1), moved.view(3, 1, 1, 1, 1), scales.view(3, 1, 1, 1, 1),
        torch.zeros(3, 1, 0, 1, 1), 8,
    )  # fmt: skip
    assert torch.allclose(p.log_prob(x).flatten(), alone.log_prob(x.view(3, 1, 1, 1)).sum(), atol=1e-5)


@pytest.mark.parametrize(("channels", "levels"), [(1, 4), (1, 2), (3, 3), (4, 2)])
def test_draws_have_the_probabilities(channels: int, levels: int) -> None:
    n, x = 20_000, all_pixels(channels, levels)
    single = mixture(channels, levels, 1, seed=5)
    expected = one_by_one(single, x).double().exp()
    many = LogisticMixtureDistribution(
        *(v.expand(n, *v.shape[1:]) for v in (single.log_w, single.means, single.log_scales, single.mixing)),
        levels,
    )
    drawn = (many.draw(generator(1)).view(n, channels) * (levels - 1)).round().long()
    weights = torch.tensor([levels ** (channels - 1 - c) for c in range(channels)])
    counts = torch.bincount((drawn * weights).sum(1), minlength=len(x)).double()
    assert chi_square(counts, expected * n) < 4.5


def chi_square(counts: Tensor, expected: Tensor) -> float:
    """How many standard deviations the chi-square statistic lies above its mean; rare cells pooled."""
    rare = expected < 5
    if rare.any():
        counts = torch.cat([counts[~rare], counts[rare].sum().view(1)])
        expected = torch.cat([expected[~rare], expected[rare].sum().view(1)])
    statistic = float(((counts - expected) ** 2 / expected.clamp(min=1)).sum())
    free = len(counts) - 1
    return (statistic - free) / math.sqrt(2 * free)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_mean_is_the_mean_of_the_draws(channels: int) -> None:
    n = 20_000
    for seed in range(4):
        single = mixture(channels, 256, 1, seed=seed)
        single.mixing.mul_(0.2)  # with strong mixing the clipped earlier channels matter, which it neglects
        parts = (single.log_w, single.means, single.log_scales, single.mixing)
        many = LogisticMixtureDistribution(*(v.expand(n, *v.shape[1:]) for v in parts), 256)
        drawn = many.draw(generator(seed)).mean(0)
        assert torch.allclose(drawn, single.mean[0], atol=0.01)


def test_the_mean_near_the_edge_counts_the_clipped_tail() -> None:
    p = LogisticMixtureDistribution(
        torch.zeros(1, 1, 1, 1), torch.full((1, 1, 1, 1, 1), 0.95), torch.full((1, 1, 1, 1, 1), -1.5),
        torch.zeros(1, 1, 0, 1, 1), 256,
    )  # fmt: skip
    x = all_pixels(1, 256)
    exact = (one_by_one(p, x).double().exp() * x.flatten()).sum()
    assert abs(float(p.mean) - float(exact)) < 1e-4  # clipping the location alone would say 0.975
    assert float(exact) < 0.92


def test_the_mode_is_a_level_of_the_heaviest_component() -> None:
    make = DiscretizedLogisticMixture(Grid(1, (1, 1)), levels=4, logistics=2)
    h = torch.zeros(1, *make.numbers)
    h[:, 1], h[:, 3] = 5.0, 0.5
    assert torch.allclose(make(h).mode, torch.tensor(1.0))
    levels = mixture(3, 8, 50).mode * 7
    assert torch.allclose(levels, levels.round(), atol=1e-5)


def test_the_written_gradient_of_a_logistic_is_autograds() -> None:
    noise = torch.Generator().manual_seed(0)
    make = DiscretizedLogisticMixture(Grid(3, (4, 4)), levels=8, logistics=2)
    h = torch.randn(5, *make.numbers, generator=noise, dtype=torch.float64) * 2
    x = torch.randint(0, 8, (5, 3, 4, 4), generator=noise).double() / 7
    parts = h.split([2, 6, 6, 6], 1)
    scales = (parts[2].view(5, 2, 3, 4, 4) / 4).requires_grad_()
    means = parts[1].reshape(5, 2, 3, 4, 4).requires_grad_()

    def masses() -> Tensor:
        """The same with sigmoids, straight from the equation."""
        v, half = (2 * x - 1).unsqueeze(1), 1 / 7
        upper = torch.sigmoid((v + half - means) / scales.exp()).where(v < 1 - half, torch.ones(()).double())
        lower = torch.sigmoid((v - half - means) / scales.exp()).where(v > half - 1, torch.zeros(()).double())
        return torch.logsumexp(torch.log_softmax(parts[0], 1) + (upper - lower).log().sum(2), 1)

    unmixed = torch.zeros_like(means)  # of three channels three pairs
    ours = LogisticMixtureDistribution(parts[0], means, scales, unmixed, 8).log_prob(x)
    torch.testing.assert_close(ours, masses(), rtol=1e-9, atol=1e-9)
    weight = torch.randn(ours.shape, generator=noise, dtype=torch.float64)
    expected = torch.autograd.grad((weight * masses()).sum(), (means, scales))
    found = torch.autograd.grad((weight * ours).sum(), (means, scales))
    torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize(("channels", "bits"), [(1, 8), (3, 8), (1, 16), (4, 16)])
@pytest.mark.parametrize("size", [1.0, 30.0, 1e4])
def test_logistic_is_finite_in_float32(channels: int, bits: int, size: float) -> None:
    make = DiscretizedLogisticMixture(Grid(channels, (3, 3)), levels=2**bits)
    h = (size * randn(20, *make.numbers)).requires_grad_()
    x = (torch.rand(20, channels, 3, 3, generator=generator(2)) * (2**bits - 1)).round() / (2**bits - 1)
    x[:2] = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1)
    log_p = make(h).log_prob(x)
    assert log_p.shape == (20, 3, 3) and log_p.isfinite().all()
    assert (log_p <= 1e-4).all()  # probabilities
    log_p.sum().backward()
    assert h.grad is not None and h.grad.isfinite().all()


def test_sixteen_bits_can_be_told_apart() -> None:
    """At the sharpest scale half a level is four scales: F(4) - F(-4) and F(12) - F(4)."""
    make = DiscretizedLogisticMixture(Grid(1, (1, 1)), levels=65536, logistics=1)
    level = 40_000
    h = torch.tensor([0.0, 2 * level / 65535 - 1, -100.0]).view(1, 3, 1, 1)
    at = torch.tensor([level - 1, level, level + 1]).view(3, 1, 1, 1) / 65535
    expected = torch.tensor([-4.0182, -0.0366, -4.0182])
    assert torch.allclose(one_by_one(make(h), at), expected, atol=0.02)


# ---- the others, against torch ----


def test_bernoulli() -> None:
    h = randn(50, 3, 2, 2) * 4
    p, q = Bernoulli(GRID)(h), oracle.Bernoulli(logits=h)
    x = (torch.rand(h.shape, generator=generator(1)) < 0.5).float()
    assert torch.allclose(p.log_prob(x), q.log_prob(x), atol=1e-6)
    assert torch.allclose(p.mean, q.mean) and torch.equal(p.mode, (h > 0).float())
    total = p.log_prob(torch.zeros_like(x)).exp() + p.log_prob(torch.ones_like(x)).exp()
    assert torch.allclose(total, torch.ones_like(total), atol=1e-6)


@pytest.mark.parametrize("size", [(), (3,)])
def test_categorical(size: tuple[int, ...]) -> None:
    make = Categorical(Tokens(5, size))
    assert make.numbers == (*size, 5) and make.shown == "draw"
    h = randn(40, *size, 5) * 3
    p, q = make(h), oracle.Categorical(logits=h)
    x = torch.randint(0, 5, (40, *size), generator=generator(1))
    assert torch.allclose(p.log_prob(x), q.log_prob(x), atol=1e-6)
    assert torch.equal(p.mode, q.mode) and torch.equal(p.mean, p.mode)


@pytest.mark.parametrize(("sort", "other"), [(Normal, oracle.Normal), (Laplace, oracle.Laplace)])
@pytest.mark.parametrize("scale", ["shared", "channel", "site"])
@pytest.mark.parametrize("shape", [GRID, Row((1, 1, 1))])
def test_normal_and_laplace(sort: Any, other: Any, scale: Any, shape: Shape) -> None:
    make = sort(shape, scale=scale)
    h = randn(30, *make.numbers)
    if scale != "site":
        wanted = {"shared": 1, "channel": 3}[scale]
        assert make.scale.log_scale.numel() == wanted and make.numbers == shape.form
        make.scale.log_scale.data += torch.arange(float(wanted)).view_as(make.scale.log_scale)
        location, raw = h, make.scale.log_scale.data.expand_as(h)
    else:
        location, raw = h[:, :3], h[:, 3:]
    # far above the floor the softplus is the identity; near it, this is its definition
    log_s = math.log(1e-3) + torch.nn.functional.softplus(raw - math.log(1e-3))
    q = other(location, log_s.exp())
    x = 2 * randn(30, *shape.form, seed=1)
    p = make(h)
    assert p.log_prob(x).shape == x.shape
    assert torch.allclose(p.log_prob(x), q.log_prob(x), atol=1e-4, rtol=1e-5)
    assert torch.equal(p.mean, location) and torch.equal(p.mode, location)
    assert torch.allclose(log_s, raw, atol=0.1)


@pytest.mark.parametrize("sort", [Normal, Laplace])
def test_the_floor_bounds_the_scale_and_keeps_a_gradient(sort: Any) -> None:
    make = sort(Row((1,)), scale="shared", floor=0.1)
    make.scale.log_scale.data.fill_(-8.0)
    p = make(torch.zeros(1, 1))
    assert 0.1 <= float(p.log_scale.detach().exp()) < 0.1 * 1.01
    p.log_prob(torch.ones(1, 1)).sum().backward()
    assert float(make.scale.log_scale.grad) > 0


# ---- draws ----


def moments(p: Distribution, mean: Tensor, variance: Tensor, seed: int = 0) -> None:
    """Mean and variance of draws (one row per draw) within five standard errors."""
    x = p.draw(generator(seed)).double()
    n = len(x)
    assert ((x.mean(0) - mean).abs() < 5 * (variance / n).sqrt()).all()
    assert ((x.var(0) - variance).abs() < 0.08 * variance).all()


def test_moments_of_draws() -> None:
    n = 40_000
    h = torch.tensor([-2.0, 0.0, 1.5]).expand(n, 3)
    row = Row((1, 1, 1))
    probability = torch.sigmoid(h[0]).double()
    moments(Bernoulli(row)(h), probability, probability * (1 - probability))
    for sort, factor in ((Normal, 1.0), (Laplace, 2.0)):
        make = sort(row, scale="channel")
        make.scale.log_scale.data = torch.tensor([-2.0, 0.0, 1.0])
        p = make(h)
        moments(p, h[0].double(), factor * (2 * p.log_scale.detach().double()).exp())


def test_laplace_draws_have_the_right_tails() -> None:
    n = 40_000
    make = Laplace(Row((1,)), scale="site")
    x = make(torch.zeros(n, 2)).draw(generator(3)).detach().flatten().double()
    for edge in (0.5, 1.0, 3.0):
        assert abs(float((x.abs() > edge).double().mean()) - math.exp(-edge)) < 4 * math.sqrt(
            math.exp(-edge) / n
        )
    assert abs(float((x > 0).double().mean()) - 0.5) < 4 * 0.5 / math.sqrt(n)


def test_categorical_draws() -> None:
    n = 40_000
    log_p = torch.log(torch.tensor([0.5, 0.3, 0.15, 0.05]))
    x = Categorical(Tokens(4))(log_p.expand(n, 4)).draw(generator(4))
    assert x.dtype == torch.int64
    assert chi_square(torch.bincount(x, minlength=4).double(), log_p.exp().double() * n) < 4.5


@pytest.mark.parametrize(
    ("make", "form"),
    [(Bernoulli(GRID), (3, 2, 2)), (Categorical(Tokens(3, (4,))), (4,)), (Normal(GRID), (3, 2, 2)),
     (Laplace(Row((1, 1))), (2,)), (DiscretizedLogisticMixture(GRID, levels=8), (3, 2, 2))],
)  # fmt: skip
def test_an_items_draw_is_its_own(make: Any, form: tuple[int, ...]) -> None:
    h = randn(6, *make.numbers)
    with torch.no_grad():
        x = make(h).draw(PerItem(0, range(6)))
        assert x.shape == (6, *form)
        assert torch.equal(make(h[2:4]).draw(PerItem(0, [2, 3])), x[2:4])
        assert not torch.equal(make(h).draw(PerItem(1, range(6))), x)
        assert torch.equal(make(h).draw(generator(1)), make(h).draw(generator(1)))


@pytest.mark.parametrize(
    "make",
    [Bernoulli(GRID), Categorical(Tokens(3, (4,))), Normal(GRID), DiscretizedLogisticMixture(GRID, levels=8)],
)
def test_k_distributions_of_the_same_items(make: Any) -> None:
    h = randn(15, *make.numbers)  # three of each of five items, K-major
    p = make(h)
    x = make(h[:5]).draw(generator())
    got = p.log_prob_of(x, 3)
    assert torch.allclose(got, p.log_prob(torch.cat([x, x, x])), atol=1e-6)
    assert torch.allclose(make(h[:5]).log_prob_of(x, 1), got[:5], atol=1e-6)


# ---- extremes, precision, sums, refusals ----

# likelihood, shape, options, largest level of x (0: tokens)
EXTREMES: list[tuple[str, Shape, dict[str, Any], int]] = [
    ("bernoulli", Grid(1, (2, 2)), {}, 1),
    ("categorical", Tokens(5, (4,)), {}, 0),
    ("gumbel", Tokens(5, (4,)), {}, 0),
    ("gumbel", Tokens(5), {"relaxation": 0.1}, 0),
    ("laplace", GRID, {}, 255),
    ("laplace", GRID, {"scale": "site"}, 255),
    ("logistic", GRID, {}, 255),
    ("logistic", Grid(1, (2, 2)), {"levels": 2}, 1),
    ("logistic", GRID, {"levels": 65536}, 65535),
    ("normal", GRID, {}, 255),
    ("normal", Row((1, 1)), {"scale": "site"}, 255),
    ("point", GRID, {}, 255),
    ("product", Joint((GRID, Tokens(3, (2,)))), {"factors": (("logistic", {}), ("categorical", {}))}, 255),
]


@pytest.mark.parametrize(("name", "shape", "options", "top"), EXTREMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [10.0, 100.0, 281.0, 1e3, 1e4])
def test_whatever_the_decoder_emits_all_is_finite(
    name: str, shape: Shape, options: dict[str, Any], top: int, dtype: torch.dtype, size: float
) -> None:
    make = catalog.find("likelihoods", name)(shape, **options)
    signs = torch.randint(-1, 2, (64, *make.numbers), generator=generator())
    h = (signs * size + randn(64, *make.numbers)).to(dtype).requires_grad_()
    p = make(h)
    levels = torch.randint(0, top + 1 if top else 5, (64, *shape.form), generator=generator())
    found = {"draw": p.draw(generator()), "mean": p.mean, "mode": p.mode}
    if make.density:
        found["log_prob"] = p.log_prob(levels / top if top else levels)
    for what, value in found.items():
        assert value.isfinite().all(), what
        if value.requires_grad:
            (gradient,) = torch.autograd.grad(value.sum(), h, retain_graph=True, allow_unused=True)
            assert gradient is None or gradient.isfinite().all(), what
        if name in ("bernoulli", "logistic") and what != "log_prob":
            assert bool(((value >= 0) & (value <= 1)).all()), what


@pytest.mark.parametrize(("name", "shape", "options", "top"), EXTREMES)
def test_a_decoder_that_says_nothing_yet_means_the_average_item(
    name: str, shape: Shape, options: dict[str, Any], top: int
) -> None:
    make = catalog.find("likelihoods", name)(shape, **options)
    values = torch.randint(0, max(top, 2) // 2 + 1, (400, *shape.form), generator=generator())
    x = values / top if top else values.float()
    before = each(make(torch.zeros(len(x), *make.numbers)).log_prob(x if top else values)).mean()
    known = x.clone()
    known[torch.rand(x.shape, generator=generator()) < 0.3] = torch.nan
    make.begin(known)
    p = make(torch.zeros(len(x), *make.numbers))
    if not make.density:
        assert bool((p.mean == make(torch.zeros(len(x), *make.numbers)).mean).all())
        return
    assert each(p.log_prob(x if top else values)).mean() > before
    assert all(b.isfinite().all() for b in make.buffers())
    if top and name != "product":
        assert torch.allclose(p.mean[0], x.mean(0), atol=0.1)


def test_nothing_seen_of_the_items_is_nothing_to_begin_from() -> None:
    for name, shape, options, _ in EXTREMES:
        make = catalog.find("likelihoods", name)(shape, **options)
        make.begin(torch.full((3, *shape.form), torch.nan))
        assert make(torch.zeros(2, *make.numbers)).mean.isfinite().all(), name


def test_extremes_are_tested_of_every_likelihood() -> None:
    assert {row[0] for row in EXTREMES} == set(catalog.LIKELIHOODS)


@pytest.mark.parametrize("log_scale", [-8.0, -1.0, 0.69, 0.7, 2.0, 8.0, 16.0, 30.0])
@pytest.mark.parametrize("mean", [-1.5, 0.0, 0.3, 7.0, 1e4])
def test_the_mean_of_a_logistic_is_exact_at_every_scale(log_scale: float, mean: float) -> None:
    form = (1, 1, 1, 1, 1)
    p = LogisticMixtureDistribution(
        torch.zeros(1, 1, 1, 1), torch.full(form, mean), torch.full(form, log_scale),
        torch.zeros(1, 1, 0, 1, 1), 256,
    )  # fmt: skip
    t = torch.linspace(-1, 1, 200_001, dtype=torch.float64)
    below = torch.trapezoid(torch.sigmoid((t - mean) / math.exp(log_scale)), t)
    assert float(p.mean) == pytest.approx(float((2 - below) / 2), abs=1e-6)


@pytest.mark.parametrize(
    ("make", "x"),
    [(Bernoulli(Row((1, 1))), torch.tensor([0.0, 1.0])), (Categorical(Tokens(4)), torch.tensor(2)),
     (Normal(Row((1, 1))), torch.tensor([-3.0, 3.0])), (Laplace(Row((1, 1)), scale="site"),
     torch.tensor([0.0, 1.0])), (Normal(Row((1, 1)), scale="site"), torch.tensor([0.0, 1.0]))],
)  # fmt: skip
@pytest.mark.parametrize("size", [1e-8, 50.0, 1e4])
def test_extreme_numbers_stay_finite(make: Any, x: Tensor, size: float) -> None:
    h = (size * randn(64, *make.numbers)).requires_grad_()
    log_p = make(h).log_prob(x.expand(64, *x.shape))
    assert log_p.isfinite().all()
    log_p.sum().backward()
    assert h.grad is not None and h.grad.isfinite().all()


@pytest.mark.parametrize(
    "make",
    [Bernoulli(GRID), Categorical(Tokens(3)), Normal(GRID), Laplace(GRID), DiscretizedLogisticMixture(GRID)],
)
def test_whatever_the_decoder_emits_is_computed_in_float32(make: Any) -> None:
    p = make(randn(2, *make.numbers).bfloat16())
    x = torch.zeros(2, *p.mean.shape[1:], dtype=p.mean.dtype)
    assert p.log_prob(x).dtype == torch.float32


def test_each_adds_up_the_sites_that_were_seen() -> None:
    log_p = torch.tensor([[[1.0, 2.0], [3.0, 4.0]], [[5.0, -math.inf], [math.nan, 8.0]]])
    seen = torch.tensor([[[1, 0], [1, 1]], [[1, 0], [0, 0]]])
    assert each(log_p, seen).tolist() == [8.0, 5.0]
    assert each(log_p[:1]).tolist() == [10.0]
    assert each(torch.tensor([1.0, 2.0])).tolist() == [1.0, 2.0]
    assert each(torch.tensor([1.0, 2.0]), torch.tensor([False, True])).tolist() == [0.0, 2.0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Bernoulli(GRID, levels=256),
            "binary values and these have 256 levels: read the data with binarise",
        ),
        (lambda: Categorical(GRID), "categorical needs tokens, and this data is a Grid"),
        (lambda: DiscretizedLogisticMixture(Row((1,))), "logistic needs a grid, and this data is a Row"),
        (lambda: DiscretizedLogisticMixture(GRID, levels=1), "2 to 65536 levels"),
        (lambda: DiscretizedLogisticMixture(GRID, logistics=0), "1 to 1024 logistics, not 256 and 0"),
        (lambda: Normal(Tokens(3)), "use the likelihood categorical"),
        (lambda: Laplace(Tokens(3, (2,))), "use the likelihood categorical"),
        (lambda: Normal(GRID, floor=0.0), "floor is the smallest scale, a number above 0, not 0.0"),
        (lambda: Laplace(GRID, floor=math.nan), "floor is the smallest scale"),
    ],
)
def test_refusals(make: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make()


def test_a_point_of_a_picture_is_cut_off_and_finds_its_way_back() -> None:
    """Emitted values lie in [0, 1]; outside, a gradient passes only where a descent leads back."""
    h = torch.tensor([[-3.0, -3.0, 0.0, 3.0, 3.0]]).view(1, 1, 1, 5).requires_grad_()
    emitted = Point(Grid(1, (1, 5)))(h).emitted()
    assert emitted.flatten().tolist() == [0, 0, 0.5, 1, 1]
    wanted = torch.tensor([1.0, -1.0, 1.0, -1.0, 1.0]).view_as(h)  # dL/dx: descent moves against it
    (gradient,) = torch.autograd.grad(emitted, h, wanted)
    assert gradient.flatten().tolist() == [0, -0.5, 0.5, 0, 0.5]

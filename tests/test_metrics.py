"""Scores, fidelity and activity against closed forms and independent computations."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ectype.data.batch import Batch
from ectype.errors import DataError, UsageError
from ectype.likelihoods.normal import Normal
from ectype.metrics import Score, mean_error, short
from ectype.metrics.activity import activity, information, posteriors
from ectype.metrics.conditions import warning
from ectype.metrics.fidelity import fidelity, mse, psnr, ssim, window_of
from ectype.metrics.reading import reading
from ectype.models import Autoencoder
from ectype.models.ae import AE
from ectype.models.vae import _NARROW, VAE
from ectype.priors.fitted import Fitted
from ectype.priors.mixture import VampPrior
from ectype.priors.normal import StandardNormal
from ectype.shapes import Row


def score(**changes: Any) -> Score:
    told: dict[str, Any] = {
        "name": "psnr", "value": 21.34, "unit": "dB", "better": "higher", "n": 10_000, "split": "test",
        "error": 0.0312, "floor": 12.1, "floor_name": "mean image",
    }  # fmt: skip
    return Score(**{**told, **changes})


def test_one_line_form() -> None:
    assert str(score()) == "psnr 21.34 ± 0.03 dB (test, N=10,000; mean image 12.1)"
    assert str(score(error=None, floor=None)) == "psnr 21.34 dB (test, N=10,000)"
    assert str(score(n=12, least=100)).endswith("; too few items, 100 are needed)")


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [(0.9312, 0.0042, "0.931 ± 0.004"), (88.123, 0.15, "88.12 ± 0.15"), (1234.5, 20.0, "1,234 ± 20"),
     (5.0, 0.0, "5"), (math.inf, None, "inf"), (123456.0, None, "123,456")],
)  # fmt: skip
def test_figures_follow_the_error_bar(value: float, error: float | None, text: str) -> None:
    assert score(value=value, error=error, unit="").figures == text


@pytest.mark.parametrize(
    ("better", "value", "beats"),
    [("higher", 13.0, True), ("higher", 12.1, False), ("lower", 13.0, False), ("lower", 12.0, True),
     ("neither", 0.0, True)],
)  # fmt: skip
def test_floor_is_judged_in_the_right_direction(better: Any, value: float, beats: bool) -> None:
    assert score(better=better, value=value).above_floor is beats


@pytest.mark.parametrize("value", [21.34, math.inf, -math.inf])
def test_json_there_and_back(value: float) -> None:
    told = score(value=value, parts=(1.0, math.inf), seed=3, note="n")
    text = json.dumps(told.state(), allow_nan=False)
    assert Score.restore(json.loads(text)) == told


@pytest.mark.parametrize("state", [{}, {"name": "x"}, {**score().state(), "value": "much"}, "psnr"])
def test_what_is_no_score_is_refused(state: Any) -> None:
    with pytest.raises(DataError, match="not a score.*ectype evaluate"):
        Score.restore(state)


def test_mean_error_is_the_standard_error() -> None:
    values = torch.tensor([1.0, 2.0, 4.0, 9.0])
    mean, error = mean_error(values)
    assert mean == pytest.approx(4.0)
    assert error == pytest.approx(np.std(values.numpy(), ddof=1) / 2)
    assert mean_error(values[:1]) == (1.0, None)
    assert short(0.09444444) == "0.09444"


# ---- fidelity ----


def slow_ssim(x: np.ndarray, y: np.ndarray) -> float:
    """SSIM of one image (C, H, W) by explicit loops over windows, float64."""
    side = window_of(*x.shape[1:])
    place = np.arange(side) - side // 2
    weight = np.exp(-(place[:, None] ** 2 + place[None, :] ** 2) / (2 * 1.5**2))
    weight /= weight.sum()
    found = []
    for a, b in zip(x, y, strict=True):
        for i in range(a.shape[0] - side + 1):
            for j in range(a.shape[1] - side + 1):
                p, q = a[i : i + side, j : j + side], b[i : i + side, j : j + side]
                mp, mq = (weight * p).sum(), (weight * q).sum()
                vp, vq = (weight * (p - mp) ** 2).sum(), (weight * (q - mq) ** 2).sum()
                both = (weight * (p - mp) * (q - mq)).sum()
                top = (2 * mp * mq + 0.01**2) * (2 * both + 0.03**2)
                found.append(top / ((mp**2 + mq**2 + 0.01**2) * (vp + vq + 0.03**2)))
    return float(np.mean(found))


def pictures(n: int, *form: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(n, *form, generator=generator)
    return x, (x + 0.2 * torch.randn(n, *form, generator=generator)).clamp(0, 1)


@pytest.mark.parametrize("form", [(1, 16, 13), (3, 12, 12), (1, 8, 8), (1, 3, 20), (1, 1, 1)])
def test_ssim_is_that_of_explicit_windows(form: tuple[int, int, int]) -> None:
    x, y = pictures(2, *form)
    expected = [slow_ssim(a.double().numpy(), b.double().numpy()) for a, b in zip(x, y, strict=True)]
    np.testing.assert_allclose(ssim(x, y).numpy(), expected, rtol=1e-9)
    np.testing.assert_allclose(ssim(x, x).numpy(), 1.0, rtol=1e-12)


def test_ssim_against_torchmetrics() -> None:
    metrics = pytest.importorskip("torchmetrics.functional.image", reason="torchmetrics is not installed")
    x, y = pictures(3, 3, 24, 31)
    expected = metrics.structural_similarity_index_measure(x, y, data_range=1.0, reduction="none")
    torch.testing.assert_close(ssim(x, y).float(), expected, rtol=1e-4, atol=1e-4)


def test_psnr_and_mse_closed_form() -> None:
    x = torch.zeros(2, 1, 12, 12)
    y = torch.stack([torch.full((1, 12, 12), 0.1), torch.full((1, 12, 12), 0.01)])
    np.testing.assert_allclose(mse(x, y), [0.01, 0.0001], rtol=1e-6)
    np.testing.assert_allclose(psnr(x, y), [20.0, 40.0], rtol=1e-6)


def test_fidelity_does_not_depend_on_batches_and_has_floor_and_error() -> None:
    x, y = pictures(150, 1, 12, 12)
    mean = x.mean(0)
    whole = fidelity([(x, y)], mean=mean)
    parts = fidelity([(x[:40], y[:40]), (x[40:40], y[40:40]), (x[40:], y[40:])], mean=mean)
    assert [s.name for s in whole] == ["mse", "psnr", "ssim"]
    for one, other in zip(whole, parts, strict=True):
        assert one.value == pytest.approx(other.value, rel=1e-9)
        assert one.above_floor
        assert one.enough
        assert one.n == 150
    values = -10 * np.log10(((x - y).double() ** 2).mean((1, 2, 3)).numpy())
    assert whole[1].value == pytest.approx(values.mean())
    assert whole[1].error == pytest.approx(values.std(ddof=1) / math.sqrt(150))
    assert whole[0].floor == pytest.approx(float(((x - mean) ** 2).mean()), rel=1e-5)
    lost = fidelity([(x, mean.expand_as(x))], mean=mean)
    assert not any(s.above_floor for s in lost)


def test_fidelity_of_rows_is_mse_only_and_small_images_say_their_window() -> None:
    x, y = pictures(5, 7)
    (only,) = fidelity([(x, y)])
    assert (only.name, only.floor, only.enough) == ("mse", None, False)
    small = fidelity([pictures(2, 1, 8, 8)])
    assert "window 7x7" in small[2].note
    exact = fidelity([(x.view(5, 1, 7, 1), x.view(5, 1, 7, 1))])
    assert math.isinf(exact[1].value)
    assert "exact" in exact[1].note


def test_fidelity_refuses_nothing_and_other_forms() -> None:
    with pytest.raises(DataError, match="at least one item, the test split has none"):
        fidelity([])
    with pytest.raises(DataError, match=r"\(2, 3\).*\(2, 4\).*differ in form"):
        fidelity([(torch.zeros(2, 3), torch.zeros(2, 4))])


# ---- activity ----


class Reading(nn.Module):
    """An encoder that is a formula: dimension 0 reads x, dimension 1 ignores it."""

    def __init__(self, per_latent: int) -> None:
        super().__init__()
        self.per_latent = per_latent

    def forward(self, x: Tensor, context: object = None, seen: object = None) -> Tensor:
        mean = torch.stack([x[:, 0], torch.zeros(len(x))], 1)
        log_scale = torch.tensor([-1.0, 0.0]).expand(len(x), 2) + _NARROW
        return torch.cat([mean, log_scale], 1) if self.per_latent == 2 else mean


class Answer(nn.Module):
    """A decoder that always says the same."""

    def __init__(self, numbers: tuple[int, ...]) -> None:
        super().__init__()
        self.numbers = numbers

    def forward(self, z: Tensor, context: object = None) -> Tensor:
        return z.new_zeros(len(z), *self.numbers)


def model(kind: type[AE] | type[VAE], prior: nn.Module | None = None) -> Autoencoder:
    likelihood = Normal(Row((1, 1)))
    return kind(
        Reading(kind.per_latent),
        Answer(likelihood.numbers),
        likelihood,
        prior or StandardNormal(2, likelihood.shape),
    )


def test_kl_per_dimension_and_active_units_closed_form() -> None:
    x = torch.randn(200, 2, generator=torch.Generator().manual_seed(1))
    vae = model(VAE).train()
    kl, units, known = activity(vae, [Batch(x[:150]), Batch(x[150:])])
    # KL(N(m, s²) || N(0, 1)) = (m² + s² - 1)/2 - log s
    expected = float((0.5 * (x[:, 0].double() ** 2 + math.exp(-2) - 1) + 1).mean())
    assert kl.parts == pytest.approx((expected, 0.0), abs=1e-5)
    assert kl.value == pytest.approx(sum(kl.parts))
    assert (kl.better, kl.seed, kl.note) == ("neither", None, "")
    assert (units.value, units.unit, units.n, units.above_floor) == (1.0, "of 2", 200, True)
    # a draw among N posteriors of which many are alike says less than it differs from the prior
    assert 0.3 < known.value < kl.value and known.floor == 0 and known.n == 200
    assert vae.training, "measuring must leave the model in the mode it was in"


def test_a_posterior_that_ignores_x_is_collapsed() -> None:
    kl, units, known = activity(model(VAE), [Batch(torch.full((50, 2), 0.3))])
    assert units.value == 0 and known.value == pytest.approx(0, abs=1e-9)
    assert not units.above_floor and not known.above_floor
    assert not kl.enough


def test_kl_without_closed_form_is_labelled_and_repeats() -> None:
    prior = VampPrior(2, Row((1, 1)), components=3)
    vae = model(VAE, prior)
    x = torch.randn(64, 2, generator=torch.Generator().manual_seed(2))
    kl, *_ = activity(vae, [Batch(x)], seed=5)
    again, *_ = activity(vae, [Batch(x[:10]), Batch(x[10:])], seed=5)
    other, *_ = activity(vae, [Batch(x)], seed=6)
    assert "Monte-Carlo" in kl.note and "this prior joins the dimensions" in kl.note
    # each posterior against the normal with the moments of all of them, which samples find too
    q = vae.posterior(x)
    z = q.mean + q.log_scale.exp() * torch.randn(4000, *q.mean.shape)
    all_of_them = torch.distributions.Normal(z.mean((0, 1)), z.std((0, 1)))
    log_q = torch.distributions.Normal(q.mean, q.log_scale.exp()).log_prob(z)
    assert kl.parts == pytest.approx((log_q - all_of_them.log_prob(z)).mean((0, 1)).tolist(), abs=0.02)
    assert kl.seed == 5
    assert kl.value == pytest.approx(again.value, rel=1e-5)
    assert kl.value != other.value


def test_information_of_posteriors_far_apart_is_log_n() -> None:
    means = 1e3 * torch.arange(700, dtype=torch.float64).unsqueeze(1)
    found = information(means, means, torch.zeros_like(means))
    assert found.tolist() == pytest.approx([math.log(700)] * 700, abs=1e-6)
    # two posteriors and one number: against the distributions themselves
    z, log_scale = torch.tensor([[0.3], [1.2]]).double(), torch.tensor([[0.2], [-0.5]]).double()
    q = torch.distributions.Normal(torch.tensor([[0.0], [1.0]]).double().T, log_scale.exp().T)
    log_q = q.log_prob(z)
    wanted = log_q.diagonal() - torch.logsumexp(log_q, 1) + math.log(2)
    assert information(z, q.loc.T, log_scale).tolist() == pytest.approx(wanted.tolist())


def test_a_code_that_is_read_costs_when_shuffled() -> None:
    class Known(nn.Module):
        """Answers what the first number of the code says, or always the same."""

        def __init__(self, weight: float) -> None:
            super().__init__()
            self.weight = weight

        def forward(self, z: torch.Tensor, context: object = None) -> torch.Tensor:
            return self.weight * z

    x = torch.randn(150, 2, generator=torch.Generator().manual_seed(3))
    batches = [Batch(x[:100]), Batch(x[100:])]
    vae = model(VAE).eval()
    vae.decoder = Known(1.0)
    (read,) = reading(vae, batches)
    assert read.n == 150 and read.value > 3 * (read.error or 1) and warning(read) == ""
    assert reading(vae, batches)[0].value == read.value
    vae.decoder = Known(0.0)
    (unread,) = reading(vae, batches)
    assert unread.value == 0 and "the decoder ignores its code" in warning(unread)
    assert reading(vae, [Batch(x[:1])]) == []
    with pytest.raises(DataError, match="no items whose codes could be shuffled"):
        reading(vae, [])


def test_activity_needs_densities_and_items() -> None:
    with pytest.raises(UsageError, match="no density.*fidelity"):
        activity(model(AE, Fitted(2, Row((1, 1)))), [Batch(torch.zeros(3, 2))])
    with pytest.raises(DataError, match="at least one item"):
        posteriors(model(VAE), [])

"""Scores of made series: what they are 0 for, what they notice and refuse, and the published protocol."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from ectype.errors import DataError, UsageError
from ectype.metrics import REAL
from ectype.metrics.gru import _as_grucell
from ectype.metrics.series import series
from ectype.metrics.timegan import STEPS, Compared, _parted, discriminative, gaps, predictive, published


def waves(n: int, seed: int, features: int = 3, steps: int = 10) -> Tensor:
    """Sines in [0, 1] of one frequency each, the features in step with each other."""
    stream = torch.Generator().manual_seed(seed)
    rate = 0.4 + 0.8 * torch.rand(n, 1, 1, generator=stream)
    phase = 2 * math.pi * torch.rand(n, 1, 1, generator=stream)
    at = torch.arange(steps) * rate + phase + 0.3 * torch.arange(features).view(1, -1, 1)
    return (at.sin() + 1) / 2


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """GRUs that learn in few steps: the published rate takes thousands."""
    monkeypatch.setattr("ectype.metrics.gru._RATE", 0.02)


def shuffled(x: Tensor) -> Tensor:
    """The same numbers in another order of time."""
    order = torch.stack(
        [torch.randperm(x.shape[2], generator=torch.Generator().manual_seed(3)) for _ in x[:1]]
    )
    return x[:, :, order[0]]


def test_another_sample_is_near_and_another_order_of_time_is_not() -> None:
    real, made, others = (waves(300, seed) for seed in range(3))
    auto, cross = series(made, real, others)
    assert (auto.name, cross.name) == ("autocorrelation", "cross-correlation")
    assert auto.value < 0.05 and cross.value < 0.05
    assert auto.floor is not None and auto.floor < 0.05 and auto.floor_name == REAL
    late, same = series(shuffled(made), real, others)
    assert late.value > 0.3, "the order of time made no difference"
    assert same.value == pytest.approx(cross.value, abs=1e-9), "features at one step have no order of time"
    mixed = torch.stack([made[:, 0], made[:, 1].roll(1, 0), made[:, 2].roll(2, 0)], 1)
    apart = series(mixed, real)
    assert apart[0].value == pytest.approx(auto.value, abs=1e-9)
    assert apart[1].value > 0.3 and apart[1].floor is None


def test_correlations_agree_with_numpy_and_pass_overgaps() -> None:
    real = waves(50, 0)
    made = real * torch.tensor([1.0, -1.0, 1.0]).view(1, 3, 1)  # turns the sign of two of three correlations
    _, cross = series(made, real)
    rows = real.transpose(0, 1).flatten(1)
    r = torch.corrcoef(rows.double())
    assert cross.value == pytest.approx(2 * float(r[0, 1].abs() + r[1, 2].abs()) / 3, abs=1e-6)
    holes = torch.rand(real.shape, generator=torch.Generator().manual_seed(1)) < 0.2
    gapped = torch.where(holes, torch.nan, real)
    assert series(gapped, gapped)[0].value == 0
    assert series(gapped, real)[0].value < 0.05


def test_scale_and_units_make_no_difference() -> None:
    real, made = waves(100, 0), waves(100, 1)
    scale, shift = torch.tensor([1e-3, 1.0, 1e4]).view(3, 1), torch.tensor([0.0, 5.0, 1e6]).view(3, 1)
    plain, moved = series(made, real), series(made.double() * scale + shift, real.double() * scale + shift)
    for one, other in zip(plain, moved, strict=True):
        assert other.value == pytest.approx(one.value, abs=1e-6)


def test_a_constant_feature_and_a_single_one_have_scores() -> None:
    real, made = waves(50, 0), waves(50, 1)
    real[:, 1], made[:, 1] = 7.0, 7.0
    assert all(math.isfinite(score.value) for score in series(made, real))
    assert [s.name for s in series(made[:, :1], real[:, :1])] == ["autocorrelation"]


def test_what_cannot_be_compared_is_refused() -> None:
    real = waves(20, 0)
    with pytest.raises(
        DataError, match=r"made series have the form \(20, 2, 10\) and real ones \(20, 3, 10\)"
    ):
        series(real[:, :2], real)
    with pytest.raises(DataError, match="made series have infinite numbers"):
        series(real.masked_fill(real > 0.9, math.inf), real)


def test_real_series_are_told_apart_no_better_than_the_floor_and_noise_is(hasty: None) -> None:
    real, train, made = waves(200, 0), waves(400, 1), waves(400, 2)
    good = discriminative(Compared(made, real, train), steps=30)
    assert good.value < 0.12 and good.floor is not None and good.floor < 0.12
    noise = torch.rand(made.shape, generator=torch.Generator().manual_seed(0))
    bad = discriminative(Compared(noise, real, train), steps=30)
    assert bad.value > 0.4 and bad.better == "lower" and "16 units" in bad.note


def test_prediction_learns_from_series_that_move_as_real_ones_do(hasty: None) -> None:
    real, train, made = waves(200, 0), waves(400, 1), waves(400, 2)
    good = predictive(Compared(made, real, train), steps=40)
    bad = predictive(Compared(shuffled(made), real, train), steps=40)
    assert good.floor is not None and good.floor_name == REAL
    assert good.value == pytest.approx(good.floor, abs=0.1)
    assert bad.value > 1.5 * good.value


def test_the_published_protocol_is_the_published_one() -> None:
    real, made = waves(100, 0, features=5), waves(100, 1, features=5)
    told, score = (f(Compared(made, real), protocol="timegan", steps=5) for f in (discriminative, predictive))
    assert told.n == 40, "not a fifth of each sort"
    assert score.n == 100, "not all real series"
    for found in (told, score):
        assert "2 units, 5 steps of the " in found.note and found.floor is None
        assert found.name.endswith(" (timegan)")
    assert STEPS == {"discriminative": 2000, "predictive": 5000}
    first, rest = _parted(made, 0.8, torch.Generator().manual_seed(0))
    assert len(first) == 80 and len(torch.unique(torch.cat([first, rest]), dim=0)) == 100


def test_the_published_networks_begin_as_theirs_do() -> None:
    read, kept, bias = torch.zeros(300, 300), torch.zeros(300, 100), torch.zeros(300)
    _as_grucell(read, kept, bias)
    assert bias.tolist() == [1.0] * 200 + [0.0] * 100
    # a product reads input and state at once, 400 numbers, for both gates, 200, or the candidate, 100
    for rows, wide in ((slice(200), 200), (slice(200, None), 100)):
        bound = math.sqrt(6 / (400 + wide))
        for weight in (read[rows], kept[rows]):
            assert float(weight.abs().max()) == pytest.approx(bound, rel=0.01)
            assert float(weight.std()) == pytest.approx(bound / math.sqrt(3), rel=0.03)


def test_for_the_published_protocol_each_feature_goes_from_0_to_1() -> None:
    real, train, made = (
        waves(40, i, features=3) * torch.tensor([1.0, 5.0, 9.0]).view(3, 1) - 2 for i in range(3)
    )
    made[:, 2] = made[:, 2] + 30
    found = published(Compared(made, real, train, "select"))
    assert found is not None and found.split == "select"
    assert 0 <= float(found.real.min()) and float(found.real.max()) <= 1
    assert float(found.made[:, 2].min()) > 1, "made series are not to be made real"
    assert math.isfinite(predictive(found, protocol="timegan", steps=2).value)
    assert published(Compared(made[:, :1], real[:, :1], train[:, :1])) is None
    gapped = real.masked_fill(real > 0.9, math.nan)
    assert published(Compared(gapped, real, train)) is published(Compared(made, real, gapped)) is None


@pytest.mark.parametrize("score", [discriminative, predictive])
def test_a_seed_says_everything_and_global_noise_is_left_alone(score: object) -> None:
    pair = Compared(waves(40, 0), waves(40, 1), waves(40, 2))
    before = torch.random.get_rng_state()
    found = [score(pair, seed=seed, steps=5).value for seed in (1, 1, 2)]  # type: ignore[operator]
    assert found[0] == found[1] != found[2]
    assert torch.equal(before, torch.random.get_rng_state())


def testgaps_alone_do_not_give_made_series_away(hasty: None) -> None:
    real, train, made = waves(200, 0), waves(400, 1), waves(400, 2)
    holes = torch.Generator().manual_seed(4)
    real, train = (
        torch.where(torch.rand(x.shape, generator=holes) < 0.4, torch.nan, x) for x in (real, train)
    )
    assert discriminative(Compared(made, real, train), steps=30).value < 0.15
    assert math.isfinite(predictive(Compared(made, real, train), steps=5).value)


def test_a_series_without_a_number_to_predict_is_left_out() -> None:
    real, train, made = waves(200, 0), waves(400, 1), waves(400, 2)
    train[3, -1] = math.nan
    made[5, :, 1:] = math.nan
    found = predictive(Compared(made, real, train), steps=5)
    assert math.isfinite(found.value) and found.floor is not None and math.isfinite(found.floor)


def test_what_lies_after_the_end_is_no_gap() -> None:
    x = torch.tensor([[[1.0, math.nan, 3.0, math.nan, math.nan], [1.0, 2.0, 3.0, 4.0, math.nan]]])
    assert gaps(x).tolist() == [[[False, True, False, True, False], [False] * 5]]


def test_one_feature_is_predicted_from_itself() -> None:
    pair = Compared(waves(40, 0, 1), waves(40, 1, 1), waves(40, 2, 1))
    assert math.isfinite(predictive(pair, steps=5).value)
    with pytest.raises(DataError, match="none for one feature; use blocked"):
        predictive(pair, protocol="timegan")


def test_what_the_scores_cannot_be_used_on_is_refused() -> None:
    real = waves(40, 0)
    gapped = real.masked_fill(real > 0.9, math.nan)
    with pytest.raises(UsageError, match="no protocol 'timegam'; did you mean 'timegan'"):
        discriminative(Compared(real, real), protocol="timegam")
    with pytest.raises(DataError, match="fits to series of the train split"):
        discriminative(Compared(real, real))
    with pytest.raises(DataError, match="knows no gaps and no ends"):
        predictive(Compared(real, gapped), protocol="timegan")
    with pytest.raises(DataError, match=r"series in \[0, 1\]"):
        predictive(Compared(real, real * 2), protocol="timegan")
    with pytest.raises(DataError, match="9 series are too few"):
        discriminative(Compared(real[:9], real, real))
    with pytest.raises(DataError, match="series of one step"):
        predictive(Compared(real[..., :1], real[..., :1], real[..., :1]))


def test_what_takes_long_is_said() -> None:
    said: list[str] = []
    discriminative(Compared(waves(40, 0), waves(40, 1), waves(40, 2)), steps=1, tell=said.append)
    assert said == [
        "fitting a GRU that tells made from real series",
        "the same with real series in place of made ones",
    ]

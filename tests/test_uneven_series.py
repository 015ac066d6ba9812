"""Gaps and futures of series that differ in length: what is known stays, and each series keeps its end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import ectype as ec
from ectype.errors import DataError, UsageError
from ectype.jobs.gaps import Shown, _misfit
from ectype.jobs.impute import forecast, impute
from ectype.jobs.inputs import items_of
from ectype.kinds.series import Series
from ectype.likelihoods.categorical import CategoricalDistribution
from ectype.likelihoods.normal import NormalDistribution
from ectype.likelihoods.product import ProductDistribution
from ectype.runs import Run
from ectype.shapes import Joint

LONGEST = 12


def series(n: int, seed: int = 0) -> list[tuple[str, np.ndarray[Any, Any]]]:
    """Sorts and series (T, 1) of 6 to 12 steps: waves that go up or down at step 4, as their sort says."""
    random = np.random.default_rng(seed)
    made = []
    for i in range(n):
        steps = LONGEST if i == 0 else int(random.integers(6, LONGEST + 1))
        at = np.arange(steps)
        x = np.sin(at / 2 + random.uniform(0, 6.28)) + np.where(at < 4, 0, 5 if i % 2 else -5)
        made.append(("ab"[i % 2], x[:, None].astype(np.float32)))
    return made


def table(path: Path, rows: list[tuple[str, np.ndarray[Any, Any]]], first: int = 0) -> str:
    """A table of series, in the wrong order; NaN is an empty cell."""
    lines = [
        f"u{i + first},{t},{sort},{'' if np.isnan(v) else repr(float(v))}"
        for i, (sort, x) in enumerate(rows)
        for t, v in reversed(list(enumerate(x[:, 0])))
    ]
    path.write_text("\n".join(["unit,at,sort,v", *lines]) + "\n", encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    path = table(tmp_path_factory.mktemp("uneven") / "units.csv", series(240))
    data = ec.read(path, kind="series", by="unit", time="at", given="sort")
    assert isinstance(data.kind, Series) and data.kind.varies and data.kind.length == LONGEST
    model = ec.build("vae", data, width=8, latent=4, prior="normal")
    list(ec.fit(model, data, steps=500, batch=50, threads=1))
    return Run.of(model, data)


def test_gaps_are_filled_up_to_the_end_of_each_series(run: Run, tmp_path: Path) -> None:
    true = series(12, seed=1)
    gappy = [(sort, x.copy()) for sort, x in true]
    for i, (_, x) in enumerate(gappy):
        x[[2, 5] if i % 2 else [3, -1]] = np.nan  # the last row of a table too is one of the series
    made = impute(run, table(tmp_path / "gappy.csv", gappy), draws=2, out=tmp_path / "out")
    far = []
    for fills, (_, known), (_, x) in zip(made, gappy, true, strict=True):
        there = ~np.isnan(known)
        for fill in fills:
            assert fill.shape == x.shape and np.isfinite(fill).all()
            np.testing.assert_array_equal(fill[there], known[there])
        far += (fills[0] - x)[~there].tolist()
    assert np.square(far).mean() ** 0.5 < 1  # of two levels that are 10 apart
    assert sorted(len(p.read_text().splitlines()) - 1 for p in (tmp_path / "out").glob("*.csv")) == sorted(
        2 * [len(x) for _, x in true]
    )


def test_futures_are_further_steps_of_the_whole_series(run: Run, tmp_path: Path) -> None:
    true = [(sort, x) for sort, x in series(30, seed=2) if len(x) >= 8]
    begun = [(sort, x[:4]) for sort, x in true]
    made = forecast(run, table(tmp_path / "begun.csv", begun), steps=4, draws=6)
    right = []
    for fills, (sort, known) in zip(made, begun, strict=True):
        assert all(fill.shape == (8, 1) and np.isfinite(fill).all() for fill in fills)
        np.testing.assert_array_equal(np.array(fills)[:, :4], np.broadcast_to(known, (6, 4, 1)))
        right += [np.sign(fill[4:].mean()) == (-1 if sort == "a" else 1) for fill in fills]
    assert np.mean(right) > 0.9  # the sort alone tells up from down
    for value, sign in (("a", -1), ("b", 1)):
        asked = forecast(run, str(tmp_path / "begun.csv"), steps=4, draws=3, count=8, given={"sort": value})
        assert (np.sign(np.array(asked)[:, :, 4:].mean((2, 3))) == sign).mean() > 0.8


def test_how_far_an_array_is_padded_says_nothing(run: Run) -> None:
    rows: list[Any] = [x[: 6 + i] for i, (_, x) in enumerate(series(9, seed=3)) if len(x) >= 6 + i]
    assert len({len(x) for x in rows}) > 1
    holed = [np.where(np.arange(len(x))[:, None] == 2, np.nan, x).astype(np.float32) for x in rows]
    wide = np.full((len(rows), LONGEST, 1), np.nan, np.float32)
    for i, x in enumerate(holed):
        wide[i, : len(x)] = x
    narrow = wide[:, : max(map(len, rows))]
    sources: list[Any] = [holed, narrow, wide]
    filled = [impute(run, source) for source in sources]
    ahead = [forecast(run, source, steps=2, draws=1) for source in sources]
    for first, *others in (filled, ahead):
        for other in others:
            for one, two in zip(first, other, strict=True):
                np.testing.assert_array_equal(one[0], two[0])


def test_a_single_series_is_not_cut(run: Run) -> None:
    whole: Any = [series(1)[0][1]]
    assert [len(fills[0]) for fills in impute(run, whole)] == [LONGEST]
    begun: Any = [whole[0][:7]]
    assert [len(fills[0]) for fills in forecast(run, begun, steps=2, draws=1)] == [9]


def test_own_series_are_hidden_inside_their_lengths_only(run: Run, caplog: Any) -> None:
    items = items_of(run)
    lengths = np.array([len(x) for x in items.data.items(items.indices)])
    assert items.data.steps is not None and (items.data.steps[items.indices].numpy() == lengths).all()
    with caplog.at_level("INFO", logger="ectype"):
        made = forecast(run, steps=7, draws=10)
    longer = lengths[lengths > 7]
    assert [len(fills[0]) for fills in made] == longer.tolist() and len(longer) < len(lengths)
    assert f"N={7 * len(longer)};" in caplog.text and "the last value" in caplog.text
    assert "inside 80 %" in caplog.text
    assert (
        f"{len(lengths) - len(longer)} of {len(lengths)} series are left out, being no longer" in caplog.text
    )
    caplog.clear()
    with caplog.at_level("INFO", logger="ectype"):
        assert [len(fills[0]) for fills in impute(run, hide=0.99)] == lengths.tolist()
    n = int(caplog.text.split("N=")[1].split(";")[0])
    assert "a straight line" in caplog.text and n < lengths.sum()


def test_series_without_room_are_left_out_by_name(run: Run, tmp_path: Path, caplog: Any) -> None:
    rows = [("a", np.zeros((steps, 1), np.float32)) for steps in (12, 9, 11, 4)]
    path = table(tmp_path / "some.csv", rows, first=20)
    with caplog.at_level("INFO", logger="ectype"):
        made = forecast(run, path, steps=3, draws=1)
    assert [len(fills[0]) for fills in made] == [12, 7]
    assert (
        "2 of 4 series are left out, being with 3 more steps longer than 12, the longest that the model "
        "knows: u20, u22" in caplog.text
    )
    with pytest.raises(UsageError, match="with 9 more steps longer than 12.*ask for at most 8"):
        forecast(run, path, steps=9)
    with pytest.raises(UsageError, match="every series is with 1 more steps.*knows$"):
        forecast(run, table(tmp_path / "full.csv", rows[:1]), steps=1)
    with pytest.raises(UsageError, match="steps is from 1 to 11, one less than the model knows, not 12"):
        forecast(run, steps=12)
    long = table(tmp_path / "long.csv", [("a", np.zeros((13, 1)))])
    with pytest.raises(DataError, match=r"long.csv: series u0: a series of 13 steps, where"):
        impute(run, long)
    with pytest.raises(DataError, match=r"long.csv: series u0: a series of 13 steps, where"):
        forecast(run, long, steps=1)
    lists: Any = [np.zeros((3, 1)), np.zeros((4, 1))]
    with pytest.raises(UsageError, match="by and time name columns of tables"):
        forecast(run, lists, steps=1, by="unit")


def test_columns_of_another_name_are_said(run: Run, tmp_path: Path) -> None:
    path = table(tmp_path / "some.csv", [("a", np.zeros((steps, 1))) for steps in (5, 7)])
    other = tmp_path / "other.csv"
    other.write_text(Path(path).read_text().replace("unit,at", "patient,visit"))
    made = forecast(run, str(other), steps=1, draws=1, by="patient", time="visit")
    assert [len(fills[0]) for fills in made] == [6, 8]
    with pytest.raises(DataError, match="there is no column 'unit'"):
        impute(run, str(other))


def test_the_misfit_counts_what_is_shown_and_how_long_a_series_lasts() -> None:
    kind = Series([0.0], [1.0], 4, varies=True)
    assert isinstance(kind.shape, Joint)
    generator = torch.Generator().manual_seed(0)
    mean, logits = torch.randn(2, 1, 4, generator=generator), torch.randn(2, 5, generator=generator)
    numbers, lengths = NormalDistribution(mean, torch.zeros(1, 1)), CategoricalDistribution(logits)
    p = ProductDistribution(kind.shape, [numbers, lengths])
    stored = torch.tensor([[[1.0, 2, 3, torch.nan]], [[1.0, torch.nan, 5, 6]]])
    seen = torch.tensor([[[True, True, False, False]], [[True, False, False, False]]])
    each = torch.where(seen, numbers.log_prob(stored.nan_to_num()), 0).sum((1, 2))
    ends, log_p = torch.tensor([3, 4]), logits.log_softmax(1)
    for open_, lasts in (
        (False, log_p[[0, 1], [3, 4]]),
        (True, torch.stack([log_p[0, 3:].logsumexp(0), log_p[1, 4]])),
    ):
        far = _misfit(kind, Shown(stored, seen, ends, open_), torch.device("cpu"))
        torch.testing.assert_close(far(p), -each - lasts)
        other = torch.where(seen, stored, 99.0)  # what is hidden tells nothing
        again = _misfit(kind, Shown(other, seen, ends, open_), torch.device("cpu"))
        assert torch.equal(far(p), again(p))


def test_an_autoencoder_fills_too_and_a_critic_cannot_be_had(run: Run) -> None:
    rows: Any = [x for _, x in series(40)]
    data = ec.read(rows, kind="series")
    model = ec.build("ae", data, width=4, latent=2)
    list(ec.fit(model, data, steps=20, batch=20))
    own = Run.of(model, data)
    assert all(len(fills[0]) == len(x) for fills, x in zip(impute(own, rows), rows, strict=True))
    begun: Any = [rows[0][:5], rows[1][:3]]
    assert [len(fills[0]) for fills in forecast(own, begun, steps=2, draws=1)] == [7, 5]
    for family in ("gan", "vaegan"):
        with pytest.raises(UsageError, match="no gradient through a choice of tokens"):
            ec.build(family, data)

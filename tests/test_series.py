"""Time series: reading, kind, network, and what a model may and may not see of them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import ectype as ec
from ectype.data.series import from_series
from ectype.data.tables import Table
from ectype.data.timing import moments_of
from ectype.errors import DataError, ModelFileError, UsageError
from ectype.jobs.comparing import compared
from ectype.jobs.gaps import quantile
from ectype.jobs.impute import forecast, impute
from ectype.jobs.inputs import items_of
from ectype.kinds import restored, state_of
from ectype.kinds.series import Series
from ectype.networks import sequence
from ectype.runs import Run, load
from ectype.shapes import Joint
from ectype.shapes import Series as Form


def walks(n: int = 60, steps: int = 12, features: int = 2, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).normal(size=(n, steps, features)).cumsum(1) * 3 + 40


def uneven(n: int = 40) -> list[np.ndarray[Any, Any]]:
    random = np.random.default_rng(1)
    return [random.normal(size=(steps, 2)) for steps in random.integers(3, 10, n)]


# ---- kind ----


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("varies", [False, True])
def test_what_is_packed_comes_back(gaps: bool, varies: bool) -> None:
    kind = Series([40.0, 2.0], [3.0, 0.5], 12, names=("a", "b"), varies=varies)
    item = walks(1)[0].astype(np.float32)[: 9 if varies else 12]
    if gaps:
        item[2:4, 1] = np.nan
    stored = kind.pack(item)
    np.testing.assert_array_equal(kind.unpack(stored), item)
    there = torch.from_numpy(stored[None])
    x = kind.tensor(there)
    assert x.shape[1:] == kind.shape.form and bool(x.isfinite().all())
    seen = kind.seen(there)
    back = kind.unpack(kind.stored(x if seen is None else torch.where(seen, x, torch.nan))[0])
    np.testing.assert_allclose(back, item, rtol=1e-5, atol=1e-4)
    assert restored(state_of(kind)).state() == kind.state()


def test_what_a_kind_refuses() -> None:
    kind = Series([0.0, 0.0], [1.0, 1.0], 5)
    for item, why in (
        (np.zeros((5, 3)), r"a series of form \(5, 3\), where \(steps, 2\) is needed"),
        (np.zeros((4, 2)), "a series of 4 steps, where the kind has 5"),
        (np.full((5, 2), np.inf), "infinite numbers"),
        (np.full((5, 2), np.nan), "a series without any number"),
        ("abc", "no series of 2 numbers a step"),
    ):
        with pytest.raises(DataError, match=why):
            kind.pack(item)
    with pytest.raises(DataError, match="at most 5"):
        Series([0.0], [1.0], 5, varies=True).pack(np.zeros(6))
    with pytest.raises(ModelFileError, match="describes no series kind"):
        Series.restore({"mean": [0.0]})


def test_a_feature_that_never_changes_comes_back() -> None:
    values = walks()
    values[:, :, 1] = 7.0
    data = ec.read(values, kind="series")
    assert any("1 of 2 features never change" in note for note in data.notes)
    x = data.batch(data.splits["all"]).x
    assert bool(x.isfinite().all())
    np.testing.assert_allclose(data.kind.stored(x)[:, 1], 7.0, rtol=1e-6)


def test_scaling_is_that_of_the_training_series() -> None:
    data = ec.read(walks(400), kind="series")
    x = data.batch(data.splits["train"]).x
    torch.testing.assert_close(x.mean((0, 2)), torch.zeros(2), atol=1e-4, rtol=0)
    torch.testing.assert_close(x.std((0, 2)), torch.ones(2), atol=1e-3, rtol=0)


# ---- reading ----


def table(path: Path, header: str, *rows: str) -> Path:
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def test_one_long_table_is_cut_and_split_by_blocks(tmp_path: Path) -> None:
    rows = [f"2024-01-01T{i // 60:02d}:{i % 60:02d},{i},{np.sin(i / 9):.4f}" for i in range(600)]
    path = table(tmp_path / "sensor.csv", "time,load,heat", *rows[::-1])  # the newest first, as exports are
    data = ec.read(str(path), kind="series", window=12)
    assert data.kind.state()["names"] == ["load", "heat"]
    steps = {name: set() for name in ("train", "select", "test")}
    for name, own in steps.items():
        assert len(data.splits[name])
        for item in data.items(data.splits[name]):
            assert (np.diff(item[:, 0]) == 1).all()  # in the order of time
            own |= set(item[:, 0].astype(int).tolist())
    assert not steps["train"] & steps["test"] and not steps["train"] & steps["select"]
    assert not steps["select"] & steps["test"]
    assert any("windows that reach from one split into another were left out" in n for n in data.notes)


def test_a_table_with_an_id_is_one_series_each(tmp_path: Path) -> None:
    rows = [
        f"{unit},{t},{unit * 10 + t},{'ab'[unit % 2]}" for t in range(8) for unit in range(12) if t < unit + 2
    ]
    path = table(tmp_path / "units.csv", "unit,step,value,sort", *rows)
    data = ec.read(str(path), kind="series", by="unit", given="sort")
    assert isinstance(data.kind, Series) and data.kind.varies and len(data) == 12
    assert isinstance(data.kind.shape, Joint)
    assert [len(item) for item in data.items(torch.arange(4))] == [2, 3, 4, 5]
    assert data.given["sort"].kind.name == "label"
    again = ec.read(str(path), kind="series", by="unit", given="sort")
    assert again.source["digest"] == data.source["digest"]


def test_a_folder_of_tables_is_one_series_each(tmp_path: Path) -> None:
    for sort in ("calm", "wild"):
        (tmp_path / sort).mkdir()
        for i in range(6):
            table(tmp_path / sort / f"{i}.csv", "x,y", *(f"{i},{t}" for t in range(5)))
    data = ec.read(str(tmp_path), kind="series", given="label")
    assert len(data) == 12 and data.kind.shape == Form(2, 5)
    assert data.given["label"].kind.state()["classes"] == ["calm", "wild"]


def test_gaps_are_not_seen(tmp_path: Path) -> None:
    values = walks().astype(np.float32)
    values[3, 4, 1] = np.nan
    data = ec.read(values, kind="series")
    batch = data.batch(torch.tensor([3, 4]))
    assert batch.seen is not None and int((~batch.seen).sum()) == 1 and not batch.seen[0, 1, 4]


@pytest.mark.parametrize(
    ("header", "rows", "options", "why"),
    [
        (
            "a,b",
            ["1,2", "", "x,3", "2,4"],
            {},
            r"column 'a' has 1 cells that are no numbers \('x' in row 4\); leave empty what is missing",
        ),
        ("a,b", ["1,", "2,", "3,"], {}, "the column 'b' is empty throughout"),
        ("time,a", ["1,2", "1,3", "2,4"], {}, "rows 2 and 3 have the same time"),
        ("time,a", ["1,2", "soon,3", "2,4"], {}, "'soon' in row 3 of 'time' is no time"),
        (
            "time,a",
            ["1,2", ",3", "2,4"],
            {},
            "the empty cell in row 3 of 'time' is no time: write numbers or",
        ),
        ("id,t,a", ["x,1,2", "x,1,3", "y,1,4"], {}, "rows 2 and 3 have the same time of series 'x'"),
        ("id,a", [",1", ",2"], {}, "no row says in 'id' which series it is of"),
        ("a", ["x", "y"], {}, "no column holds numbers"),
        ("a", ["1", "2"], {"by": "unit"}, "there is no column 'unit'"),
        ("a,b", ["1,2"], {"window": 4}, "no series has 4 steps; choose a smaller window"),
        ("a,b", ["1,2,3"], {}, "3 cells where the header has 2"),
    ],
)
def test_bad_tables_are_refused(
    tmp_path: Path, header: str, rows: list[str], options: dict[str, Any], why: str
) -> None:
    path = table(tmp_path / "bad.csv", header, *rows)
    with pytest.raises(DataError, match=why):
        ec.read(str(path), kind="series", **options)


def test_what_a_row_lacks_is_missing(tmp_path: Path) -> None:
    data = ec.read(
        str(table(tmp_path / "ragged.csv", "a,b", *["1,2", "3", "4,5"] * 9)), kind="series", window=3
    )
    seen = data.batch(data.splits["all"]).seen
    assert seen is not None and bool(seen[:, 0].all())
    assert bool(((~seen[:, 1]).sum(1) == 1).all())


def test_a_column_may_be_empty_in_one_file_but_not_in_all(tmp_path: Path) -> None:
    for i in range(6):
        table(tmp_path / f"{i}.csv", "a,b", *(f"{i},{'' if i else k}" for k in range(4)))
    data = ec.read(str(tmp_path), kind="series", window=2)
    seen = data.batch(data.splits["all"]).seen
    assert seen is not None and 0 < int(seen[:, 1].sum()) < int(seen[:, 0].sum())
    table(tmp_path / "0.csv", "a,b", "0,", "0,")
    with pytest.raises(DataError, match="the column 'b' is empty throughout; take it out"):
        ec.read(str(tmp_path), kind="series")


def test_a_column_that_train_knows_nothing_of_is_named() -> None:
    with pytest.raises(DataError, match="'b' holds no number in the series to learn from: leave it out"):
        Series.fit(np.stack([np.ones((2, 4)), np.full((2, 4), np.nan)], 1), ["a", "b"])


def test_options_of_series_are_for_series() -> None:
    with pytest.raises(UsageError, match="stride are for series: say kind='series' too"):
        ec.read("digits", stride=5)
    with pytest.raises(DataError, match="holds no text; leave kind and window out"):
        ec.read("digits", window=5)
    with pytest.raises(UsageError, match="a window has 2 steps or more"):
        ec.read(walks(), kind="series", window=1)
    with pytest.raises(DataError, match="infinite numbers in series 0"):
        from_series(np.full((3, 4, 1), np.inf), window=None, stride=1, by=None, time=None, seed=0)
    with pytest.raises(DataError, match="of the same features"):
        ec.read([np.zeros((3, 2)), np.zeros((3, 1))], kind="series")


# ---- network and families ----


@pytest.mark.parametrize("steps", [1, 2, 7, 24, 100])
def test_any_length_is_read_and_written(steps: int) -> None:
    encoder = sequence.Encoder(Form(3, steps), 5, width=8)
    decoder = sequence.Decoder(4, (3, steps), width=8)
    assert encoder(torch.randn(2, 3, steps)).shape == (2, 5)
    assert decoder(torch.randn(2, 4)).shape == (2, 3, steps)
    with pytest.raises(UsageError, match="sequence needs width in"):
        sequence.Encoder(Form(3, steps), 5, width=0)


def test_what_is_not_seen_changes_nothing() -> None:
    values = walks().astype(np.float32)
    values[:, 5:, 0] = np.nan
    data = ec.read(values, kind="series")
    model = ec.build("vae", data, network="sequence", width=8)
    batch = data.batch(torch.arange(8))
    other = data.batch(torch.arange(8))
    assert batch.seen is not None
    other.x[~batch.seen] = 1e6
    stream = (torch.Generator().manual_seed(0) for _ in range(2))
    one, two = (model.loss(b, noise=next(stream)).each for b in (batch, other))
    assert torch.equal(one, two)


def test_more_padding_changes_nothing() -> None:
    items = uneven()
    short = ec.read(items, kind="series")
    assert isinstance(short.kind, Series) and short.kind.varies
    model = ec.build("ae", short, width=8)
    batch = short.batch(torch.arange(5))
    assert batch.seen is not None
    hidden = batch.x.clone()
    hidden[~batch.seen] = 99.0
    codes = [model.posterior(x, None, batch.seen).mean for x in (batch.x, hidden)]  # type: ignore[operator]
    assert torch.equal(*codes)


@pytest.mark.parametrize("family", ["ae", "vae", "gan", "vaegan"])
def test_families_train_save_and_sample(family: str, tmp_path: Path) -> None:
    data = ec.read((walks(), np.arange(60) % 2), kind="series", given="label")
    model = ec.build(family, data, network="sequence", width=8)
    *_, last = ec.fit(model, data, steps=6)
    assert np.isfinite(last.loss)
    Run.of(model, data).save(tmp_path / "run")
    run = load(tmp_path / "run")
    made = [ec.sample(one, 3, seed=4, given={"label": "1"}) for one in (Run.of(model, data), run)]
    for item, other in zip(*made, strict=True):
        assert item.shape == (12, 2)
        np.testing.assert_array_equal(item, other)


def test_a_model_says_how_long_a_series_is() -> None:
    data = ec.read(uneven(200), kind="series")
    model = ec.build("vae", data, width=8)
    list(ec.fit(model, data, steps=60))
    made = ec.sample(Run.of(model, data), 50, seed=0)
    found = {len(item) for item in made}
    assert len(found) > 3 and found <= set(range(1, 10))
    assert all(np.isfinite(item).all() for item in made)
    with pytest.raises(UsageError, match="no gradient through a choice of tokens"):
        ec.build("gan", data)


def test_series_are_written_and_shown(tmp_path: Path) -> None:
    kind = Series([0.0, 0.0], [1.0, 1.0], 3, names=("a", "b,c"))
    paths = kind.write([np.array([[1.0, 2.0], [np.nan, 4.0], [5.0, 6.0]])], tmp_path)
    assert paths[0].read_text(encoding="utf-8").splitlines() == ['a,"b,c"', "1,2", ",4", "5,6"]
    assert kind.sheet([np.zeros((3, 2))] * 5, 4).size == (4 * 138, 2 * 90)


# ---- gaps and futures ----


@pytest.fixture(scope="module")
def waves() -> Run:
    """A model of sine waves of any phase."""
    phase = np.random.default_rng(0).uniform(0, 6.28, (300, 1, 1))
    data = ec.read(np.sin(np.arange(16)[None, :, None] / 2 + phase) * 5 + 20, kind="series")
    model = ec.build("vae", data, hidden=(64, 64), latent=2, prior="normal")
    list(ec.fit(model, data, steps=600, batch=50))
    return Run.of(model, data)


def test_gaps_are_filled_and_nothing_else_is_touched(waves: Run, tmp_path: Path) -> None:
    true = np.sin(np.arange(16) / 2 + 1)[:, None] * 5 + 20
    gappy = true.astype(np.float32).copy()
    gappy[[3, 4, 5, 12]] = np.nan
    path = tmp_path / "one.npy"
    np.save(path, gappy[None])
    made = impute(waves, path, draws=2, out=tmp_path / "out")
    there = ~np.isnan(gappy)
    for fill in made[0]:
        np.testing.assert_array_equal(fill[there], gappy[there])
        assert np.abs(fill - true).max() < 1.5  # of an amplitude of 5
    assert len(list((tmp_path / "out").glob("*.csv"))) == 2 and (tmp_path / "out" / "filled.png").is_file()


def test_what_comes_next_is_said_from_the_end(waves: Run) -> None:
    long = np.sin(np.arange(100) / 2)[:, None] * 5 + 20
    made = forecast(waves, long[None, :96].astype(np.float32), steps=4, draws=5, noise=False)
    assert len(made[0]) == 5 and made[0][0].shape == (16, 1)
    np.testing.assert_array_equal(made[0][0][:12], long[84:96].astype(np.float32))
    assert np.abs(np.mean(made[0], 0)[12:] - long[96:]).max() < 1.5


def test_hidden_values_of_the_runs_own_data_are_scored(tmp_path: Path, caplog: Any) -> None:
    path = tmp_path / "walks.npy"
    np.save(path, walks(200))
    run = ec.train(str(path), kind="series", steps=40, out=tmp_path / "run")
    with caplog.at_level("INFO", logger="ectype"):
        impute(run, draws=2)
        forecast(run, steps=3, draws=10)
    assert "fill_rmse" in caplog.text and "a straight line" in caplog.text
    assert "the last value" in caplog.text and "inside 80 %" in caplog.text


def test_what_is_said_of_a_series_heeds_its_conditions() -> None:
    """The end cannot be told from the beginning, only from the label."""
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 300)
    x = rng.normal(0, 0.1, (300, 16, 1))
    x[:, 8:, 0] += np.where(label, 5, -5)[:, None]
    data = ec.read((x, label), kind="series", given="label")
    model = ec.build("vae", data, hidden=(64, 64), latent=2, prior="normal")
    list(ec.fit(model, data, steps=400, batch=50))
    run = Run.of(model, data)
    start = np.concatenate([x[:4, :8], np.full((4, 8, 1), np.nan)], 1).astype(np.float32)
    for value, sign in (("0", -1), ("1", 1)):
        asked: dict[str, Any] = {"draws": 3, "given": {"label": value}}
        for made in (impute(run, start, **asked), forecast(run, x[:4, :8], steps=8, **asked)):
            assert (np.sign(np.array(made)[:, :, 8:]) == sign).mean() > 0.95
    own = forecast(run, data, steps=8, draws=3, count=20)
    truth = label[data.splits["test"][:20]]
    assert (np.sign(np.array(own)[:, :, 8:].mean((1, 2, 3))) == np.where(truth, 1, -1)).all()
    with pytest.raises(UsageError, match="'colour'"):
        forecast(run, x[:4], steps=8, given={"colour": "1"})


def test_a_table_is_read_as_in_training_and_its_conditions_are_heeded(tmp_path: Path) -> None:
    rows = [
        f"{n},{t},{'ab'[n % 2]},{(5 if n % 2 else -5) * (t > 3) + n % 7 / 20}"
        for n in range(80)
        for t in range(8)
    ]
    path = str(table(tmp_path / "units.csv", "unit,at,sort,v", *rows))
    data = ec.read(path, kind="series", by="unit", time="at", given="sort")
    model = ec.build("vae", data, hidden=(64, 64), latent=2, prior="normal")
    list(ec.fit(model, data, steps=200, batch=50))
    run = Run.of(model, data)
    begun = str(table(tmp_path / "new.csv", "unit,at,sort,v", *[r for r in rows if int(r.split(",")[1]) < 4]))
    made = np.array(forecast(run, begun, steps=4, draws=2, count=10))[:, :, 4:].mean((1, 2, 3))
    assert (np.sign(made) == np.where(np.arange(10) % 2, 1, -1)).all()
    np.save(tmp_path / "plain.npy", np.zeros((1, 4, 1), np.float32))  # no table: nothing tells rows apart
    assert len(forecast(run, str(tmp_path / "plain.npy"), steps=4, draws=1)) == 1


def test_gaps_are_of_series(waves: Run) -> None:
    with pytest.raises(UsageError, match="steps is from 1 to 15"):
        forecast(waves, steps=16)
    with pytest.raises(UsageError, match="hide is a share of the values"):
        impute(waves, hide=1.5)
    other = ec.read("ring")
    with pytest.raises(UsageError, match="this model makes items of kind vector"):
        impute(Run.of(ec.build("vae", other), other))


# ---- series of several lengths, and windows of several ----


def test_uneven_series_with_labels_are_read_from_python() -> None:
    rows = uneven(30)
    labels = ["up" if i % 2 else "down" for i in range(30)]
    data, plain = ec.read((rows, labels), kind="series"), ec.read(rows, kind="series")
    assert data.labels is not None and data.label_kind is not None
    assert [data.label_kind.classes[i] for i in data.labels.tolist()] == labels
    assert torch.equal(data.batch(data.splits["all"]).x, plain.batch(plain.splits["all"]).x)
    assert data.kind.state() == plain.kind.state()
    named = ec.read((rows, {"way": labels}), kind="series", given="way")
    assert list(named.given) == ["way"]
    windows = ec.read((rows, labels), kind="series", window=3)
    assert windows.labels is not None and len(windows.labels) == len(windows) > 30
    with pytest.raises(DataError, match="the labels: form .* where there are 30 items"):
        ec.read((rows, labels[1:]), kind="series")


@pytest.mark.parametrize("n", [3, 8, 40])
def test_windows_of_equal_series_are_in_one_split(n: int) -> None:
    one = walks(n, steps=12)
    for seed in range(4):
        data = ec.read([*one, *one, np.zeros((2, 2))], kind="series", window=6, seed=seed)
        owner = np.full(len(data), -1)
        for i, name in enumerate(("train", "select", "test")):
            assert len(data.splits[name])
            owner[data.splits[name].numpy()] = i
        each = owner.reshape(2 * n, 7)  # windows of a series
        assert (each == each[:, :1]).all() and (each[:n] == each[n:]).all()


# ---- scores ----


def test_evaluate_says_how_series_move(tmp_path: Path) -> None:
    items = [*uneven(300)]
    items[5][1, 0] = np.nan
    data = ec.read(items, kind="series")
    model = ec.build("vae", data, width=8)
    list(ec.fit(model, data, steps=20))
    run = Run.of(model, data)
    made = compared(run, items_of(run, data), data, seed=0, judged=False)
    found = {score.name: score for score in made}
    for name in ("autocorrelation", "cross-correlation"):
        assert np.isfinite(found[name].value) and found[name].floor is not None
    assert "discriminative" not in found


def test_evaluate_judges_series_by_both_protocols_where_both_apply(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ectype.jobs.timely._TOLD", 2)
    monkeypatch.setattr("ectype.jobs.timely._AHEAD", 2)
    monkeypatch.setattr("ectype.jobs.timely._LONG", 0.05)
    names = {"discriminative", "predictive"}
    for features in (3, 1):
        values = np.random.default_rng(0).normal(size=(200, 8, features)).astype(np.float32)
        data = ec.read(values, kind="series")
        run = Run.of(ec.build("vae", data, prior="normal"), data)
        made = compared(run, items_of(run, data), data, seed=0, judged=True)
        scores = {score.name: score for score in made}
        assert names <= set(scores) and "steps" not in scores["predictive"].note
        both = {f"{name} (timegan)" for name in names}
        assert both & set(scores) == (both if features > 1 else set())
        if features > 1:
            assert "31 steps of the 5,000 published" in scores["predictive (timegan)"].note


@pytest.mark.parametrize("draws", [10, 20, 100])
def test_one_more_draw_lies_in_the_middle_as_often_as_it_says(draws: int) -> None:
    x = torch.randn(draws + 1, 20_000, generator=torch.Generator().manual_seed(0))
    low, high = quantile(x[1:], 0.1), quantile(x[1:], 0.9)
    assert float(((low <= x[0]) & (x[0] <= high)).double().mean()) == pytest.approx(0.8, abs=0.012)


def test_dates_without_a_zone_are_ordered_alike_on_every_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:  # the night on which the hour from two to three is left out there
        dates = [f"2024-03-31T{t}" for t in ("01:50", "02:05", "02:30", "03:10")]
        table = Table(Path("x.csv"), {"t": list(dates)}, [1, 2, 3, 4])
        moments = moments_of(table, "t", "x.csv")
    finally:
        monkeypatch.undo()
        time.tzset()
    assert moments == sorted(moments) and len(set(moments)) == 4


def test_a_gap_at_the_end_of_a_window_or_table_is_a_gap_and_no_end(tmp_path: Path) -> None:
    values = walks()[..., :1].astype(np.float32)
    values[3, -1] = np.nan
    names = [
        f"{n},{t},{'' if np.isnan(v) else v}" for n, one in enumerate(values) for t, (v,) in enumerate(one)
    ]
    each = ec.read(str(table(tmp_path / "each.csv", "id,time,v", *names)), kind="series")
    long = [f"{t},{'' if t % 10 == 7 else np.sin(t)}" for t in range(200)]
    windows = ec.read(str(table(tmp_path / "long.csv", "time,v", *long)), kind="series", window=8)
    for data in (each, windows, ec.read(list(values), kind="series")):
        assert isinstance(data.kind, Series) and not data.kind.varies
        assert np.isnan(np.stack(data.items(torch.arange(len(data))))[:, -1]).any()
    padded = ec.read(values, kind="series")  # an array has no other way to say that a series is shorter
    assert isinstance(padded.kind, Series) and padded.kind.varies


@pytest.mark.parametrize("varies", [False, True])
def test_evaluation_of_series_with_gaps_and_conditions(varies: bool) -> None:
    from ectype.jobs.comparing import compared
    from ectype.jobs.inputs import Items

    values = walks().astype(np.float32)
    values[:, 4, 1] = np.nan
    if varies:
        values[::3, 9:] = np.nan
    labels = np.arange(60) % 2
    data = ec.read((values, labels), kind="series", given="label")
    model = ec.build("vae", data)
    list(ec.fit(model, data, steps=3))
    run = Run.of(model, data)
    read = ec.evaluate(run, data, samples=2, split="test", judge=False)
    few = Items(data, data.splits["test"], "test")
    scores = {score.name: score for score in [*read, *compared(run, few, data, seed=0, judged=True)]}
    assert {"mse", "energy", "judge right", "autocorrelation"} <= set(scores), sorted(scores)
    assert 0.1 < scores["mse"].value < 3  # of standardised numbers; steps are none of them


def test_a_perfect_model_of_series_with_gaps_and_ends_is_not_told_from_them() -> None:
    from ectype.jobs.inputs import Items
    from ectype.jobs.timely import as_read

    values = uneven()
    values[3][1, 0] = np.nan
    data = ec.read(values, kind="series")
    batch = data.batch(torch.arange(len(data)))
    assert batch.seen is not None
    made = batch.x.clone()
    made[~batch.seen] = 7.0  # a model says something everywhere
    found = as_read(data.kind, made, Items(data, torch.arange(len(data)), "all"))
    torch.testing.assert_close(found, batch.x)

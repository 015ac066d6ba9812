"""Made items against real ones: oracles of the distances, what the judge says, and the jobs around them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import ectype as ec
from ectype.errors import DataError
from ectype.jobs import sections
from ectype.jobs.comparing import make
from ectype.jobs.evaluate import evaluate
from ectype.jobs.inputs import items_of
from ectype.jobs.pictures import Pictures
from ectype.jobs.report import report, warnings_of
from ectype.jobs.sample import sample
from ectype.metrics import REAL, Score
from ectype.metrics.classifier import Classifier, why_not
from ectype.metrics.generation import frechet, gap, generation, neighbours
from ectype.metrics.judge import judge
from ectype.metrics.space import Space, energy
from ectype.shapes import Row


def drawn(n: int, d: int, seed: int = 0, scale: float = 1.0, shift: float = 0.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(n, d, generator=generator) + shift


def scored(made: Tensor, real: Tensor, train: Tensor | None = None, **more: Any) -> dict[str, Score]:
    found = generation(Row((1,) * real.shape[1]), made, real, train, **more)
    return {score.name: score for score in found}


# ---- the Fréchet distance ----


def with_moments(x: Tensor, mean: Tensor, root: Tensor) -> Tensor:
    """x (N, d) moved so that its mean and covariance are exactly `mean` and `root @ root.T`."""
    x = x.double() - x.double().mean(0)
    return x @ torch.linalg.inv(torch.linalg.cholesky(torch.cov(x.T))).T @ root.T + mean


def test_frechet_is_the_closed_form_of_two_gaussians() -> None:
    first, second = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0.5, 2.0, 4.0])
    x = with_moments(drawn(50, 3), torch.zeros(3), torch.diag(first).double())
    y = with_moments(drawn(70, 3, 1), torch.tensor([1.0, 0.0, -2.0]), torch.diag(second).double())
    # commuting covariances: the squared differences of means and of deviations
    assert frechet(x, y) == pytest.approx(5.0 + float((first - second).square().sum()), rel=1e-6)


def test_frechet_of_covariances_that_do_not_commute() -> None:
    a = torch.tensor([[2.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
    b = torch.tensor([[1.0, 0.0], [-2.0, 0.5]], dtype=torch.float64)
    x, y = (with_moments(drawn(40, 2, s), torch.zeros(2), r) for s, r in enumerate((a, b)))
    values = torch.linalg.eigvals((a @ a.T) @ (b @ b.T))
    across = values.sqrt().real.sum()
    want = float((a @ a.T).trace() + (b @ b.T).trace() - 2 * across)
    assert frechet(x, y) == pytest.approx(want, rel=1e-8)
    assert frechet(y, x) == pytest.approx(want, rel=1e-8)


def test_frechet_of_few_items_is_finite_and_of_one_is_none() -> None:
    x = drawn(5, 40)
    assert frechet(x, x) == pytest.approx(0.0, abs=1e-4)
    assert 0 < frechet(x, x + 1) == pytest.approx(40.0, rel=1e-4)
    assert math.isnan(frechet(x[:1], x))


# ---- precision, recall, density, coverage ----


def means(x: Tensor, y: Tensor) -> dict[str, float]:
    return neighbours(x, y).means


def test_two_samples_of_one_distribution() -> None:
    found = [means(drawn(1000, 8, s), drawn(1000, 8, 100 + s)) for s in range(4)]
    mean = {k: sum(f[k] for f in found) / len(found) for k in found[0]}
    assert mean["coverage"] == pytest.approx(1 - 2**-5, abs=0.01)
    assert mean["density"] == pytest.approx(1.0, abs=0.08)
    assert mean["precision"] == pytest.approx(mean["recall"], abs=0.03)


def test_a_tight_cluster_in_a_wide_one() -> None:
    wide, tight = drawn(500, 4), drawn(500, 4, 1, scale=0.1)
    found = means(wide, tight)
    assert found["precision"] > 0.95
    assert found["recall"] < 0.1
    assert found["coverage"] < 0.1
    other = means(tight, wide)
    assert other["precision"] < 0.1
    assert other["recall"] > 0.95


def test_neighbours_by_hand() -> None:
    x = torch.tensor([[0.0], [1.0], [3.0]])  # distances to the nearest other: 1, 1, 2
    y = torch.tensor([[-0.5], [1.0 + 1.0], [9.0]])  # 2.5, 2.5, 7
    found = neighbours(x, y, k=1)
    # |y - 1| = 1 is not below 1: the ball is open
    assert found.precision.tolist() == [1, 1, 0]
    assert found.density.tolist() == [1, 1, 0]
    assert found.coverage.tolist() == [1, 0, 1]
    assert found.recall.tolist() == [1, 1, 1]


def test_equal_items_have_no_neighbourhood() -> None:
    same = torch.full((40, 3), 0.1)
    assert set(means(same, same).values()) == {0.0}


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from ectype.metrics import generation as module

    x, y = drawn(90, 5), drawn(70, 5, 1)
    whole = scored(y, x, drawn(300, 5, 2))
    monkeypatch.setattr(module, "_ROWS", 7)
    for name, score in scored(y, x, drawn(300, 5, 2)).items():
        assert score.value == pytest.approx(whole[name].value, rel=1e-4, abs=1e-6)


# ---- scores ----


def test_scores_stand_beside_what_real_items_get() -> None:
    real, train = drawn(400, 6), drawn(1500, 6, 1)
    good, bad = scored(drawn(400, 6, 2), real, train), scored(drawn(400, 6, 2, 0.2, 2.0), real, train)
    assert list(good) == ["energy", "frechet", "precision", "recall", "density", "coverage"]
    for name, score in good.items():
        assert (score.n, score.floor_name, score.above_floor, score.enough) == (400, REAL, True, True)
        assert score.floor is not None
        assert score.error is not None
        assert abs(score.value - score.floor) < 8 * score.error, name
        further = bad[name].value - score.value
        assert further > 0 if score.better == "lower" else further < 0, name
    assert good["energy"].floor == bad["energy"].floor
    space = Space(Row((1,) * 6), train)
    assert good["energy"].value == pytest.approx(energy(space(real), space(drawn(400, 6, 2))), abs=1e-4)


def test_error_bars_are_those_of_repeated_experiments() -> None:
    runs = [scored(drawn(200, 4, 2 * s, 0.8), drawn(200, 4, 2 * s + 1), None, seed=s) for s in range(30)]
    for name in ("energy", "frechet", "precision", "recall", "coverage"):
        spread = float(np.std([r[name].value for r in runs], ddof=1))
        said = float(np.mean([r[name].error or 0.0 for r in runs]))
        assert 0.4 < said / spread < 2.5, name


@pytest.mark.parametrize(("items", "d", "scale"), [(200, 4, 0.8), (400, 2, 1.0), (300, 8, 1.2)])
def test_two_error_bars_hold_the_score_of_another_draw_19_times_in_20(
    items: int, d: int, scale: float
) -> None:
    runs = [
        scored(drawn(items, d, 2 * s, scale), drawn(items, d, 2 * s + 1), None, seed=s) for s in range(40)
    ]
    for name in ("precision", "recall", "density", "coverage"):
        values = np.array([r[name].value for r in runs])
        errors = np.array([r[name].error for r in runs])
        assert float(np.mean(np.abs(values - values.mean()) <= 2 * errors)) >= 0.85, name
        assert 0.7 < errors.mean() / values.std(ddof=1) < 2.2, name


def test_too_few_items_for_an_error_bar_have_none() -> None:
    found = scored(drawn(12, 3), drawn(40, 3, 1))
    assert found["precision"].error is None and found["coverage"].error is None
    assert scored(drawn(15, 3), drawn(40, 3, 1))["precision"].error is not None


def test_the_same_seed_gives_the_same_scores() -> None:
    real, made = drawn(120, 3), drawn(120, 3, 1)
    assert scored(made, real, seed=3) == scored(made, real, seed=3)
    assert scored(made, real, seed=3)["frechet"].error != scored(made, real, seed=4)["frechet"].error


def test_too_few_items_are_said() -> None:
    few = scored(drawn(30, 3), drawn(30, 3, 1))
    assert not any(score.enough for score in few.values())
    assert "too few items, 100 are needed" in str(few["coverage"])
    assert few["coverage"].floor is None
    assert list(scored(drawn(5, 3), drawn(40, 3, 1))) == ["energy", "frechet"]
    assert scored(drawn(1, 3), drawn(40, 3, 1)) == {}
    assert gap(5, 40).startswith("too few items for precision, recall, density and coverage: 6 made and 6")
    assert gap(6, 6) == ""


def test_items_that_are_not_finite_are_refused() -> None:
    made = drawn(20, 3)
    made[4, 1] = math.nan
    with pytest.raises(DataError, match="1 of 20 made items are not finite"):
        scored(made, drawn(20, 3, 1))


# ---- the judge ----


def of_classes(numbers: list[int], c: int = 4, sure: float = 0.9) -> Tensor:
    rows = torch.full((len(numbers), c), (1 - sure) / (c - 1))
    rows[torch.arange(len(numbers)), torch.tensor(numbers)] = sure
    return rows


def judged(made: Tensor, real: Tensor, **more: Any) -> dict[str, Score]:
    known = (of_classes([0, 1, 2, 3, 3]), torch.tensor([0, 1, 2, 3, -1]))
    return {s.name: s for s in judge(("a", "b", "c", "d"), made, real, known, **more)}


def test_the_judge_counts_classes_and_names_those_left_out() -> None:
    real = of_classes([0, 1, 2, 3] * 25)
    found = judged(
        of_classes([0] * 59 + [1] + [3] * 40, sure=0.7), real, others=of_classes([0, 1, 2, 3] * 25)
    )
    reached = found["classes made"]
    assert (reached.value, reached.unit, reached.floor) == (3, "of 4", 4)
    assert reached.note.startswith(
        "never made: c; hardly made: b; the judge is right on 100.0% of 4 real items"
    )
    assert reached.parts == pytest.approx((0.59, 0.01, 0, 0.4))
    assert found["class shares"].value == pytest.approx(0.5 * (0.34 + 0.24 + 0.25 + 0.15))
    assert found["class shares"].floor == 0
    assert found["confidence"].value == pytest.approx(0.7)
    assert found["confidence"].floor == pytest.approx(0.9)
    assert "agreement" not in found


def test_a_judge_learns_and_is_the_same_for_the_same_seed() -> None:
    data = ec.read("digits")
    first, again, other = Classifier(data), Classifier(data), Classifier(data, seed=1)
    numbers = data.splits["test"]
    seen = first.of(data, numbers)
    assert data.labels is not None
    assert float((seen.argmax(1) == data.labels[numbers]).float().mean()) > 0.9
    assert torch.equal(seen, again.of(data, numbers))
    assert not torch.equal(seen, other.of(data, numbers))
    torch.testing.assert_close(seen.sum(1), torch.ones(len(seen)))


def test_a_judge_of_rows_and_of_large_pictures() -> None:
    ring = ec.read("ring", limit=2000)
    assert ring.labels is not None
    numbers = ring.splits["test"]
    right = Classifier(ring).of(ring, numbers).argmax(1) == ring.labels[numbers]
    assert float(right.float().mean()) > 0.95
    random = np.random.default_rng(0)
    pictures = random.integers(0, 255, (40, 50, 33), np.uint8)
    pictures[20:] //= 4
    large = ec.read((pictures, ["ab"[i // 20] for i in range(40)]))
    assert Classifier(large)(large.batch(large.splits["all"]).x).shape == (40, 2)


def test_data_that_cannot_have_a_judge() -> None:
    rows = np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32)
    assert "has no labels" in why_not(ec.read(rows))
    assert "the same label" in why_not(ec.read((rows, ["a"] * 40)))
    assert "different labels" in why_not(ec.read((rows, list(range(40)))))
    assert "needs 10 labelled training items" in why_not(ec.read((rows[:8], ["a", "b"] * 4)))
    assert why_not(ec.read((rows, ["a", "b"] * 20))) == ""


# ---- jobs ----


def trained(folder: Path, model: str, given: list[str] | None = None, steps: int = 3) -> ec.Run:
    data = ec.read("digits", given=given)
    built = ec.build(model, data, network="mlp", latent=4, hidden=(32,))
    for _ in ec.fit(built, data, steps=steps):
        pass
    return ec.Run.of(built, data).save(folder)


@pytest.fixture(scope="module")
def gan(tmp_path_factory: pytest.TempPathFactory) -> ec.Run:
    return trained(tmp_path_factory.mktemp("run") / "gan", "gan")


def words_of(path: Path) -> str:
    from html.parser import HTMLParser

    found: list[str] = []
    parser = HTMLParser()
    parser.handle_data = found.append  # type: ignore[method-assign]
    parser.feed(path.read_text("utf-8"))
    return " ".join(found)


def test_a_model_that_cannot_read_is_evaluated_and_reported(gan: ec.Run) -> None:
    scores = {s.name: s for s in evaluate(gan, judge=True)}
    assert gan.folder is not None
    assert list(scores) == [
        "energy", "frechet", "precision", "recall", "density", "coverage",
        "spectrum", "judge right", "classes made", "class shares", "confidence",
    ]  # fmt: skip
    assert all(s.n == 180 for s in scores.values())
    assert scores["judge right"].value > 0.85
    text = words_of(report(gan.folder))
    assert "Reconstructions" not in text
    assert "Latent space" not in text
    assert f"Made items are of {scores['classes made'].value:.0f} of 10 classes" in text
    assert "held-out real items" in text
    # after three steps next to nothing of the data is reached
    assert scores["coverage"].value < 0.1
    assert "large parts of the data are never made" in text
    assert "Sorted by a classifier" in text


def test_sorted_items_are_the_made_ones(gan: ec.Run) -> None:
    from ectype.jobs.decoding import items, numbered

    found = make(gan, items_of(gan), seed=3)
    shown = [gan.kind.unpack(a) for a in gan.kind.stored(found.x[:70])]
    for one, other in zip(shown, sample(gan, 70, seed=3), strict=True):
        assert np.abs(np.asarray(one, int) - np.asarray(other, int)).max() <= 1
    some = items(gan, numbered(gan, [69, 2, 31], seed=3))
    for number, one in zip([69, 2, 31], some, strict=True):
        assert np.abs(np.asarray(one, int) - np.asarray(shown[number], int)).max() <= 1


def test_without_a_judge_nothing_is_sorted(gan: ec.Run, tmp_path: Path) -> None:
    run = ec.load(gan.folder or tmp_path)
    run.folder = None
    names = [s.name for s in evaluate(run, count=60, judge=False)]
    assert names[-1] == "spectrum"
    assert "sorted" not in run.record


def test_items_made_for_a_label_are_asked_for_it(tmp_path: Path) -> None:
    run = trained(tmp_path / "vae", "vae", given=["label"], steps=1)
    scores = {s.name: s for s in evaluate(run, samples=2, count=20, made=50)}
    assert (scores["agreement"].n, scores["elbo"].n, scores["energy"].n) == (50, 20, 50)
    assert "sorted" not in run.record
    found = make(run, items_of(run, count=30), seed=0)
    data = items_of(run, count=30)
    assert data.labels is not None
    assert torch.equal(found.given["label"], data.labels)
    assert bool(found.kept["label"].all())


def test_labels_of_model_and_judge_are_matched_by_name() -> None:
    from types import SimpleNamespace

    from ectype.jobs.comparing import Made
    from ectype.jobs.conditioned import asked
    from ectype.kinds.label import Label
    from ectype.metrics.targets import Target

    run: Any = SimpleNamespace(conditions={"label": Label(["cat", "dog", "owl"])})
    own = Target(Label(["dog", "ant", "cat"]), torch.zeros(1, dtype=torch.int64), torch.ones(1) > 0)
    none = torch.zeros(4, 1)
    made = Made(none, none, {"label": torch.tensor([0, 1, 2, 1])}, {"label": torch.arange(4) < 3})
    found = asked(run, made, "label", own)
    assert found is not None
    assert found[0][:2].tolist() == [2, 0]
    assert found[1].tolist() == [True, True, False, False]
    assert asked(run, Made(none, none, {}, {}), "label", own) is None


def test_items_that_are_not_finite_become_a_warning(gan: ec.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run = ec.load(gan.folder or "")
    run.folder = None
    with torch.no_grad():
        next(p for n, p in run.model.named_parameters() if n.startswith("decoder")).fill_(math.inf)
    assert evaluate(run, count=20, judge=False) == []
    assert "items are not finite" in json.dumps(run.record["warnings"])


# ---- words ----


def score(name: str, value: float, floor: float, n: int = 500, unit: str = "") -> Score:
    return Score(
        name, value, unit, "higher", n, "test", floor=floor, floor_name=REAL, least=100, note="never made: 3"
    )


def test_the_report_says_in_words_what_is_made() -> None:
    scores = [score("classes made", 9, 10, unit="of 10"), score("coverage", 0.31, 0.97)]
    (text,) = sections.in_words(scores)
    assert text == (
        "Made items are of 9 of 10 classes; "
        "they reach 31% of the real items' neighbourhoods (real items: 97%)."
    )
    few = sections.in_words([score("coverage", 0.31, 0.97, n=30)])
    assert few[-1] == "There were too few items to trust these numbers: 30 of 100."
    assert sections.in_words([]) == []


def test_missing_classes_and_low_coverage_are_warned_of() -> None:
    def warned(*scores: Score) -> str:
        return "\n".join(warnings_of({"scores": [1]}, scores, Pictures()))

    assert "classes are missing: made items are of 9 of 10; never made: 3" in warned(
        score("classes made", 9, 10, unit="of 10")
    )
    assert "large parts of the data are never made: coverage is 0.31, and 0.97" in warned(
        score("coverage", 0.31, 0.97)
    )
    assert "far too often" in warned(score("class shares", 0.5, 0.05))
    good = [score("classes made", 10, 10), score("coverage", 0.8, 0.97), score("class shares", 0.2, 0.05)]
    assert warned(*good, score("coverage", 0.1, 0.97, n=30)) == ""

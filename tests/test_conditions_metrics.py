"""What is said about conditions: shuffle gap, agreement, diversity within a condition, values recognised."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import ectype as ec
from ectype.data.batch import Batch
from ectype.data.data import Condition, Data
from ectype.errors import DataError
from ectype.jobs.comparing import compared, make
from ectype.jobs.evaluate import evaluate
from ectype.jobs.inputs import Items, items_of
from ectype.jobs.pictures import Pictures
from ectype.jobs.report import _judged, warnings_of
from ectype.kinds.attributes import Attributes
from ectype.kinds.image import Image
from ectype.kinds.label import Label
from ectype.kinds.vector import Vector
from ectype.metrics import REAL, Score
from ectype.metrics.agreement import Answers, agreement, recognised
from ectype.metrics.agreement import told as judge_told
from ectype.metrics.conditions import BESIDE, gaps, shuffled, warning
from ectype.metrics.diversity import diversity, grouped
from ectype.metrics.eye import Eye
from ectype.metrics.space import Space
from ectype.metrics.targets import Target, target
from ectype.models import Autoencoder
from ectype.shapes import Row

ALL = torch.ones(200, dtype=torch.bool)


def answers(said: Tensor, true: Tensor, known: Tensor | None = None) -> Answers:
    return Answers(said, true, torch.ones(len(true), dtype=torch.bool) if known is None else known)


def agreed(name: str, kind: Any, made: Answers, own: Answers | None = None) -> dict[str, Score]:
    scores = agreement(name, kind, made, own or Answers(_truth(made, kind), made.true, made.known),
                       split="test", seed=0)  # fmt: skip
    return {score.name: score for score in scores}


def _truth(of: Answers, kind: Any) -> Tensor:
    return torch.eye(len(kind.classes))[of.true] if isinstance(kind, Label) else of.true


# ---- agreement ----


def test_a_copied_label_agrees_wholly_and_a_dealt_one_by_chance() -> None:
    kind, true = Label("abcd"), torch.arange(4).repeat(50)
    copied = agreed("label", kind, answers(torch.eye(4)[true], true))["agreement"]
    assert copied.value == 1
    assert copied.floor == pytest.approx(0.25)
    assert "the judge gets 100.0% on 200 held-out real items" in copied.note
    assert warning(copied) == ""
    dealt = true[torch.randperm(200, generator=torch.Generator().manual_seed(0))]
    chance = agreed("style", kind, answers(torch.eye(4)[dealt], true))["agreement: style"]
    assert abs(chance.value - 0.25) < 4 * (chance.error or 0)
    assert "made items do not heed 'style': agreement is" in warning(chance)
    assert "0.25 by chance" in warning(chance)


def test_only_items_that_were_asked_count() -> None:
    said, true = torch.tensor([0, 0, 1, 2, 1, 0] * 20), torch.tensor([0, 0, 1, 2, 2, 1] * 20)
    known = torch.tensor([True, True, True, True, True, False] * 20)
    made = answers(torch.eye(3)[said], true, known)
    found = agreed("label", Label("abc"), made)["agreement"]
    assert (found.value, found.n) == (pytest.approx(0.8), 100)
    assert found.floor == pytest.approx(0.4 * 0.4 + 0.4 * 0.2 + 0.2 * 0.4)
    assert agreed("label", Label("abc"), answers(torch.eye(3)[said], true, ~known & (said < 0))) == {}


def test_each_tag_has_its_own_number() -> None:
    kind = Attributes(["hat", "red", "round"])
    true = torch.stack([torch.arange(200) % 2, torch.arange(200) % 4 == 0, torch.ones(200)], 1).float()
    said = true.clone()
    said[:, 1] = 0.1  # never red
    found = agreed("tags", kind, answers(said, true))
    assert list(found) == ["agreement: tags=hat", "agreement: tags=red"]  # all are asked to be round
    assert [s.value for s in found.values()] == [1, 0.75]
    assert warning(found["agreement: tags=hat"]) == ""
    assert "do not heed 'tags=red'" in warning(found["agreement: tags=red"])


def test_numbers_agree_by_the_share_of_variance_explained() -> None:
    kind, true = Vector([0, 0], [1, 1]), torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
    assert agreed("at", kind, answers(true, true))["agreement: at"].value == pytest.approx(1)
    mean = agreed("at", kind, answers(true.mean(0).expand(200, 2), true), answers(true, true))[
        "agreement: at"
    ]
    assert mean.value == pytest.approx(0, abs=1e-6)
    assert "do not heed 'at'" in warning(mean)
    off = agreed("at", kind, answers(true + 0.5 * true.std(0, correction=0), true))["agreement: at"]
    assert off.value == pytest.approx(0.75, abs=1e-5)


def test_what_the_judge_cannot_tell_is_left_out() -> None:
    kind, true = Label("ab"), torch.arange(2).repeat(100)
    blind = answers(torch.eye(2)[true.flip(0)], true)
    assert agreed("label", kind, answers(torch.eye(2)[true], true), blind) == {}
    assert judge_told("label", kind, blind) is False
    assert judge_told("label", kind, answers(torch.eye(2)[true], true, ~ALL)) is None  # nobody has it
    assert not judge_told("label", kind, blind)
    assert judge_told("label", kind, answers(torch.eye(2)[true], true))


def test_values_are_recognised_where_they_are_the_commonest_answer() -> None:
    kind, true = Label("abcd"), torch.tensor([0, 0, 0, 1, 1, 1, 2, 2, 2] * 15)
    said = torch.tensor([0, 0, 1, 0, 0, 1, 2, 3, 2] * 15)
    real = answers(torch.eye(4)[true], true)
    (found,) = recognised("label", kind, answers(torch.eye(4)[said], true), real, split="test", seed=0)
    assert (found.value, found.unit, found.floor) == (2, "of 3", 3)
    assert found.note == "asked for and not recognised: b"
    assert warning(found) == (
        "2 of 3 values of 'label' are recognised in what is made, and 3 in real items; "
        "asked for and not recognised: b"
    )
    tags = Attributes(["hat", "red"])
    asked = torch.tensor([[1.0, 0], [1, 1]]).repeat(60, 1)
    (some,) = recognised("tags", tags, answers(torch.tensor([[1.0, 0], [1, 0]]).repeat(60, 1), asked),
                         answers(asked, asked), split="test", seed=0)  # fmt: skip
    assert (some.value, some.floor) == (1, 2)
    numbers = answers(asked, asked)
    assert recognised("at", Vector([0, 0], [1, 1]), numbers, numbers, split="test", seed=0) == []


# ---- diversity ----


def spread(made: Tensor, real: Tensor, groups: Tensor) -> list[Score]:
    return diversity("label", Space(Row((1,) * 3), real), made, real, groups, split="test", seed=0)


def test_diversity_is_one_for_the_data_and_scales_with_distances() -> None:
    real = torch.randn(300, 3, generator=torch.Generator().manual_seed(0))
    groups = torch.arange(300) % 5
    centre = torch.stack([real[groups == g].mean(0) for g in range(5)])[groups]
    (same,) = spread(real, real, groups)
    assert same.value == pytest.approx(1)
    (half,) = spread(centre + 0.25 * (real - centre), real, groups)
    assert half.value == pytest.approx(0.25, abs=1e-5)
    assert "items made under the same 'label' are much alike: diversity 0.25" in warning(half)
    (none,) = spread(centre, real, groups)
    assert none.value == pytest.approx(0, abs=1e-5)


def test_the_error_bar_of_diversity_is_that_of_new_draws() -> None:
    def draw(seed: int) -> Tensor:
        return torch.randn(200, 3, generator=torch.Generator().manual_seed(seed))

    groups = torch.arange(200) % 4
    found = [spread(draw(s), draw(1000 + s), groups)[0] for s in range(60)]
    values = torch.tensor([s.value for s in found])
    bars = torch.tensor([s.error or 0 for s in found])
    assert float(values.mean()) == pytest.approx(1, abs=0.02)
    assert 0.7 < float(values.std() / bars.mean()) < 1.4


def test_items_of_one_condition_are_a_group() -> None:
    assert grouped(torch.tensor([3, 1, 3, 1]), torch.tensor([True, True, True, False])).tolist() == [
        1,
        0,
        1,
        -1,
    ]
    tags = torch.tensor([[0.0, 1], [1, 1], [0, 1]])
    assert grouped(tags, torch.ones(3, dtype=torch.bool)).tolist() == [0, 1, 0]
    numbers = torch.randn(100, 1, generator=torch.Generator().manual_seed(0))
    tenths = grouped(numbers, torch.ones(100, dtype=torch.bool))
    assert tenths.bincount().tolist() == [10] * 10
    assert float(numbers[tenths == 0].max()) < float(numbers[tenths == 1].min())
    assert grouped(numbers, torch.zeros(100, dtype=torch.bool)).unique().tolist() == [-1]


def test_conditions_nobody_shares_have_no_diversity() -> None:
    x = torch.randn(50, 3)
    assert spread(x, x, torch.arange(50)) == []


# ---- the judge of several things at once ----


def told(n: int = 600, missing: float = 0.0) -> Data:
    """Points whose place says a class, two tags and a number, with some of each missing."""
    random = np.random.default_rng(0)
    rows = random.normal(size=(n, 2)).astype(np.float32)
    data = ec.read(rows)
    x = torch.from_numpy(rows)
    present = torch.from_numpy(random.random(n) > 0.2)
    height = torch.where(present, x[:, 0], missing).unsqueeze(1)
    data.given = {
        "side": Condition(Label(["left", "right"]), (x[:, 0] > 0).long(), present),
        "tags": Condition(Attributes(["high", "noise"]), torch.stack(
            [(x[:, 1] > 0).float(), torch.from_numpy(random.random(n) > 0.5).float()], 1), ALL[:1].expand(n)),
        "height": Condition(Vector([0.0], [1.0]), height, present),
    }  # fmt: skip
    return data


def test_one_eye_tells_classes_tags_and_numbers_and_passes_over_what_is_missing() -> None:
    data = told(missing=torch.nan)
    targets = {name: target(condition) for name, condition in data.given.items()}
    eye = Eye(data, targets)
    test = data.splits["test"]
    seen = eye.of(data, test)
    x = data.batch(test).x
    assert {k: tuple(v.shape[1:]) for k, v in seen.items()} == {"side": (2,), "tags": (2,), "height": (1,)}
    assert float((seen["side"].argmax(1) == (x[:, 0] > 0)).float().mean()) > 0.85
    assert float(((seen["tags"][:, 0] > 0.5) == (x[:, 1] > 0)).float().mean()) > 0.85
    assert float((seen["height"][:, 0] - x[:, 0]).square().mean()) < 0.1
    assert {k: len(v) for k, v in eye.of(data, test[:0]).items()} == {"side": 0, "tags": 0, "height": 0}


def test_an_eye_needs_something_to_learn_from() -> None:
    data = told(40)
    nothing = Target(Label("ab"), torch.zeros(40, dtype=torch.int64), torch.zeros(40, dtype=torch.bool))
    with pytest.raises(DataError, match="needs training items of which something is known"):
        Eye(data, {"label": nothing})
    with pytest.raises(DataError, match="tells labels, attributes and numbers from an item, no image"):
        Target(Image(1, (4, 4)), torch.zeros(40), torch.ones(40))


# ---- the shuffle gap ----


def trained(given: list[str], steps: int, model: str = "vae", source: str = "digits", **more: Any) -> ec.Run:
    data = ec.read(source, given=given, **more)
    built = ec.build(model, data, network="mlp", latent=4, hidden=(64,), prior="normal")
    for _ in ec.fit(built, data, steps=steps):
        pass
    return ec.Run.of(built, data)


@pytest.fixture(scope="module")
def heeding() -> ec.Run:
    return trained(["label"], 300)


@pytest.fixture(scope="module")
def ignoring() -> ec.Run:
    run = trained(["label"], 30)
    with torch.no_grad():
        for weight in run.model.conditioner.encoders.parameters():  # type: ignore[union-attr]
            weight.zero_()  # every label is read as the same
    return run


def gap_of(run: ec.Run, **more: Any) -> list[Score]:
    if not isinstance(run.model, Autoencoder):
        raise TypeError("a model that cannot read has no gap")
    run.model.eval()
    return gaps(run.model, list(items_of(run).batches(50)), samples=3, **more)


def test_a_model_that_ignores_its_condition_has_no_gap_and_a_warning(ignoring: ec.Run) -> None:
    (found,) = gap_of(ignoring)
    assert found.value == pytest.approx(0, abs=1e-4)
    assert warning(found).startswith("the condition 'label' is ignored: items are as probable under another")


def test_a_model_that_reads_its_condition_has_a_gap(heeding: ec.Run) -> None:
    (found,) = gap_of(heeding)
    assert found.name == "gap: label"
    assert found.value - 5 * (found.error or 0) > 0
    assert "95 % interval" in found.note
    assert warning(found) == ""
    (again,) = gap_of(heeding)
    assert again == found
    (other,) = gap_of(heeding, seed=1)
    assert other.value != found.value
    assert abs(other.value - found.value) < 5 * (found.error or 0)


def test_a_gap_whose_interval_holds_zero_is_warned_of() -> None:
    score = Score("gap: text", 1.0, "nats", "higher", 50, "test", error=0.6)
    assert "the condition 'text' is ignored" in warning(score)
    assert warning(replace(score, error=0.4)) == ""
    assert "the conditions are ignored" in warning(replace(score, name="gap: all conditions", value=-1.0))
    assert warning(replace(score, name="gap: text (guidance 2)")) == ""
    assert "the condition 'text' is misread: items are less probable" in warning(replace(score, value=-4.0))
    several = replace(score, floor_name=BESIDE)
    assert "the condition 'text' is ignored, or says nothing that the others do not" in warning(several)


def batches(n: int = 10) -> list[Batch]:
    number = torch.arange(n)
    whole = Batch(
        number.float().unsqueeze(1),
        {"a": number, "b": 100 + number},
        {"a": number != 3, "b": torch.ones(n, dtype=torch.bool)},
        index=number,
    )
    return [
        replace(whole, x=whole.x[r], given={k: v[r] for k, v in whole.given.items()},
                kept={k: v[r] for k, v in whole.kept.items()}, index=number[r])
        for r in (slice(0, 6), slice(6, n))
    ]  # fmt: skip


def test_shuffling_leaves_nobody_its_own_and_moves_nothing_else() -> None:
    before, after = batches(), batches()
    found, counts = shuffled(after, ["a"], seed=0)
    dealt = torch.cat([b.given["a"] for b in found])
    number = torch.arange(10)
    assert counts.tolist() == [i != 3 for i in range(10)]
    assert dealt[3] == 3
    assert bool((dealt != number)[counts].all())
    assert dealt.sort().values.tolist() == number.tolist()
    for one, two, three in zip(before, after, found, strict=True):
        assert torch.equal(one.given["a"], two.given["a"])  # what was given is not changed
        assert torch.equal(one.given["b"], three.given["b"])
        assert torch.equal(one.x, three.x)
    together, _ = shuffled(batches(), ["a", "b"], seed=0)
    pairs = [(b.given["b"] - b.given["a"]).tolist() for b in together]
    assert set(sum(pairs, [])) == {100}  # several are dealt out together


def test_few_items_do_not_say_that_a_condition_is_ignored() -> None:
    score = Score("gap: text", 4.0, "nats", "higher", 24, "test", error=3.0, least=100)
    assert warning(score) == "whether the condition 'text' is read cannot be told from 24 items (4 ± 3 nats)"
    assert "cannot be told from 24 items" in warning(replace(score, value=-0.1))
    assert "is ignored" in warning(replace(score, value=-0.01, error=0.02))
    assert "is ignored" in warning(replace(score, n=200))


def test_what_few_items_leave_no_doubt_of_is_said() -> None:
    score = Score("diversity: text", 0.05, "", "neither", 60, "test", error=0.005, least=100)
    assert "items made under the same 'text' are much alike" in warning(score)
    for unsure in (replace(score, error=0.2), replace(score, error=0.0), replace(score, n=10)):
        assert warning(unsure) == ""
    lone = Score("agreement", 0.3, "", "higher", 24, "test", error=0.1, floor=0.2, least=100)
    assert warning(lone) == "whether made items heed 'label' cannot be told from 24 items"
    assert warning(replace(lone, value=0.9)) == ""
    covered = Score(
        "coverage", 0.05, "", "higher", 60, "test", error=0.02, floor=0.9, floor_name=REAL, least=100
    )
    assert any("large parts of the data are never made" in said for said in _judged(covered))
    assert not _judged(replace(covered, error=None))


@pytest.mark.parametrize("model", ["gan", "ae"])
def test_a_condition_that_no_judge_can_tell_is_said_to_be_one(model: str, caplog: Any) -> None:
    random = np.random.default_rng(0)
    points, dealt = random.normal(size=(400, 3)).astype(np.float32), random.integers(0, 3, 400)
    data = ec.read((points, dealt), given="label")
    built = ec.build(model, data, network="mlp", latent=2, hidden=(8,))
    for _ in ec.fit(built, data, steps=2):
        pass
    run = ec.Run.of(built, data)
    with caplog.at_level("INFO", logger="ectype"):
        for _ in range(2):  # it is said anew, and stands in the record once
            items = Items(data, data.splits["all"], "all")
            scores = {s.name for s in compared(run, items, data, seed=0, judged=True)}
    assert not scores & {"agreement", "values recognised: label", "classes made", "class shares"}
    said = [w for w in run.record["warnings"] if "nothing tells whether made items heed 'label'" in w]
    assert len(said) == 1 and said[0] in caplog.text
    assert said[0] in warnings_of(run.record, [], Pictures())


def test_items_of_one_class_say_nothing_about_it(ignoring: ec.Run) -> None:
    items = items_of(ignoring)
    assert items.labels is not None
    one = replace(items, indices=items.indices[items.labels == 3])
    assert gaps(ignoring.model, list(one.batches(50)), samples=1) == []  # type: ignore[arg-type]


def test_a_condition_of_fewer_than_two_items_has_no_gap(heeding: ec.Run) -> None:
    lone = next(items_of(heeding, count=1).batches())
    assert gaps(heeding.model, [lone], samples=1) == []  # type: ignore[arg-type]


# ---- the jobs ----


def test_evaluate_measures_and_warns(ignoring: ec.Run, caplog: Any) -> None:
    with caplog.at_level("INFO", logger="ectype"):
        scores = {s.name: s for s in evaluate(ignoring, samples=2)}
    assert {"gap: label", "agreement", "diversity: label", "values recognised: label"} <= set(scores)
    assert "warning: the condition 'label' is ignored" in caplog.text
    said = warnings_of(ignoring.record, list(scores.values()), Pictures())
    assert sum("the condition 'label' is ignored" in line for line in said) == 1
    assert sum("do not heed 'label'" in line for line in said) == 1
    assert not any("gap: label is no better" in line for line in said)


def test_a_model_without_a_bound_has_no_gap() -> None:
    scores = {s.name for s in evaluate(trained(["label"], 2, "gan"), judge=False)}
    assert "diversity: label" in scores
    assert not {s for s in scores if s.startswith("gap") or s.startswith("agreement")}


def test_guidance_is_measured_beside_and_not_instead(heeding: ec.Run, tmp_path: Path) -> None:
    run = ec.load(heeding.save(tmp_path / "run").folder or tmp_path)
    plain = {s.name: s.value for s in evaluate(run, samples=1)}
    far = {s.name: s for s in evaluate(run, guidance=3)}
    assert all(name.endswith(" (guidance 3)") for name in far)
    assert "elbo (guidance 3)" not in far
    assert far["diversity: label (guidance 3)"].value != plain["diversity: label"]
    kept = {s["name"] for s in run.record["scores"]}
    assert set(plain) | set(far) <= kept
    assert not any("guidance" in w for w in warnings_of(run.record, list(far.values()), Pictures()))


def test_conditions_of_every_sort_are_judged(caplog: Any) -> None:
    data = told()
    model = ec.build("vae", data, network="mlp", latent=2, hidden=(64,), prior="normal")
    for _ in ec.fit(model, data, steps=300):
        pass
    run = ec.Run.of(model, data)
    items = Items(data, data.splits["all"], "all")
    found = {s.name: s for s in compared(run, items, data, seed=0, judged=True)}
    assert found["agreement: side"].value > 0.9
    assert found["agreement: tags=high"].value > 0.9
    assert found["agreement: height"].value > 0.7
    assert "agreement: tags=noise" not in found  # no judge can see it
    assert found["values recognised: side"].floor_name == REAL
    assert {"diversity: side", "diversity: tags", "diversity: height"} <= set(found)
    own = make(run, items, seed=0)
    assert list(own.given) == ["side", "tags", "height"]
    assert torch.equal(own.kept["side"], data.given["side"].present)

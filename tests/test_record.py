"""Items of several parts: stored bytes, missing parts, their likelihood, completion, and the jobs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

import ectype as ec
from ectype.assembly import build
from ectype.data.data import Data
from ectype.data.fitted import read_with
from ectype.data.joint import apart
from ectype.data.reading import read, reread
from ectype.errors import DataError, EctypeError, ModelFileError, UsageError
from ectype.jobs.candidates import CANDIDATES
from ectype.jobs.comparing import Made, compared
from ectype.jobs.complete import complete
from ectype.jobs.conditioned import parted
from ectype.jobs.inputs import Items
from ectype.kinds import restored, state_of
from ectype.kinds.attributes import Attributes
from ectype.kinds.image import Image
from ectype.kinds.label import Label
from ectype.kinds.record import Record
from ectype.kinds.text import Text
from ectype.kinds.vector import Vector
from ectype.likelihoods import each
from ectype.likelihoods.normal import NormalDistribution, normal_kl
from ectype.likelihoods.product import Product
from ectype.metrics.fidelity import fidelity_of
from ectype.metrics.space import Space
from ectype.models.vae import _PULL, VAE, _eased
from ectype.noise import PerItem
from ectype.priors.flow import Flow
from ectype.runs import Run
from ectype.shapes import Grid, Joint, Row, Tokens, shape_state

KINDS = {
    "image": Image(3, (8, 9)),
    "deep": Image(1, (3, 3), bits=16),
    "caption": Text(["a", "red", "dot"], 5, unit="words"),
    "label": Label(["x", "y"]),
    "place": Vector([1.0, 2.0], [2.0, 1.0]),
    "tags": Attributes(["new", "old"]),
}
RECORD = Record(KINDS)
SMALL: dict[str, Any] = {"latent": 3, "joined": 16, "width": 4, "units": 8, "hidden": (8,)}


def picture(level: int, mode: str = "RGB", size: tuple[int, int] = (9, 8)) -> Pillow.Image:
    return Pillow.new(mode, size, level if mode != "RGB" else (level, 0, 255 - level))


def item(i: int = 0) -> dict[str, Any]:
    deep = Pillow.fromarray(np.full((3, 3), 40000 + i, np.uint16))
    return {
        "image": picture(10 * i),
        "deep": deep,
        "caption": "a red dot",
        "label": "y",
        "place": [0.5 + i, -3.0],
        "tags": ["old"],
    }


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(
        bool(np.all(np.asarray(one[name]) == np.asarray(other[name]))) for name in one
    )


def captioned(n: int = 60, missing: int = 0) -> Data:
    """Pictures of one level each, whose caption says whether it is bright; the last ones have none."""
    random = np.random.default_rng(0)
    levels = random.integers(0, 40, n) + 200 * random.integers(0, 2, n)
    words: list[Any] = ["a bright dot" if level > 127 else "a dark dot" for level in levels]
    words[n - missing :] = [None] * missing
    pictures = np.broadcast_to(levels[:, None, None], (n, 8, 8)).astype(np.uint8)
    return read((np.ascontiguousarray(pictures), {"caption": words}), joint="caption:words")


def trained(data: Data, steps: int = 3, **options: Any) -> Run:
    model = build("vae", data, **{**SMALL, **options})
    for _ in ec.fit(model, data, steps=steps, batch=16, seed=0):
        pass
    return Run.of(model.eval(), data)


def test_a_record_comes_back_and_so_do_its_missing_parts() -> None:
    for names in (list(KINDS), ["caption"], ["image", "tags"]):
        one = {name: item()[name] for name in names}
        stored = RECORD.pack(one)
        assert stored.dtype == np.uint8 and stored.ndim == 1
        back = RECORD.unpack(stored)
        assert list(back) == [name for name in KINDS if name in names]
        assert same(RECORD.unpack(RECORD.pack({**one, "label": one.get("label")})), back)
        x = RECORD.tensor(torch.from_numpy(stored)[None])
        assert x.shape == (1, *RECORD.shape.form) and x.dtype == torch.float32
        seen = RECORD.seen(torch.from_numpy(stored)[None])
        assert seen.shape == x.shape and seen.dtype == torch.bool
        assert (RECORD.stored(torch.where(seen, x, torch.nan))[0] == stored).all()


def test_one_item_is_what_it_is_among_many() -> None:
    stored = torch.from_numpy(np.stack([RECORD.pack(item(i)) for i in range(5)]))
    assert torch.equal(RECORD.tensor(stored)[2:3], RECORD.tensor(stored[2:3]))


@pytest.mark.parametrize(
    ("one", "says"),
    [
        ({}, "a record without any part; give at least one of image, "),
        ({"caption": None}, "a record without any part"),
        ({"captoin": "a dot"}, "there is no part 'captoin'; did you mean 'caption'"),
        ({"caption": "a blue dot"}, "the words 'blue' were in no text"),
        ("a dot", "'a dot' is no record, such as"),
    ],
)
def test_what_does_not_fit_is_said(one: Any, says: str) -> None:
    with pytest.raises(DataError, match=says):
        RECORD.pack(one)


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({"a": Label(["x"])}, "two parts or more"),
        ({"a": Label(["x"]), "b": RECORD}, "'b' is a record itself"),
        ({"a": Label(["x"]), "../b": Label(["y"])}, r"cannot be called '\.\./b'"),
        ({"a": Label(["x"]), "..": Label(["y"])}, r"cannot be called '\.\.'"),
        ({"a": Label(["x"]), "": Label(["y"])}, "cannot be called ''"),
    ],
)
def test_records_that_are_none(parts: dict[str, Any], says: str) -> None:
    with pytest.raises(DataError, match=says):
        Record(parts)


def test_a_saved_record_is_the_same_and_a_hostile_one_is_refused() -> None:
    assert restored(state_of(RECORD)).state() == RECORD.state()
    label = state_of(Label(["x"]))
    inner = state_of(RECORD)
    for state in (
        {},
        {"parts": 3},
        {"parts": {"a": label}},
        {"parts": {"a": label, "b": inner}},
        {"parts": {"a": label, "/etc/b": label}},
        {"parts": {"a": label, "b": {"name": "os.system", "state": {}}}},
        {"parts": {"a": label, "b": {"name": "image", "state": {"channels": 9}}}},
        {"parts": {"a": label, "b": 7}},
    ):
        with pytest.raises(ModelFileError, match="describes no record kind"):
            Record.restore(state)
    # nothing is allocated for a size that is only claimed
    huge = {"name": "image", "state": {"channels": 3, "size": [10**6, 10**6], "bits": 8, "binarise": None}}
    assert Record.restore({"parts": {"a": label, "b": huge}}).shape.sites > 10**12


def test_files_and_sheet(tmp_path: Path) -> None:
    items = [item(0), {"image": picture(3)}, item(2)]
    paths = RECORD.write(items, tmp_path)
    assert all(path.is_file() for path in paths)
    assert [p.name for p in sorted((tmp_path / "image").iterdir())] == ["0000.png", "0001.png", "0002.png"]
    assert [p.name for p in sorted((tmp_path / "caption").iterdir())] == ["0000.txt", "0002.txt"]
    assert (tmp_path / "label" / "labels.txt").read_text() == "y\ny\n"
    sheet = RECORD.sheet(items, 2)
    assert sheet.width < 4 * RECORD.sheet([items[0]], 2).width


def test_the_shape_splits_and_is_told() -> None:
    shape = Joint((Grid(2, (3, 1)), Tokens(5), Row((1, 1))))
    assert shape.form == (9,) and shape.sites == 9
    pieces = shape.split(torch.arange(18.0).view(2, 9))
    assert [tuple(p.shape) for p in pieces] == [(2, 2, 3, 1), (2,), (2, 2)]
    assert [p[1].flatten()[0].item() for p in pieces] == [9, 15, 16]
    assert shape_state(shape)["parts"][1] == {"name": "Tokens", "vocabulary": 5, "size": ()}  # type: ignore[index]


def test_the_product_is_the_sum_of_its_parts() -> None:
    shape = Joint((Grid(3, (2, 2)), Tokens(4, (3,)), Row((1, 1)), Tokens(2)))
    factors = (("logistic", {"levels": 256}), ("categorical", {}), ("normal", {}), ("categorical", {}))
    make = Product(shape, factors=factors)
    h = torch.randn(5, *make.numbers)
    p = make(h)
    x = torch.cat(
        [torch.rand(5, 12), torch.randint(4, (5, 3)).float(), torch.randn(5, 2), torch.randint(2, (5, 1))], 1
    )
    pieces = h.split([30 * 4, 12, 2, 2], 1)
    alone = [
        part(piece.reshape(5, *form)).log_prob(y)
        for part, piece, form, y in zip(make.factors, pieces, make.forms, shape.split(x), strict=True)
    ]
    log_p = p.log_prob(x)
    assert log_p.shape == x.shape
    assert torch.allclose(each(log_p), sum(each(a) for a in alone), atol=1e-4)  # type: ignore[arg-type]
    # what is not seen weighs nothing, pixel by pixel too
    seen = torch.ones_like(x, dtype=torch.bool)
    seen.view(5, -1)[:, :12] = torch.tensor([1, 0, 0, 1] * 3).bool()
    pixels = alone[0].reshape(5, 4)[:, [0, 3]].sum(1)
    assert torch.allclose(each(log_p, seen), pixels + sum(each(a) for a in alone[1:]), atol=1e-4)  # type: ignore[arg-type]


def test_numbers_are_shown_by_their_mean_and_tokens_are_drawn() -> None:
    shape = Joint((Row((1, 1)), Tokens(50, (4,))))
    p = Product(shape, factors=(("normal", {}), ("categorical", {})))(torch.zeros(3, 202))
    one, other = (shape.split(p.show(PerItem(seed, range(3)))) for seed in (0, 1))
    assert torch.equal(one[0], shape.split(p.mean)[0]) and torch.equal(one[0], other[0])
    assert not torch.equal(one[1], other[1])
    assert torch.equal(p.show(PerItem(0, range(3)))[1:2], p.show(PerItem(0, range(3)))[1:2])
    assert not torch.equal(shape.split(p.draw(PerItem(0, range(3))))[0], one[0])


def test_columns_become_parts() -> None:
    data = captioned(missing=5)
    assert isinstance(data.kind, Record) and list(data.kind.parts) == ["image", "caption"]
    text = data.kind.parts["caption"]
    assert isinstance(text, Text) and text.unit == "words"
    batch = data.batch([0, 59])
    assert batch.seen is not None
    pixels, words = data.kind.shape.split(batch.seen)
    assert pixels.all() and torch.equal(words, data.kind.shape.split(batch.x)[1] > 0)  # padding is not data
    assert words.any(1).tolist() == [True, False]
    assert data.items([0])[0]["caption"] in ("a bright dot", "a dark dot")
    assert list(data.items([59])[0]) == ["image"]
    assert any("5 of 60 items have no caption" in note for note in data.notes)
    plain = read(np.stack([np.asarray(i["image"]) for i in data.items(range(60))]))
    assert all(torch.equal(data.splits[name], plain.splits[name]) for name in plain.splits)


def test_columns_that_cannot_be_parts() -> None:
    pictures = np.zeros((4, 8, 8), np.uint8)
    pictures[1:, 0] = 200
    columns = {"image": ["a", "b", "a", "b"], "n": [1, 2, 3, 4]}
    with pytest.raises(UsageError, match="the items themselves are called 'image'"):
        read((pictures, columns), joint="image")
    with pytest.raises(UsageError, match="'n' is asked for twice"):
        read((pictures, columns), joint="n", given="n")
    with pytest.raises(UsageError, match="there is no 'm'"):
        read((pictures, columns), joint="m")
    assert isinstance(read((pictures, columns), joint="name=image").kind, Record)


def test_a_source_without_a_part_is_read_without_it() -> None:
    data = captioned()
    again = read_with(np.zeros((3, 8, 8), np.uint8), data.kind)
    assert [list(one) for one in again.items(range(3))] == [["image"]] * 3
    assert any("has no caption: read without" in note for note in again.notes)
    with pytest.raises(DataError, match="has no caption; complete it"):
        read_with(np.zeros((3, 8, 8), np.uint8), data.kind, strict=True)


def test_the_data_is_found_again_with_its_parts() -> None:
    data = read("shapes", joint=["caption", "size:number"])
    again = reread(data.source)
    assert again.kind.state() == data.kind.state()
    assert torch.equal(again.batch([7]).x, data.batch([7]).x)


def test_a_likelihood_of_one_part_is_that_of_all_parts_that_are_no_choices() -> None:
    data = read("shapes", joint=["caption", "size:number"], size=8)
    model = build("vae", data, **SMALL, likelihood="normal", floor=0.3)
    picture, caption, size = model.likelihood.factors  # type: ignore[union-attr,misc]
    assert [type(part).__name__ for part in (picture, size)] == ["Normal", "Normal"]
    assert type(caption) is type(build("vae", data, **SMALL).likelihood.factors[1])  # type: ignore[union-attr,index]
    assert picture.scale.floor == size.scale.floor == pytest.approx(math.log(0.3))  # type: ignore[union-attr]
    picture, _, size = build("vae", data, **SMALL, likelihood="normal").likelihood.factors  # type: ignore[union-attr,misc]
    assert picture.scale.floor == pytest.approx(math.log(0.2))  # a picture's own  # type: ignore[union-attr]
    assert size.scale.floor == pytest.approx(math.log(1e-3))  # type: ignore[union-attr]
    with pytest.raises(UsageError, match="the values of a record have none; use product"):
        build("vae", data, **SMALL, likelihood="bernoulli")


def test_what_several_parts_cannot_be_used_with_is_said() -> None:
    data = captioned()
    for family in ("gan", "vaegan"):
        with pytest.raises(UsageError, match="no gradient through a choice of tokens"):
            build(family, data, **SMALL)
    for options, says in (
        ({"network": "conv"}, "conv needs a picture"),
        ({"likelihood": "categorical"}, "categorical needs tokens, and this data is a Grid"),
        ({"prior": "vamp"}, "pseudo-inputs of one kind"),
        ({"complete": -1.0}, "complete is a weight, 0 or more"),
    ):
        with pytest.raises(UsageError, match=says):
            build("vae", data, latent=3, **options)
    with pytest.raises(UsageError, match="for items of several parts"):
        build("vae", read("digits"), complete=1.0)


def test_completion_moves_only_what_reads_parts() -> None:
    data = captioned()
    model = build("vae", data, **SMALL, prior="normal")
    assert isinstance(model, VAE)
    with torch.no_grad():
        for p in model.parameters():
            p += 0.1 * torch.randn(p.shape)
    batch = data.batch(range(16))
    q = model.posterior(batch.x, None, batch.seen)
    assert model.joint is not None
    gap = model._gap(model.joint, batch, q, None, torch.Generator().manual_seed(0))
    assert gap.shape == (16,) and bool((gap > 0).all())
    gap.sum().backward()
    assert all(p.grad is None or not p.grad.any() for p in model.decoder.parameters())
    assert model.encoder.nulls.grad is not None and bool(model.encoder.nulls.grad.any())  # type: ignore[union-attr]
    # with one part left there is nothing to leave out
    alone = data.kind.values_of(torch.tensor([[True, False]]))  # type: ignore[attr-defined]
    seen = alone.expand(16, -1)
    q = model.posterior(batch.x, None, seen)
    from dataclasses import replace

    lone = model._gap(model.joint, replace(batch, seen=seen), q, None, torch.Generator().manual_seed(0))
    assert torch.allclose(lone, torch.zeros(16), atol=1e-5)


@pytest.mark.parametrize(("far", "factor"), [(0.1, 1.0), (300.0, None)])
def test_what_a_guess_from_a_part_is_off_by_pulls_gently(far: float, factor: float | None) -> None:
    """The value is the divergence, and its gradient in the same direction, as long as it is or shortened."""
    mean, scale = torch.randn(5, 4) * far, 0.1 * torch.randn(5, 4) - 1
    of = NormalDistribution(torch.zeros(5, 4), torch.full((5, 4), -1.0))
    leaves = [x.clone().requires_grad_() for x in (mean, scale)]
    plain, eased = normal_kl(of, NormalDistribution(*leaves)).sum(1), _eased(of, NormalDistribution(*leaves))
    torch.testing.assert_close(plain, eased)
    one, other = (torch.cat(torch.autograd.grad(loss.sum(), leaves), 1) for loss in (plain, eased))
    if factor is not None:
        torch.testing.assert_close(other, one)
    assert torch.allclose(torch.cosine_similarity(one, other), torch.ones(5), atol=1e-5)
    assert bool((other.norm(dim=1) <= _PULL * 4**0.5 * 1.001).all())
    with torch.no_grad():
        torch.testing.assert_close(_eased(of, NormalDistribution(mean, scale)), plain.detach())


def test_a_narrow_guess_that_is_nearly_right_is_pulled_in_full() -> None:
    width = 0.02
    of = NormalDistribution(torch.zeros(5, 4), torch.full((5, 4), width).log())
    mean = torch.full((5, 4), width).requires_grad_()
    guess = NormalDistribution(mean, of.log_scale)
    (plain,) = torch.autograd.grad(normal_kl(of, guess).sum(), mean)
    torch.testing.assert_close(torch.autograd.grad(_eased(of, guess).sum(), mean)[0], plain)
    assert bool((plain.norm(dim=1) > _PULL * 4**0.5).all()), "or a bound on the pull itself would pass"


def test_a_judge_says_whether_parts_go_together() -> None:
    random = np.random.default_rng(0)
    sides = random.integers(0, 2, 600)
    rows = (np.stack([6 * sides - 3, 3 - 6 * sides], 1) + random.normal(size=(600, 2))).astype(np.float32)
    words = ["right" if side else "left" for side in sides]
    data = read((rows, {"side": words}), joint="side")
    shown = apart(data)
    assert shown.kind.name == "vector" and list(shown.given) == ["side"]
    at = torch.arange(5)
    assert [data.items(at)[i]["side"] for i in range(5)] == words[:5]
    assert torch.equal(shown.batch(at).x, data.kind.shape.split(data.batch(at).x)[0])  # type: ignore[attr-defined]
    told = shown.given["side"]
    assert [told.kind.unpack(row) for row in told.stored[:5].numpy()] == words[:5] and bool(
        told.present.all()
    )
    for steps, low, high in ((1, 0.2, 0.8), (800, 0.8, 1.0)):
        run = trained(data, steps, prior="normal", hidden=(32,), joined=64)
        items = Items(data, data.splits["all"], "all")
        found = {s.name: s for s in compared(run, items, data, seed=0, judged=True)}
        assert low < found["agreement: side"].value <= high
    assert apart(shown) is shown


def test_texts_reach_the_judge_of_parts_up_to_their_end() -> None:
    data = captioned()
    run = trained(data, 1)
    batch = data.batch(data.splits["all"][:20])
    image, caption = data.kind.shape.split(batch.x)  # type: ignore[attr-defined]
    dirty = torch.where(caption == 0, torch.full_like(caption, 3.0), caption)
    longer = torch.cat([image.reshape(20, -1), dirty.reshape(20, -1)], 1)
    _, made = parted(run, Made(longer, batch.x, {}, {}))
    assert torch.equal(made.given["caption"], caption.long()) and bool(made.kept["caption"].all())
    assert torch.equal(made.x, image) and not made.same


def test_a_part_completes_the_other_and_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    sides = random.integers(0, 2, 300)
    rows = (np.stack([6 * sides - 3, 3 - 6 * sides], 1) + random.normal(size=(300, 2))).astype(np.float32)
    data = read((rows, {"side": ["right" if side else "left" for side in sides]}), joint="side")
    run = trained(data, 1500, prior="normal", hidden=(32,), joined=64)
    made = complete(run, known={"side": "right"}, draws=128, seed=3)
    assert [one["side"] for one in made] == ["right"] * 128
    assert same(made[1], complete(run, known={"side": "right"}, draws=2, seed=3)[1])
    assert np.mean([one["vector"][0] > 0 for one in made]) > 0.75
    assert np.mean([one["vector"][0] < 0 for one in complete(run, known={"side": "left"}, draws=128)]) > 0.75
    for place, side in (([3, -3], "right"), ([-3, 3], "left")):
        answers = complete(run, known={"vector": place}, draws=16)  # type: ignore[dict-item]
        assert np.mean([one["side"] == side for one in answers]) > 0.8
        assert answers[0]["vector"].tolist() == place
    # a guess that says nothing: what is known chooses among the candidates
    nothing = NormalDistribution(torch.zeros(1, run.model.latent), torch.zeros(1, run.model.latent))
    monkeypatch.setattr(VAE, "posterior", lambda *_: nothing)
    for known in ({"side": "right"}, {"side": "left"}):
        blind = complete(run, known=known, draws=128)
        assert np.mean([(one["vector"][0] > 0) == (known["side"] == "right") for one in blind]) > 0.75
    monkeypatch.undo()
    own = complete(run, data, known=["vector"], draws=2, count=3, split="all")  # type: ignore[arg-type]
    assert len(own) == 6 and (own[0]["vector"] == data.items([0])[0]["vector"]).all()


def test_completing_says_what_it_needs() -> None:
    data = captioned(missing=60 - 1)
    run = trained(data, 1)
    whole = captioned()
    for options, says in (
        ({"known": {"captoin": "x"}}, "there is no part 'captoin'; did you mean 'caption'"),
        ({"known": ["image", "caption"]}, "some of the parts are known and some are not"),
        ({"known": []}, "some of the parts are known and some are not"),
        ({"known": {"caption": "a purple dot"}}, "the words 'purple' were in no text"),
        ({"known": ["image"], "draws": 0}, "draws is a number from 1"),
        ({"known": ["image"], "given": {"label": "1"}}, "leave out given"),
        ({"known": {"image": picture(0)}, "given": {"label": "1"}}, "cannot be given 'label'"),
        ({"known": {"image": picture(0)}, "source": "digits"}, "leave out the source, or the values"),
    ):
        with pytest.raises(EctypeError, match=says):
            complete(run, **options)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="without --complete 0"):
        complete(trained(whole, 1, complete=0.0), known=["image"])
    digits = read("digits")
    one = Run.of(build("vae", digits, network="mlp", hidden=(4,), latent=2), digits)
    with pytest.raises(UsageError, match="one part only: train with --joint"):
        complete(one, known=["image"])


def test_every_job_takes_several_parts(tmp_path: Path) -> None:
    data = captioned(missing=7)
    run = trained(data, 2).save(tmp_path / "run")
    again = ec.load(tmp_path / "run")
    items = ec.sample(again, 3, out=tmp_path / "samples")
    assert [list(one) for one in items] == [["image", "caption"]] * 3
    assert all(same(a, b) for a, b in zip(items, ec.sample(run, 5), strict=False))
    ec.sample(again, 2, out=tmp_path / "samples.npz")
    with np.load(tmp_path / "samples.npz") as arrays:
        assert arrays["items.image"].shape == (2, 8, 8) and arrays["items.caption"].shape == (2,)
    back = ec.reconstruct(again, data, split="all", out=tmp_path / "back")  # type: ignore[arg-type]
    assert len(back) == 60 and set(back[-1]) == {"image", "caption"}
    scores = {s.name: s for s in ec.evaluate(again, data, split="all", samples=2)}  # type: ignore[arg-type]
    assert scores["image psnr"].n == 60 and scores["caption right"].n == 53
    assert {"elbo", "bits/dim", "energy", "caption exact"} <= set(scores)
    ec.interpolate(again, steps=3)
    done = complete(again, data, known=["caption"], draws=2, count=3, split="all", out=tmp_path / "out")  # type: ignore[arg-type]
    assert len(done) == 6 and (tmp_path / "out" / "image" / "0005.png").is_file()
    assert [one["caption"] for one in done[::2]] == [one["caption"] for one in data.items(range(3))]


def test_scores_of_parts_are_those_of_the_part() -> None:
    x = RECORD.tensor(torch.from_numpy(np.stack([RECORD.pack(item(i)) for i in range(4)])))
    scores = {s.name: s for s in fidelity_of(RECORD, [(x, x)])}
    assert scores["caption exact"].value == scores["label right"].value == scores["caption right"].value == 1
    assert scores["place mse"].value == 0 and scores["image ssim"].value == pytest.approx(1)
    y = x.clone()
    start = KINDS["image"].shape.sites + KINDS["deep"].shape.sites
    y[0, start] = 3 if x[0, start] != 3 else 2  # the first of three words and an end
    y[:, start + 4] = 2  # after the end nothing counts
    scores = {s.name: s for s in fidelity_of(RECORD, [(x, y)])}
    assert scores["caption exact"].value == 0.75
    assert scores["caption right"].value == pytest.approx(1 - 0.25 / 4)
    gone = torch.where(RECORD.values_of(torch.tensor([[False] * 5 + [True]])), x, torch.nan)
    assert [s.name for s in fidelity_of(RECORD, [(gone, x)])] == ["tags mse"]


def test_the_space_weighs_parts_alike() -> None:
    shape = Joint((Row((1,)), Row((1,))))
    x = torch.randn(500, 2) * torch.tensor([1.0, 1000.0])
    spread = Space(shape, x)(x).var(0)
    assert torch.allclose(spread, torch.ones(2), atol=0.2)


@pytest.mark.parametrize("network", ["joint", "mlp"])
def test_any_network_of_records_completes(network: str) -> None:
    sizes = SMALL if network == "joint" else {"hidden": (8,), "latent": 3}
    data = captioned()
    model = build("vae", data, network=network, prior="normal", **sizes)
    made = complete(Run.of(model.eval(), data), known={"caption": "a dark dot"}, draws=2)
    assert [one["caption"] for one in made] == ["a dark dot"] * 2


def test_a_draw_depends_on_seed_item_and_its_number_alone() -> None:
    """Also of items drawn anew each time, on either side of a chunk."""
    random = np.random.default_rng(0)
    pictures = random.integers(0, 256, (40, 6, 6)).astype(np.uint8)
    words = {"caption": ["a dot" if i % 2 else "a line" for i in range(40)]}
    data = read((pictures, words), joint="caption:words", binarise="dynamic")
    run = trained(data, 1, prior="normal")
    asked: dict[str, Any] = {"known": ["image"], "count": 23, "split": "all", "noise": True, "seed": 5}
    three, four = (complete(run, data, draws=draws, **asked) for draws in (3, 4))
    for i in range(23):
        assert all(same(three[3 * i + k], four[4 * i + k]) for k in range(3))


def test_what_is_known_is_judged_without_decoding_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    from ectype.jobs.candidates import Search

    data = captioned()
    model = build("vae", data, **SMALL, prior="normal").eval()
    record, batch = data.kind, data.batch([0])
    assert isinstance(record, Record)
    for name in ("image", "caption"):
        seen = record.values_of(torch.tensor([[part == name for part in record.parts]]))
        search = Search(model, batch.x, None, seen)
        z = torch.randn(CANDIDATES, model.latent)
        whole = torch.where(seen, model.decode(z).log_prob(batch.x.expand(CANDIDATES, -1)), 0.0).sum(1)
        with monkeypatch.context() as patched:
            patched.setattr(VAE, "decode", None)
            torch.testing.assert_close(search.judged(z, z).said, whole)


@pytest.mark.parametrize(("prior", "share", "components"), [("flow", 0.3, 64), ("gan", 0.4, None)])
def test_what_a_prior_of_several_parts_is_by_default(
    prior: str, share: float, components: int | None
) -> None:
    model = build("vae", captioned(), prior=prior, **SMALL)
    assert model.prior.share == share
    plain = build("vae", read(np.zeros((9, 4), np.float32) + np.arange(9)[:, None]))
    assert isinstance(plain.prior, Flow) and plain.prior.base is None and plain.prior.share == 0
    if components is not None:
        assert isinstance(model.prior, Flow) and model.prior.base is not None
        assert len(model.prior.base.means) == components

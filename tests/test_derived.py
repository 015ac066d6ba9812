"""Conditions made from the picture itself: what they are, that nothing is stored, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

import ectype as ec
from ectype.errors import DataError, ModelFileError, UsageError
from ectype.kinds import holes
from ectype.kinds.derived import STRONGEST, Derived
from ectype.kinds.image import Image
from ectype.noise import PerItem
from ectype.runs import Run, load

IMAGES = {
    "grey": Image(1, (6, 5), bits=4),
    "colour": Image(3, (8, 8), bits=8),
    "alpha": Image(4, (5, 9), bits=8),
    "binary": Image(1, (8, 8), bits=1),
    "drawn": Image(1, (8, 8), bits=8, binarise="dynamic"),
    "deep": Image(1, (7, 8), bits=16),
}
WAYS = ("known", "low", "low2", "grey", "outline", "noisy")


def x_of(image: Image, n: int = 5) -> torch.Tensor:
    x = torch.rand(n, *image.shape.form)
    return x.round() if image.bits == 1 else x


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("image", IMAGES.values(), ids=IMAGES)
def test_what_is_derived_has_the_kinds_form_and_survives_its_state(image: Image, how: str) -> None:
    kind = Derived(image, how)
    x = x_of(image)
    before = x.clone()
    made = kind.derive(x, torch.Generator().manual_seed(1))
    assert made.shape == (5, *kind.shape.form) and made.dtype == torch.float32
    assert made.min() >= 0 and made.max() <= 1 and torch.equal(x, before)
    again = Derived.restore(kind.state())
    assert again.state() == kind.state() and again.shape == kind.shape
    assert torch.equal(again.derive(x, torch.Generator().manual_seed(1)), made)
    shown = kind.unpack(kind.stored(made)[0])
    assert shown.size == kind.size[::-1]
    assert kind.sheet([shown, shown]).size == image.sheet([shown, shown]).size


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("name", ["grey", "colour", "deep"])
def test_a_written_condition_can_be_read_again(name: str, how: str, tmp_path: Path) -> None:
    kind = Derived(IMAGES[name], how)
    made = kind.derive(x_of(IMAGES[name]), torch.Generator().manual_seed(1))
    (path,) = kind.write([kind.unpack(kind.stored(made)[0])], tmp_path)
    back = kind.tensor(torch.as_tensor(kind.pack(path))[None])
    assert back.shape == made[:1].shape
    assert torch.allclose(back, made[:1], atol=0.51 / 255)


def test_the_known_part_is_that_of_the_very_item_also_when_it_is_drawn_anew() -> None:
    values = np.random.default_rng(0).integers(0, 256, (40, 8, 8), np.uint8)
    data = ec.read(values, binarise="dynamic", given="known")
    batch = data.batch(range(40), torch.Generator().manual_seed(3))
    part, known = batch.given["known"].split([1, 1], 1)
    assert set(batch.x.unique().tolist()) == {0.0, 1.0} and set(known.unique().tolist()) <= {0.0, 1.0}
    assert torch.equal(part, batch.x * known)
    assert 0.3 < float(known.mean()) < 0.9
    assert not data.given["known"].stored.numel() and batch.kept["known"].all()


def test_masks_are_of_every_sort_and_hide_what_a_side_is() -> None:
    known = holes.drawn(3000, (8, 8), torch.Generator().manual_seed(0))
    assert known.shape == (3000, 1, 8, 8) and set(known.unique().tolist()) == {0.0, 1.0}
    hidden = (1 - known).flatten(1).sum(1)
    assert 0.03 < float((hidden == 64).float().mean()) < 0.08
    for name in ("lower", "upper", "left", "right"):
        hole = holes.side(name, (8, 8))
        assert int(hole.sum()) == 32
        found = (known[:, 0].bool() == ~hole).flatten(1).all(1).float().mean()
        assert float(found) > 0.01, name
    assert int(holes.side("centre", (8, 8)).sum()) == 16
    assert int(holes.side("lower", (5, 4)).sum()) == 8


@pytest.mark.parametrize("how", ["known", "noisy"])
def test_what_is_drawn_for_an_item_depends_on_seed_and_item_only(how: str) -> None:
    data = ec.read(np.random.default_rng(0).integers(0, 256, (30, 8, 8), np.uint8), given=how)
    whole = torch.cat([b.given[how] for b in data.batches("all", 7, seed=2)])
    one = torch.cat([b.given[how] for b in data.batches("all", 30, seed=2)])
    other = torch.cat([b.given[how] for b in data.batches("all", 30, seed=3)])
    assert torch.equal(whole, one) and not torch.equal(one, other)
    alone = data.batch([11], PerItem(2, [11])).given[how]
    assert torch.equal(alone[0], one[11])


def test_low_is_the_mean_of_areas_and_outline_is_dark_at_the_edge() -> None:
    x = torch.zeros(1, 1, 8, 8)
    x[..., 4:] = 1
    low = Derived(Image(1, (8, 8)), "low2").derive(x)
    assert torch.equal(low[0, 0, 0], torch.tensor([0.0, 0, 1, 1]))
    outline = Derived(Image(1, (8, 8)), "outline").derive(x)
    assert torch.equal(outline[0, 0, 3], torch.tensor([1.0, 1, 1, 0, 0, 1, 1, 1]))
    assert torch.equal(Derived(Image(1, (8, 8)), "grey").derive(x), x)


def test_noise_is_of_many_strengths_up_to_the_strongest() -> None:
    x = torch.full((500, 1, 8, 8), 0.5)
    noisy = Derived(Image(1, (8, 8)), "noisy").derive(x, torch.Generator().manual_seed(0))
    strength = (noisy - x).flatten(1).std(1)
    assert float(strength.min()) < 0.02 and 0.2 < float(strength.max()) < 1.3 * STRONGEST


def test_transparent_is_the_hole_and_so_is_the_white_of_a_mask() -> None:
    kind = Derived(Image(1, (4, 4)), "known")
    levels = np.full((4, 4, 2), 200, np.uint8)
    levels[2:, :, 1] = 0
    parts = [Pillow.fromarray(np.ascontiguousarray(levels[..., i])) for i in (0, 1)]
    packed = kind.pack(Pillow.merge("LA", parts))
    assert np.allclose(packed[0, :2], 200 / 255) and (packed[:, 2:] == 0).all() and (packed[1, :2] == 1).all()
    mask = np.zeros((4, 4), np.uint8)
    mask[0] = 255
    pair = kind.pack((np.full((4, 4), 200, np.uint8), mask))
    assert (pair[:, 0] == 0).all() and (pair[1, 1:] == 1).all()


@pytest.mark.parametrize(("how", "text"), [("knwon", "did you mean 'known'"), ("lwo", "did you mean 'low'")])
def test_a_mistaken_name_gets_did_you_mean(how: str, text: str) -> None:
    with pytest.raises(UsageError, match=text):
        ec.read("digits", given=how)
    with pytest.raises(DataError, match=text):
        Derived(Image(1, (4, 4)), how)


def test_a_column_of_that_name_comes_first_and_rows_are_refused() -> None:
    with pytest.raises(DataError, match="'known' is made from pictures, and these are items of kind vector"):
        ec.read("ring", given="known")
    with pytest.raises(DataError, match="'low9' leaves pictures of 1x1 as they are"):
        Derived(Image(1, (1, 1)), "low9")
    with pytest.raises(ModelFileError, match="describes no derived kind"):
        Derived.restore({"image": Image(1, (4, 4)).state()})


def test_a_run_keeps_its_derived_conditions_and_trains_the_same_again(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 256, (40, 8, 8), np.uint8)
    data = ec.read(values, given="known,low2")
    weights = []
    for _ in range(2):
        model = ec.build("vae", data, network="mlp", hidden=(8,), latent=2, prior="normal")
        for _ in ec.fit(model, data, steps=4, batch=8, device="cpu"):
            pass
        weights.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    assert torch.equal(*weights)
    Run.of(model, data).save(tmp_path)
    run = load(tmp_path)
    assert {n: k.state() for n, k in run.conditions.items()} == {
        n: k.state() for n, k in data.conditions.items()
    }
    picture = Pillow.fromarray(values[0])
    assert len(ec.sample(run, 2, given={"low2": picture})) == 2
    # in a table it lies below the table's folder, as any picture does, and its aspect is the model's
    (tmp_path / "tables").mkdir()
    picture.save(tmp_path / "tables" / "small.png")
    table = tmp_path / "tables" / "wanted.csv"
    table.write_text("low2\nsmall.png\n")
    assert len(ec.sample(run, given_from=table)) == 1
    table.write_text("low2\n../small.png\n")
    with pytest.raises(DataError, match="may lie outside of its folder"):
        ec.sample(run, given_from=table)
    for name in ("low2", "known"):
        with pytest.raises(DataError, match=rf"^{name}: a picture of 8x16 \(height x width\), where"):
            ec.sample(run, 1, given={name: picture.resize((16, 8))})
        with pytest.raises(DataError, match=f"^{name}: no.png: there is no such file"):
            ec.sample(run, 1, given={name: "no.png"})
    assert len(ec.sample(run, 1, given={"known": (picture, Pillow.new("L", (8, 8), 255))})) == 1

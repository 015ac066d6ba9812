"""Built-in data: what it holds, and that its factors tell the truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from ectype.catalog import DATASETS
from ectype.data.data import Data
from ectype.data.reading import read, reread


@pytest.fixture(scope="module")
def shapes() -> Data:
    return read("shapes", given=["shape", "colour", "size"])


@pytest.mark.parametrize("name", DATASETS)
def test_each_is_read_and_reread_the_same(name: str) -> None:
    data = read(name)
    again = reread(data.source)
    assert again.source == data.source
    for split, indices in data.splits.items():
        assert torch.equal(again.splits[split], indices)
    assert torch.equal(data.batch([0, 5]).x, again.batch([0, 5]).x)
    assert len(data.splits["all"]) == sum(len(data.splits[s]) for s in ("train", "select", "test"))


def test_digits_are_scikit_learns() -> None:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    data = read("digits", given="label")
    assert len(data) == 1797 and data.kind.shape.form == (1, 8, 8)
    assert data.kind.likelihood_options == {"levels": 16, "floor": 0.2}
    x = data.batch(data.splits["all"]).x[:, 0].numpy() * 15
    np.testing.assert_allclose(x, np.minimum(bunch.images, 15), atol=1e-5)
    assert data.labels is not None and data.labels.tolist() == bunch.target.tolist()
    assert "17 levels" in data.notes[0]
    assert len({round(float(v), 4) for v in x.ravel()}) == 16


def test_a_folder_that_is_called_as_a_built_in_is_not_passed_over_in_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert not any("./digits" in note for note in read("digits").notes)
    (tmp_path / "digits").mkdir()
    for i in range(12):
        Pillow.fromarray(np.full((5, 5), 20 * i, np.uint8)).save(tmp_path / "digits" / f"{i}.png")
    built_in = read("digits")
    assert len(built_in) == 1797
    assert built_in.notes[-1] == "digits is the built-in data set; what lies here under that name is ./digits"
    for source in ("./digits", "digits/", Path("digits")):
        data = read(source)
        assert len(data) == 12
        assert data.source["absolute"] == str(tmp_path.resolve() / "digits")


@pytest.mark.parametrize(("name", "modes", "std"), [("ring", 8, 0.01), ("grid", 25, 0.05)])
def test_mixtures_lie_around_their_centres(name: str, modes: int, std: float) -> None:
    data = read(name)
    assert data.centres is not None and data.labels is not None and data.centres.shape == (modes, 2)
    rows = torch.from_numpy(np.stack(data.items(data.splits["all"])))
    off = rows - data.centres[data.labels]
    assert len(rows) == 100_000
    assert off.std().item() == pytest.approx(std, rel=0.02)
    assert torch.cdist(rows, data.centres).argmin(1).eq(data.labels).all()
    counts = data.labels.bincount()
    assert (counts - 100_000 / modes).abs().max() < 5 * (100_000 / modes) ** 0.5


def test_shapes_have_their_factors_as_columns(shapes: Data) -> None:
    assert len(shapes) == 6000 and shapes.kind.shape.form == (3, 32, 32)
    assert set(shapes.factors) == {"shape", "colour", "size", "x", "y", "rotation"}
    assert list(shapes.conditions) == ["shape", "colour", "size"]
    assert shapes.captions is not None and len(shapes.captions) == 6000


def test_shapes_are_where_the_factors_say(shapes: Data) -> None:
    ink = 1 - shapes.batch(shapes.splits["all"]).x
    weight = ink.sum(1)
    at = torch.arange(32) + 0.5
    x = (weight.sum(1) * at).sum(1) / weight.sum((1, 2))
    y = (weight.sum(2) * at).sum(1) / weight.sum((1, 2))
    assert (x - shapes.factors["x"]).abs().max() < 0.5
    assert (y - shapes.factors["y"]).abs().max() < 0.5


def test_circles_are_as_large_as_the_factors_say(shapes: Data) -> None:
    assert shapes.label_kind is not None and shapes.labels is not None
    circles = shapes.labels == shapes.label_kind.numbers["circle"]
    pictures = 1 - shapes.batch(shapes.splits["all"][circles]).x
    area = (pictures.sum((2, 3)).max(1).values) / pictures.amax((2, 3)).max(1).values
    radius = (area / torch.pi).sqrt()
    assert (radius - shapes.factors["size"][circles]).abs().max() < 0.25
    assert (shapes.factors["rotation"][circles] == 0).all()


def test_captions_agree_with_the_factors(shapes: Data) -> None:
    from ectype.data.drawing import draw

    found = draw(50, 0)
    assert found.captions is not None
    for i, caption in enumerate(found.captions):
        assert str(found.columns["shape"][i]) in caption
        assert str(found.columns["colour"][i]) in caption
        third = int(3 * float(found.columns["x"][i] or 0) / 32)
        assert ("left", "centre", "right")[third] in caption

"""Kinds: raw item → stored → x → stored → raw, files, sheets, state."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from ectype.errors import DataError, ModelFileError, OutputError
from ectype.kinds import Kind
from ectype.kinds.image import Image
from ectype.kinds.label import Label
from ectype.kinds.pixels import channels_of, upright_size
from ectype.kinds.vector import Vector
from ectype.noise import PerItem
from ectype.shapes import Grid, Row, Tokens

KINDS: list[Kind] = [
    Image(1, (9, 7)),
    Image(3, (8, 12)),
    Image(4, (5, 5)),
    Image(1, (6, 4), bits=1),
    Image(1, (8, 8), bits=4),
    Image(3, (4, 4), bits=5),
    Image(1, (6, 6), bits=16),
    Image(1, (8, 8), bits=12),
    Image(1, (8, 8), binarise="static"),
    Image(1, (8, 8), binarise="dynamic"),
    Label(["cat", "dog", "7"]),
    Vector([0.0, 5.0], [1.0, 2.0]),
    Vector([1.0] * 5, [0.5] * 5),
]


def levels_of(kind: Image, n: int) -> np.ndarray:
    """Random stored pictures of a kind."""
    random = np.random.default_rng(3)
    if kind.bits == 1 and kind.binarise != "dynamic":
        return (random.integers(0, 2, (n, *kind.shape.form)) * 255).astype(np.uint8)
    sort = np.uint16 if kind.depth > 8 else np.uint8
    return random.integers(0, kind.white + 1, (n, *kind.shape.form)).astype(sort)


def stored_of(kind: Kind, n: int = 6) -> np.ndarray:
    """Random stored arrays of any kind."""
    if isinstance(kind, Image):
        return levels_of(kind, n)
    if isinstance(kind, Label):
        return np.arange(n) % len(kind.classes)
    return np.random.default_rng(3).normal(size=(n, len(kind.shape.form and kind.mean))).astype(np.float32)


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: f"{k.name}-{list(k.state().values())[:4]}")
def test_items_survive_every_step(kind: Kind) -> None:
    stored = stored_of(kind)
    items = [kind.unpack(one) for one in stored]
    again = np.stack([kind.pack(item) for item in items])
    assert again.dtype == stored.dtype
    np.testing.assert_array_equal(again, stored)
    x = kind.tensor(torch.from_numpy(stored), PerItem(0, range(len(stored))))
    assert x.shape == (len(stored), *kind.shape.form)
    if kind.name != "image" or kind.binarise != "dynamic":  # type: ignore[attr-defined]
        np.testing.assert_allclose(kind.stored(x), stored, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.name)
def test_state_is_json_and_restores(kind: Kind) -> None:
    again = type(kind).restore(json.loads(json.dumps(kind.state())))
    assert again.state() == kind.state()
    assert (again.shape, again.likelihood, again.network) == (kind.shape, kind.likelihood, kind.network)
    stored = torch.from_numpy(stored_of(kind))
    noise = [PerItem(1, range(len(stored))) for _ in range(2)]
    assert torch.equal(again.tensor(stored, noise[0]), kind.tensor(stored, noise[1]))


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.name)
def test_files_and_sheets(kind: Kind, tmp_path: Path) -> None:
    items = [kind.unpack(one) for one in stored_of(kind)]
    paths = kind.write(items, tmp_path / "new")
    assert paths and all(path.stat().st_size for path in paths)
    assert kind.sheet(items, 4).size > (10, 10)
    assert kind.sheet([], 4).width > 0
    if isinstance(kind, Image):
        assert len(paths) == len(items)
        np.testing.assert_array_equal(kind.pack(paths[2]), kind.pack(items[2]))
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        kind.write(items, tmp_path / "file" / "in")


@pytest.mark.parametrize("kind", [Image, Label, Vector])
@pytest.mark.parametrize(
    "state",
    [
        {},
        {"channels": 9, "size": [1, 2], "bits": 8, "binarise": None},
        {"classes": [1, 2], "mean": ["a"], "std": [0]},
    ],
)
def test_a_damaged_state_is_refused(kind: type[Kind], state: dict[str, object]) -> None:
    with pytest.raises(ModelFileError, match="damaged"):
        kind.restore(state)


def test_shapes_and_defaults() -> None:
    image = Image(3, (20, 28))
    assert image.shape == Grid(3, (20, 28)) and image.network == "conv" and image.likelihood == "logistic"
    assert image.likelihood_options == {"levels": 256, "floor": 0.2}
    assert Image(1, (4, 4)).network == "mlp" and Image(1, (8, 8)).network == "conv"
    for binary in (Image(1, (8, 8), bits=1), Image(1, (8, 8), binarise="static")):
        assert binary.likelihood == "bernoulli" and binary.likelihood_options == {"levels": 2, "floor": 0.2}
    assert Label(["a", "b"]).shape == Tokens(2, ())
    assert Vector([0, 0], [1, 1]).shape == Row((1, 1))


@pytest.mark.parametrize(
    ("mode", "channels"),
    [("1", 1), ("L", 1), ("I;16", 1), ("LA", 4), ("P", 3), ("RGB", 3), ("RGBA", 4), ("CMYK", 3)],
)
def test_every_mode_of_picture_is_packed(mode: str, channels: int) -> None:
    grey = Pillow.fromarray(np.arange(0, 256, 4, dtype=np.uint8).reshape(8, 8))
    if mode == "I;16":
        picture = Pillow.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    else:
        picture = grey.convert(mode)
    assert channels_of(picture) == channels
    for target in (1, 3, 4):
        levels = Image(target, (8, 8)).pack(picture)
        assert levels.shape == (target, 8, 8)
        if mode not in ("1", "P"):
            np.testing.assert_allclose(levels[0], np.asarray(grey), atol=1)


def test_sixteen_bits_are_kept() -> None:
    values = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000
    kind = Image(1, (8, 8), bits=16)
    np.testing.assert_array_equal(kind.pack(Pillow.fromarray(values))[0], values)
    x = kind.tensor(torch.from_numpy(values[None, None]))
    assert x.max().item() == pytest.approx(63000 / 65535)


def test_transparency_is_laid_over_white() -> None:
    picture = Pillow.new("RGBA", (4, 4), (0, 0, 0, 0))
    assert (Image(3, (4, 4)).pack(picture) == 255).all()
    paletted = Pillow.new("P", (4, 4), 3)
    paletted.info["transparency"] = 3
    assert (Image(1, (4, 4)).pack(paletted) == 255).all()


@pytest.mark.parametrize("ending", ["png", "jpg", "tif", "webp"])
def test_exif_orientation_is_obeyed(ending: str, tmp_path: Path) -> None:
    levels = np.zeros((32, 64), np.uint8)
    levels[:, :32] = 255
    exif = Pillow.Exif()
    exif[0x0112] = 6  # the camera was turned: to be shown rotated by 90 degrees clockwise
    Pillow.fromarray(levels).convert("RGB").save(tmp_path / f"turned.{ending}", exif=exif)
    with Pillow.open(tmp_path / f"turned.{ending}") as picture:
        assert upright_size(picture) == (64, 32)
    stored = Image(1, (64, 32)).pack(tmp_path / f"turned.{ending}")[0]
    assert (stored[:28] > 250).all() and (stored[36:] < 5).all()


def test_other_sizes_cover_and_are_cut_around_the_centre() -> None:
    wide = np.zeros((8, 24), np.uint8)
    wide[:, 8:16] = 200
    assert (Image(1, (8, 8)).pack(wide) == 200).all()
    assert Image(3, (5, 9)).pack(np.zeros((40, 30, 3), np.uint8)).shape == (3, 5, 9)


@pytest.mark.parametrize(
    "array",
    [
        np.linspace(0, 1, 16).reshape(4, 4),
        np.linspace(-1, 1, 16).reshape(4, 4),
        np.rint(np.linspace(0, 255, 16)).astype(np.uint8).reshape(4, 4),
    ],
)
def test_arrays_in_the_usual_scales(array: np.ndarray) -> None:
    assert Image(1, (4, 4)).pack(array)[0].ravel().tolist() == list(range(0, 256, 17))


def test_what_is_no_picture_is_refused(tmp_path: Path) -> None:
    kind = Image(1, (4, 4))
    with pytest.raises(DataError, match="no picture's"):
        kind.pack(np.zeros((2, 2, 2, 2)))
    with pytest.raises(DataError, match="NaN"):
        kind.pack(np.full((4, 4), np.nan))
    with pytest.raises(DataError, match=r"from 0 to 300\.5"):
        kind.pack(np.array([[0, 300.5]]))
    with pytest.raises(DataError, match="no readable picture"):
        kind.pack(tmp_path / "none.png")
    with pytest.raises(DataError, match="2 channels"):
        Image(2, (4, 4))
    with pytest.raises(DataError, match="binarise"):
        Image(1, (4, 4), binarise="often")


def test_dynamic_binarisation_draws_with_the_noise_it_is_given() -> None:
    kind = Image(1, (16, 16), binarise="dynamic")
    stored = torch.full((400, 1, 16, 16), 51, dtype=torch.uint8)
    x = kind.tensor(stored, PerItem(0, range(400)))
    assert set(x.unique().tolist()) == {0.0, 1.0}
    assert abs(x.mean().item() - 0.2) < 4 * (0.16 / x.numel()) ** 0.5
    assert torch.equal(kind.tensor(stored[:4], PerItem(0, range(4))), x[:4])
    assert not torch.equal(kind.tensor(stored, PerItem(1, range(400))), x)


def test_a_mean_of_binary_pictures_is_shown_grey() -> None:
    kind = Image(1, (2, 2), bits=1)
    assert np.asarray(kind.unpack(kind.stored(torch.full((1, 1, 2, 2), 0.5))[0]))[0, 0] in (127, 128)


def test_labels() -> None:
    kind = Label.fit([10, 9, 2, "10"])
    assert kind.classes == ("2", "9", "10")
    assert int(kind.pack(9)) == 1 and int(kind.pack("10")) == 2 and kind.unpack(np.int64(0)) == "2"
    named = Label.fit(["dog", "cat"])
    assert int(named.pack(1)) == 1 and int(named.pack("cat")) == 0
    with pytest.raises(DataError, match="did you mean 'cat'"):
        named.pack("cta")
    with pytest.raises(DataError, match="no label '2'"):
        named.pack(2)
    with pytest.raises(DataError, match="different class names"):
        Label(["a", "a"])


def test_vectors_are_standardised() -> None:
    rows = np.random.default_rng(0).normal([3, -100, 7], [2, 10, 0], (500, 3))
    kind = Vector.fit(rows)
    assert kind.std[2] == 1
    x = kind.tensor(torch.from_numpy(rows.astype(np.float32)))
    torch.testing.assert_close(x.mean(0), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(x.std(0, correction=0), torch.tensor([1.0, 1.0, 0.0]), atol=1e-4, rtol=0)
    with pytest.raises(DataError, match="a row of 2 numbers, where the kind has 3"):
        kind.pack([1, 2])
    with pytest.raises(DataError, match="missing or infinite"):
        kind.pack([1, 2, float("nan")])
    with pytest.raises(DataError, match="not a row"):
        kind.pack("abc")

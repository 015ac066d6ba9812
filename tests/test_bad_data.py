"""Bad input: one clear sentence, never a traceback of somebody else."""

from __future__ import annotations

import gzip
import struct
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from ectype.data import archive, pictures
from ectype.data.fitted import read_with
from ectype.data.reading import read, reread
from ectype.errors import DataError, MissingExtra, UsageError
from ectype.kinds.image import Image
from ectype.kinds.label import Label
from ectype.kinds.vector import Vector


def some(folder: Path, n: int = 12, size: tuple[int, int] = (8, 8)) -> None:
    """Write different grey pictures."""
    random = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(n):
        Pillow.fromarray(random.integers(0, 255, size).astype(np.uint8)).save(folder / f"{i:02d}.png")


def test_empty_folders(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the folder is empty"):
        read(tmp_path)
    (tmp_path / "notes.md").write_text("no picture")
    with pytest.raises(DataError, match="holds no pictures"):
        read(tmp_path)
    for name in ("a.npz", "b.npz"):
        np.savez(tmp_path / name, x=np.zeros((4, 4, 4)))
    with pytest.raises(DataError, match=r"a\.npz, b\.npz; name one"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("digts", "did you mean 'digits'"),
        ("no/such/folder", "there is no such file"),
    ],
)
def test_what_does_not_exist(name: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(name)


def test_damaged_pictures_are_named_and_counted_or_refused(tmp_path: Path) -> None:
    some(tmp_path)
    (tmp_path / "text.png").write_text("this is no picture")
    whole = (tmp_path / "03.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) - 40])
    (tmp_path / "empty.jpg").write_bytes(b"")
    data = read(tmp_path)
    assert len(data) == 12 and data.names == [f"{i:02d}" for i in range(12)]
    notes = " ".join(data.notes)
    for name in ("text.png", "empty.jpg", "cut.png"):
        assert name in notes
    with pytest.raises(DataError, match=r"pictures cannot be read: .*; repair or remove"):
        read(tmp_path, strict=True)


def test_no_picture_is_whole(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(DataError, match=r"none of the 1 pictures can be read: .*a\.png"):
        read(tmp_path)


def test_pixel_bombs_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    some(tmp_path)
    Pillow.new("L", (300, 300)).save(tmp_path / "bomb.png")
    monkeypatch.setattr(pictures, "MOST_PIXELS", 10_000)
    data = read(tmp_path)
    assert len(data) == 12 and "bomb.png (300x300 pixels are too many)" in " ".join(data.notes)


def test_zip_bombs_are_refused_before_they_unpack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name in ("a.png", "b.png"):
            made.writestr(name, b"0" * 2_000_000)
    monkeypatch.setattr(archive, "MOST_BYTES", 3_000_000)
    with pytest.raises(DataError, match="unpacks to more than"):
        read(path)
    monkeypatch.setattr(archive, "MOST_BYTES", 1e12)
    monkeypatch.setattr(archive, "LARGEST", 1_000_000)
    with pytest.raises(DataError, match="more than a picture may"):
        read(path)


def test_damaged_zips(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(b"PK nonsense")
    with pytest.raises(DataError, match="no readable zip"):
        read(path)
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("readme.txt", "nothing")
    with pytest.raises(DataError, match="the archive holds no pictures"):
        read(path)


def test_pickles_in_arrays_are_never_opened(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "executed",))

    bad = np.array([Hostile()] * 3, dtype=object)
    np.savez(tmp_path / "a.npz", images=bad)
    np.save(tmp_path / "a.npy", bad)
    for name in ("a.npz", "a.npy"):
        with pytest.raises(DataError, match=r"never opened"):
            read(tmp_path / name)
    assert not (tmp_path / "executed").exists()


def test_damaged_array_files(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((50, 8, 8), np.uint8))
    np.savez(tmp_path / "a.npz", images=np.zeros((50, 8, 8), np.uint8))
    for name in ("a.npy", "a.npz"):
        path = tmp_path / name
        path.write_bytes(path.read_bytes()[:300])
        with pytest.raises(DataError, match=f"{name}: no readable"):
            read(path)


def test_npz_larger_than_memory_is_refused_by_its_header(tmp_path: Path) -> None:
    import io

    head = io.BytesIO()
    about = {"descr": "|u1", "fortran_order": False, "shape": (10**15, 8, 8)}
    np.lib.format.write_array_header_1_0(head, about)
    with zipfile.ZipFile(tmp_path / "huge.npz", "w") as made:
        made.writestr("images.npy", head.getvalue())
    with pytest.raises(DataError, match=r"more than the free memory; save the items as \.npy"):
        read(tmp_path / "huge.npz")


def test_npz_keys_that_tell_nothing(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", one=np.zeros((5, 4)), two=np.zeros((5, 4)))
    with pytest.raises(DataError, match=r"cannot tell which array holds the items \(one \(5, 4\), two"):
        read(tmp_path / "a.npz")


def test_damaged_idx(tmp_path: Path) -> None:
    path = tmp_path / "train-images-idx3-ubyte"
    head = struct.pack(">BBBBIII", 0, 0, 8, 3, 5, 4, 4)
    path.write_bytes(head + bytes(10))
    with pytest.raises(DataError, match=r"truncated: form \(5, 4, 4\) is promised, 10 of 80"):
        read(path)
    path.write_bytes(b"GIF89a..........")
    with pytest.raises(DataError, match="no idx file"):
        read(path)
    packed = path.with_suffix(".gz")
    packed.write_bytes(gzip.compress(head + bytes(80))[:-12])
    with pytest.raises(DataError, match="damaged gzip"):
        read(packed)
    labels = tmp_path / "other" / "t10k-labels-idx1-ubyte"
    labels.parent.mkdir()
    labels.write_bytes(struct.pack(">BBBBI", 0, 0, 8, 1, 5) + bytes(5))
    with pytest.raises(DataError, match="labels only"):
        read(labels)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.full((4, 5), np.nan), r"NaN or infinity in 4 of 4 items \(numbers 0, 1, 2, 3\)"),
        (np.where(np.arange(80).reshape(20, 2, 2) == 41, np.inf, 0.5), r"in 1 of 20 items \(numbers 10\)"),
        (np.zeros((0, 8, 8)), "holds no items"),
        (np.array([["a", "b"]]), "not numbers"),
        (np.zeros((5, 5, 5, 2)), r"form \(5, 5, 5, 2\) holds no pictures"),
        (np.zeros((2, 2, 2, 2, 2)), "neither pictures"),
        (np.linspace(-3, 900, 80).reshape(5, 4, 4), "no picture's"),
        ([], "an empty list"),
        ([np.zeros(3), np.zeros(4)], "different forms"),
        ([Pillow.new("L", (4, 4)), 3], "item 1 of the list is a int"),
        (3.5, "data of type float"),
        ((np.zeros((5, 4)), [1, 2]), r"the labels: form \(2,\) where there are 5 items"),
    ],
)
def test_bad_arrays(values: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(values)


def test_equal_pictures_work_and_say_so() -> None:
    data = read(np.full((10, 8, 8), 7, np.uint8))
    assert len(data.splits["train"]) == 10 and len(data.splits["test"]) == 0
    assert "all 10 pictures are equal" in data.notes[0] and "empty" in data.notes[1]
    assert data.batch([0]).x.isfinite().all()


def test_constant_columns_are_noted() -> None:
    rows = np.random.default_rng(0).normal(size=(30, 3))
    rows[:, 1] = 4
    data = read(rows)
    assert "1 of 3 columns never change" in data.notes
    assert (data.batch(data.splits["all"]).x[:, 1] == 0).all()


def test_missing_labels_are_allowed_or_refused() -> None:
    values = np.random.default_rng(0).integers(0, 255, (6, 8, 8)).astype(np.uint8)
    pair = (values, ["a", "b", None, "a", "", "b"])
    data = read(pair, given="label")
    batch = data.batch(data.splits["all"])
    assert batch.kept["label"].tolist() == [True, True, False, True, False, True]
    assert data.labels is not None and data.labels.tolist() == [0, 1, -1, 0, -1, 1]
    assert data.notes == ["2 of 6 items have no label"]
    with pytest.raises(DataError, match="2 of 6 items have no label; complete them"):
        read(pair, given="label", strict=True)


def test_conditions_that_are_not_there() -> None:
    values = np.random.default_rng(0).integers(0, 255, (6, 8, 8)).astype(np.uint8)
    with pytest.raises(UsageError, match="no 'label' to be given; put the pictures"):
        read(values, given="label")
    with pytest.raises(UsageError, match="did you mean 'colour'"):
        read("shapes", given="color")
    with pytest.raises(UsageError, match="there is no 'd' to be given; known: c"):
        read((values, {"c": ["a", "b"] * 3}), given="d")
    with pytest.raises(DataError, match="missing for every item"):
        read((values, [None] * 6), given="label")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "imag"}, "did you mean 'image'"),
        ({"binarise": "dynamc"}, "did you mean 'dynamic'"),
        ({"size": 8}, "size are for pictures"),
        ({"channels": 2}, r"channels=2: 1 \(grey\), 3 \(colour\) or 4 \(alpha\)"),
        ({"bits": 17}, "bits=17: from 1 to 16"),
        ({"limit": -1.0}, "limit=-1.0: gigabytes of memory, from 0"),
        ({"sise": 8}, "read takes no 'sise'; did you mean 'size'?"),
    ],
)
def test_options_that_do_not_fit(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read(np.random.default_rng(0).normal(size=(10, 3)), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", ["big", "1x2x3", 0, "0x4", (-1, 3)])
def test_sizes_that_are_none(size: object) -> None:
    with pytest.raises(UsageError, match="size="):
        read([Pillow.new("L", (9, 9))], size=size)  # type: ignore[arg-type]


def test_binary_pictures_are_not_binarised_again() -> None:
    values = np.random.default_rng(0).integers(0, 2, (20, 8, 8))
    for how in ("static", "dynamic"):
        with pytest.raises(DataError, match="black and white already"):
            read(values, binarise=how)


def test_rows_that_do_not_fit_a_kind() -> None:
    with pytest.raises(DataError, match="rows of 3 numbers, where the model knows rows of 2"):
        read_with(np.zeros((4, 3)), Vector([0, 0], [1, 1]))
    with pytest.raises(DataError, match="kind 'label' cannot be read"):
        read_with(np.zeros((4, 3)), Label(["a"]))
    with pytest.raises(DataError, match="rows of 3 numbers are no 4x4 pictures; the model knows no others"):
        read_with(np.zeros((4, 3)), Image(1, (4, 4)))
    with pytest.raises(DataError, match="no column for label"):
        read_with(np.zeros((2, 4, 4)), Image(1, (4, 4)), conditions={"label": Label(["a"])}, strict=True)


def test_data_that_changed_is_not_reread(tmp_path: Path) -> None:
    some(tmp_path)
    source = read(tmp_path).source
    reread(source)
    (tmp_path / "03.png").unlink()
    with pytest.raises(DataError, match=r"has changed since training \(12 items then, 11 now\)"):
        reread(source)
    with pytest.raises(DataError, match="given from Python"):
        reread(read(torch.zeros(5, 8, 8)).source)


def test_the_hub_needs_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtra, match=r"pip install 'ectype\[hub\]'"):
        read("hf:owner/name")


def test_a_link_to_nowhere_is_one_damaged_picture(tmp_path: Path) -> None:
    some(tmp_path)
    (tmp_path / "dead.png").symlink_to(tmp_path / "nowhere.png")
    data = read(tmp_path)
    assert len(data) == 12
    assert any("dead.png" in note and "1 of 13" in note for note in data.notes)
    with pytest.raises(DataError, match=r"dead\.png"):
        read(tmp_path, strict=True)

"""Reading: every sort of source, the rules for pictures, splits, memory, and reading with a fitted kind."""

from __future__ import annotations

import gzip
import json
import os
import struct
import sys
import types
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from ectype.data.data import Data
from ectype.data.fitted import read_with
from ectype.data.reading import read, reread
from ectype.data.splits import digests, split
from ectype.errors import UsageError
from ectype.kinds.image import Image
from ectype.kinds.label import Label
from ectype.kinds.vector import Vector

SHARED = Path(os.environ.get("ECTYPE_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


def noise(n: int, *form: int) -> np.ndarray:
    """Different pictures of levels 0 to 255."""
    return np.random.default_rng(n).integers(0, 256, (n, *form)).astype(np.uint8)


def folder(root: Path, labels: tuple[str, ...] = ("cat", "dog"), n: int = 10) -> np.ndarray:
    """Write n pictures of 8x6 into each label's folder."""
    values = noise(n * len(labels), 8, 6)
    for i, value in enumerate(values):
        path = root / labels[i // n] / f"{i:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Pillow.fromarray(value).save(path)
    return values


def idx(path: Path, array: np.ndarray) -> None:
    """Write an idx file, gzipped where the name says so."""
    body = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()
    path.write_bytes(gzip.compress(body) if path.suffix == ".gz" else body)


def stored(data: Data) -> np.ndarray:
    return data.store.gather(data.splits["all"]).numpy()


def test_folder_with_labels(tmp_path: Path) -> None:
    values = folder(tmp_path)
    data = read(tmp_path, given="label")
    np.testing.assert_array_equal(stored(data)[:, 0], values)
    assert isinstance(data.kind, Image) and data.kind.size == (8, 6) and data.kind.bits == 8
    assert data.label_kind is not None and data.label_kind.classes == ("cat", "dog")
    batch = data.batch(torch.tensor([0, 19]))
    assert batch.given["label"].tolist() == [0, 1] and batch.kept["label"].all()
    assert batch.index is not None and batch.index.tolist() == [0, 19]
    assert data.names[0] == "000"
    np.testing.assert_array_equal(np.asarray(data.items([3])[0]), values[3])


def test_labels_are_kept_when_they_are_no_condition(tmp_path: Path) -> None:
    folder(tmp_path)
    data = read(tmp_path)
    assert data.conditions == {} and data.batch([0]).given == {}
    assert data.labels is not None and data.labels.tolist() == [0] * 10 + [1] * 10


def test_folders_called_train_and_test_are_splits(tmp_path: Path) -> None:
    folder(tmp_path / "train")
    folder(tmp_path / "test", n=3)
    data = read(tmp_path)
    assert [len(data.splits[s]) for s in ("train", "select", "test")] == [18, 2, 6]
    assert data.label_kind is not None and data.label_kind.classes == ("cat", "dog")


def test_one_folder_alone_is_no_label(tmp_path: Path) -> None:
    folder(tmp_path, ("all",))
    assert read(tmp_path).labels is None


def test_zip_is_the_folder(tmp_path: Path) -> None:
    folder(tmp_path / "in")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for path in sorted((tmp_path / "in").rglob("*.png")):
            archive.write(path, Path("outer") / path.relative_to(tmp_path / "in"))
        archive.writestr("__MACOSX/outer/._000.png", b"")
    one, other = read(tmp_path / "in"), read(tmp_path / "a.zip")
    np.testing.assert_array_equal(stored(one), stored(other))
    assert one.source["digest"] == other.source["digest"]
    assert one.labels is not None and other.labels is not None and torch.equal(one.labels, other.labels)


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_idx_pairs_keep_their_splits(tmp_path: Path, ending: str) -> None:
    train, test = noise(100, 7, 7), noise(20, 7, 7)
    idx(tmp_path / f"train-images-idx3-ubyte{ending}", train)
    idx(tmp_path / f"train-labels-idx1-ubyte{ending}", np.arange(100, dtype=np.uint8) % 10)
    idx(tmp_path / f"t10k-images-idx3-ubyte{ending}", test)
    idx(tmp_path / f"t10k-labels-idx1-ubyte{ending}", np.arange(20, dtype=np.uint8) % 10)
    data = read(tmp_path, given="label")
    np.testing.assert_array_equal(stored(data)[:, 0], np.concatenate([train, test]))
    assert sorted(data.splits["test"].tolist()) == list(range(100, 120))
    assert len(data.splits["select"]) == 10 and len(data.splits["train"]) == 90
    assert data.labels is not None and data.labels[105] == 5
    alone = read(tmp_path / f"train-images-idx3-ubyte{ending}")
    assert len(alone) == 100 and alone.labels is not None


def test_npz_with_splits_and_labels(tmp_path: Path) -> None:
    blocks = {name: noise(n, 6, 6) for name, n in (("x_train", 30), ("x_val", 5), ("x_test", 7))}
    np.savez(tmp_path / "a.npz", **blocks, y_train=np.arange(30) % 3, y_test=np.arange(7) % 3)
    data = read(tmp_path / "a.npz")
    assert {k: len(v) for k, v in data.splits.items()} == {"train": 30, "select": 5, "test": 7, "all": 42}
    assert data.labels is not None and (data.labels == -1).sum() == 5
    assert "5 of 42 items have no label" in data.notes


def test_npz_with_one_array_and_columns(tmp_path: Path) -> None:
    letters = np.array(list("abcabcabc"))
    np.savez(tmp_path / "a.npz", rgba=noise(9, 6, 6, 4), labels=letters, age=np.arange(9) / 2)
    data = read(tmp_path / "a.npz", given=["label", "age"])
    assert data.kind.shape.form == (4, 6, 6)
    assert isinstance(data.conditions["age"], Vector) and isinstance(data.conditions["label"], Label)
    assert data.batch([1, 2]).given["age"].shape == (2, 1)
    assert data.factors["age"][3] == 1.5


@pytest.mark.parametrize(
    ("values", "form", "bits"),
    [
        (noise(6, 5, 7), (1, 5, 7), 8),
        (noise(6, 5, 7, 3), (3, 5, 7), 8),
        (noise(6, 3, 5, 7), (3, 5, 7), 8),
        (torch.from_numpy(noise(6, 3, 5, 3)), (3, 5, 3), 8),
        (noise(6, 3, 5, 3), (3, 3, 5), 8),
        (noise(6, 5, 7) / 255, (1, 5, 7), 8),
        (noise(6, 5, 7) / 127.5 - 1, (1, 5, 7), 8),
        (noise(6, 5, 7) > 127, (1, 5, 7), 1),
        ((noise(6, 5, 7) > 127) * 255, (1, 5, 7), 1),
        (noise(6, 5, 7).astype(np.uint16) * 257, (1, 5, 7), 16),
        ([Pillow.fromarray(v) for v in noise(6, 5, 7)], (1, 5, 7), 8),
        (list(torch.from_numpy(noise(6, 5, 7))), (1, 5, 7), 8),
    ],
)
def test_python_values(values: object, form: tuple[int, ...], bits: int) -> None:
    data = read(values)
    assert isinstance(data.kind, Image)
    assert data.kind.shape.form == form and data.kind.bits == bits and len(data) == 6
    x = data.batch(data.splits["all"]).x
    assert x.dtype == torch.float32 and 0 <= x.min() and x.max() <= 1
    if bits == 8 and form == (1, 5, 7):
        expected = torch.from_numpy(noise(6, 5, 7) / np.float32(255))
        torch.testing.assert_close(x[:, 0], expected, atol=1e-6, rtol=0)


def test_rows_are_vectors_unless_said_otherwise() -> None:
    rows = noise(40, 36)
    data = read(rows)
    assert isinstance(data.kind, Vector) and data.kind.shape.form == (36,)
    train = stored(data)[data.splits["train"].numpy()]
    np.testing.assert_allclose(data.kind.mean, train.mean(0), rtol=1e-5)
    assert read(rows, kind="image").kind.shape.form == (1, 6, 6)
    assert read(rows, kind="image", size="4x9").kind.shape.form == (1, 4, 9)
    assert read(noise(40, 4, 5), kind="vector").kind.shape.form == (20,)


def test_sizes_follow_the_rule() -> None:
    def kind(sizes: list[tuple[int, int]], **options: object) -> Image:
        made = read([Pillow.fromarray(noise(1, *s)[0]) for s in sizes], **options).kind  # type: ignore[arg-type]
        assert isinstance(made, Image)
        return made

    assert kind([(40, 64)] * 3).size == (40, 64)
    assert kind([(100, 200)] * 3).size == (32, 64)
    assert kind([(10, 20), (20, 40), (20, 40)]).size == (20, 40)
    assert kind([(100, 100), (100, 200), (100, 200)]).size == (32, 64)
    assert kind([(100, 200)] * 3, size=20).size == (10, 20)
    assert kind([(100, 200)] * 3, size="20x10").size == (20, 10)
    assert kind([(100, 200)] * 3, size="30").size == (15, 30)
    assert read(noise(4, 100, 100)).kind.shape.form == (1, 100, 100), "arrays keep their size"
    assert read(noise(4, 100, 50), size=20).kind.shape.form == (1, 20, 10)


def test_colours_follow_the_rule() -> None:
    grey, colour = Pillow.fromarray(noise(1, 8, 8)[0]), Pillow.fromarray(noise(1, 8, 8, 3)[0])
    alpha = Pillow.fromarray(noise(1, 8, 8, 4)[0])
    mixed = read([grey, colour])
    assert mixed.kind.shape.form == (3, 8, 8)
    assert "mixed colours (1 grey, 1 RGB): all were made RGB" in mixed.notes
    assert read([grey, colour, alpha]).kind.shape.form == (4, 8, 8)
    assert read([grey, colour], channels=1).kind.shape.form == (1, 8, 8)
    opaque = read([colour.convert("RGBA"), colour])
    assert opaque.kind.shape.form == (3, 8, 8) and any("opaque" in note for note in opaque.notes)
    assert read([grey.convert("RGB")] * 2).kind.shape.form == (1, 8, 8)
    assert read([grey.convert("RGB")] * 2, channels=3).kind.shape.form == (3, 8, 8)


def test_bits_are_found_or_chosen() -> None:
    deep = Pillow.fromarray(noise(1, 8, 8)[0].astype(np.uint16) * 200)
    two = Pillow.fromarray(noise(1, 8, 8)[0]).convert("1")
    kinds = [
        read(items, **options).kind
        for items, options in (  # type: ignore[arg-type]
            ([deep, deep], {}),
            ([two] * 2, {}),
            ([deep, deep], {"bits": 5}),
            (noise(5, 8, 8), {"bits": 1}),
            (noise(5, 8, 8), {"bits": 3}),
        )
    ]
    assert [kind.bits for kind in kinds if isinstance(kind, Image)] == [16, 1, 5, 1, 3]


@pytest.mark.parametrize("n", [1, 2, 3, 5, 10, 333, 1797])
def test_splits_are_disjoint_whole_and_sized(n: int) -> None:
    notes: list[str] = []
    hashes = digests([np.arange(n, dtype=np.int64)[:, None]], 0)
    parts = split(hashes, None, notes)
    joined = torch.cat([parts[s] for s in ("train", "select", "test")])
    assert sorted(joined.tolist()) == list(range(n)) == parts["all"].tolist()
    assert len(parts["train"]) >= 1
    if n >= 3:
        assert len(parts["select"]) == len(parts["test"]) == max(1, round(n / 10)) and not notes
    else:
        assert "empty" in notes[0]


def test_equal_items_never_straddle_splits() -> None:
    values = np.random.default_rng(0).integers(0, 60, 1000)[:, None]
    values[:300] = 999  # one picture that is 30 % of the data stays in train
    parts = split(digests([values], 0), None, [])
    sets = [set(values[parts[s].numpy(), 0].tolist()) for s in ("train", "select", "test")]
    assert not (sets[0] & sets[1] or sets[0] & sets[2] or sets[1] & sets[2])
    assert 999 in sets[0] and all(80 <= len(parts[s]) <= 130 for s in ("select", "test"))


def test_splits_depend_on_content_and_seed_only() -> None:
    values = noise(200, 8, 8)
    one, other = read(values), read(values[::-1].copy())
    for name in ("select", "test"):
        reversed_ = 199 - other.splits[name]
        assert torch.equal(one.splits[name].sort().values, reversed_.sort().values)
    assert not torch.equal(one.splits["test"], read(values, seed=1).splits["test"])


def test_an_unknown_split_is_named() -> None:
    with pytest.raises(UsageError, match="did you mean 'test'"):
        read(noise(10, 4, 4)).split("tset")


def test_official_select_is_carved_from_train_at_most_5000() -> None:
    hashes = digests([np.arange(70_000, dtype=np.int64)[:, None]], 0)
    parts = split(hashes, ["train"] * 60_000 + ["test"] * 10_000, [])
    assert [len(parts[s]) for s in ("train", "select", "test")] == [55_000, 5_000, 10_000]


def test_static_binarisation_is_drawn_once_per_item_and_seed() -> None:
    values = noise(600, 8, 8)
    one = read(values, binarise="static")
    x = one.batch(one.splits["all"]).x
    assert set(x.unique().tolist()) == {0.0, 1.0} and one.kind.likelihood == "bernoulli"
    assert torch.equal(x, one.batch(one.splits["all"]).x)
    assert torch.equal(x[:300], read(values[:300], binarise="static").batch(range(300)).x)
    assert not torch.equal(x, read(values, binarise="static", seed=1).batch(range(600)).x)
    p = torch.from_numpy(values / 255).float()
    assert abs((x[:, 0] - p).mean()) < 4 * (p * (1 - p)).mean().sqrt() / p.numel() ** 0.5
    assert one.splits["test"].tolist() == read(values).splits["test"].tolist()


def test_dynamic_binarisation_in_batches_depends_on_seed_and_item_only() -> None:
    data = read(noise(40, 8, 8), binarise="dynamic")
    small = torch.cat([b.x for b in data.batches("train", 3, seed=5)])
    assert torch.equal(small, torch.cat([b.x for b in data.batches("train", 100, seed=5)]))
    assert not torch.equal(small, torch.cat([b.x for b in data.batches("train", 100, seed=6)]))
    generator = torch.Generator().manual_seed(0)
    assert not torch.equal(data.batch([0, 1], generator).x, data.batch([0, 1], generator).x)


def test_large_arrays_are_mapped_with_the_same_batches(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", noise(300, 9, 8, 3))
    here, there = read(tmp_path / "a.npy"), read(tmp_path / "a.npy", limit=1e-6)
    assert here.resident and not there.resident
    at = torch.tensor([299, 3, 3, 0, 120])
    assert torch.equal(here.batch(at).x, there.batch(at).x)
    assert here.source["digest"] == there.source["digest"]
    rows = tmp_path / "rows.npy"
    np.save(rows, np.random.default_rng(0).normal(size=(500, 6)))
    assert torch.equal(read(rows).batch(at).x, read(rows, limit=0).batch(at).x)


def test_large_folders_are_decoded_once_into_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ECTYPE_CACHE", str(tmp_path / "cache"))
    folder(tmp_path / "in", n=20)
    (tmp_path / "in" / "cat" / "bad.png").write_bytes((tmp_path / "in" / "cat" / "000.png").read_bytes()[:60])
    here, there = read(tmp_path / "in"), read(tmp_path / "in", limit=0)
    assert not there.resident and len(there) == len(here) == 40
    np.testing.assert_array_equal(stored(here), stored(there))
    assert there.notes == here.notes and "bad.png" in there.notes[0]
    copies = list((tmp_path / "cache").glob("*.npy"))
    stamp = copies[0].stat().st_mtime_ns
    again = read(tmp_path / "in", limit=0)
    assert len(copies) == 1 and copies[0].stat().st_mtime_ns == stamp
    np.testing.assert_array_equal(stored(here), stored(again))


def test_reread_gives_the_same_splits_from_json(tmp_path: Path) -> None:
    folder(tmp_path)
    data = read(tmp_path, given="label", size=(6, 6), binarise="static", seed=3)
    again = reread(json.loads(json.dumps(data.source)))
    assert again.kind.state() == data.kind.state() and list(again.conditions) == ["label"]
    for name, indices in data.splits.items():
        assert torch.equal(again.splits[name], indices)
    np.testing.assert_array_equal(stored(again), stored(data))
    assert again.source == data.source


def test_read_with_makes_items_fit(tmp_path: Path) -> None:
    folder(tmp_path, ("cat", "bird"), n=2)
    kind = Image(3, (16, 16))
    conditions = {"label": Label(["cat", "dog"])}
    data = read_with(tmp_path, kind, conditions=conditions, label_kind=Label(["cat", "dog"]))
    assert data.kind is kind and list(data.splits) == ["all"] and data.names == ["002", "003", "000", "001"]
    batch = data.batch(data.splits["all"])
    assert batch.x.shape == (4, 3, 16, 16)
    assert batch.kept["label"].tolist() == [False, False, True, True]
    assert data.labels is not None and data.labels.tolist() == [-1, -1, 0, 0]
    assert any("unknown: bird" in note for note in data.notes)


@pytest.mark.parametrize("binarise", ["static", "dynamic", None])
def test_read_with_a_binary_kind(binarise: str | None) -> None:
    kind = Image(1, (8, 8), bits=8 if binarise else 1, binarise=binarise)
    for values in (noise(5, 8, 8), noise(5, 8, 8) > 127, np.ones((5, 8, 8), np.uint8)):
        x = read_with(values, kind).batch([0, 1, 2]).x
        assert set(x.unique().tolist()) <= {0.0, 1.0}
    assert torch.equal(
        read_with(noise(5, 8, 8) > 127, kind).batch(range(5)).x[:, 0],
        torch.from_numpy(noise(5, 8, 8) > 127).float(),
    )


def test_read_with_a_vector_kind_keeps_its_scale() -> None:
    data = read_with(np.array([[10.0, 0.0]]), Vector([0, 0], [5, 1]))
    assert data.batch([0]).x.tolist() == [[2.0, 0.0]]


def test_a_hub_data_set(monkeypatch: pytest.MonkeyPatch) -> None:
    class ClassLabel:
        names = ("cat", "dog")

    class Table:
        features = {
            "picture": type("Image", (), {})(),
            "label": ClassLabel(),
            "caption": type("Value", (), {})(),
        }

        def __init__(self, n: int) -> None:
            self.values = noise(n, 6, 6)

        def __len__(self) -> int:
            return len(self.values)

        def __getitem__(self, key: int | str) -> object:
            if key == "label":
                return [i % 2 for i in range(len(self))]
            if key == "caption":
                return [f"picture number {i}" if i else None for i in range(len(self))]
            return {"picture": Pillow.fromarray(self.values[int(key)])}

    stub = types.ModuleType("datasets")
    tables = {"train": Table(30), "test": Table(5), "extra": Table(2)}
    stub.load_dataset = lambda path, configuration: tables  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "datasets", stub)
    data = read("hf:owner/name", given="label,caption")
    assert [len(data.splits[s]) for s in ("train", "select", "test")] == [27, 3, 5]
    assert data.label_kind is not None and data.label_kind.classes == ("cat", "dog")
    assert "splits left out: extra" in data.notes
    assert data.conditions["caption"].name == "text" and int((~data.given["caption"].present).sum()) == 2
    assert reread(data.source).source == data.source


@pytest.mark.parametrize(
    ("path", "form", "counts"),
    [
        ("mnist", (1, 28, 28), [55_000, 5_000, 10_000]),
        ("binarized_mnist/binarized_mnist.npz", (1, 28, 28), [50_000, 10_000, 10_000]),
        ("frey_faces/frey_faces.npz", (1, 28, 20), [1573, 196, 196]),
        ("noto_emoji/noto_emoji_64.npz", (4, 64, 64), [2358, 295, 295]),
    ],
)
def test_real_data(path: str, form: tuple[int, ...], counts: list[int]) -> None:
    if not (SHARED / path).exists():
        pytest.skip(f"{SHARED / path} is not here (ECTYPE_DATA names the folder)")
    data = read(SHARED / path)
    assert data.kind.shape.form == form
    assert [len(data.splits[s]) for s in ("train", "select", "test")] == counts


def test_names_from_an_archive_are_safe_to_write_under(tmp_path: Path) -> None:
    Pillow.fromarray(noise(1, 4, 4)[0]).save(tmp_path / "one.png")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in ("/etc/x.png", "a/x.png", "b/c\\d:e.png", "../x.png"):
            archive.writestr(zipfile.ZipInfo(name), (tmp_path / "one.png").read_bytes())
    data = read(tmp_path / "a.zip")
    assert data.names == ["__etc_x", "a_x", "b_c_d_e"]


def test_the_first_items_of_a_split_are_a_sample_of_it(tmp_path: Path) -> None:
    folder(tmp_path, tuple("abcde"), 60)  # a folder's items are sorted by class
    data = read(tmp_path)
    for name in ("train", "select", "test"):
        at = data.splits[name]
        assert data.labels is not None
        first = data.labels[at[: max(len(at) // 3, 10)]]
        assert len(first.unique()) > 3, name
        again = read(tmp_path).splits[name]
        assert torch.equal(at, again)
    assert torch.equal(data.splits["all"], torch.arange(300))
    assert torch.equal(
        torch.cat([data.splits[n] for n in ("train", "select", "test")]).sort().values, data.splits["all"]
    )


@pytest.mark.parametrize("missing", [0.0, 0.02, 0.3])
def test_numbers_with_gaps_stay_with_their_items(missing: float, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    ages = random.normal(size=240).round(4)
    ages[random.random(240) < missing] = np.nan
    rows = ["file_name,age"]
    for i, (value, age) in enumerate(zip(noise(240, 5, 5), ages, strict=True)):
        Pillow.fromarray(value).save(tmp_path / f"{i:03d}.png")
        rows.append(f"{i:03d}.png,{'' if np.isnan(age) else age}")
    (tmp_path / "metadata.csv").write_text("\n".join(rows))
    condition = read(tmp_path, given="age").given["age"]
    assert condition.present.tolist() == (~np.isnan(ages)).tolist()
    found = condition.kind.tensor(condition.stored)[condition.present].flatten().double()
    wanted = torch.from_numpy(ages)[condition.present]
    # scaled, and otherwise the same
    assert float(torch.corrcoef(torch.stack([found, wanted]))[0, 1]) == pytest.approx(1, abs=1e-5)

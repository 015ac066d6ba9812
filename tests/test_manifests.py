"""Conditions: what a column is, tables as sources and beside the data, paired folders, reading again."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow

from ectype.data import tables
from ectype.data.asking import asked_for
from ectype.data.beside import located
from ectype.data.columns import sort_of
from ectype.data.data import Data
from ectype.data.fitted import read_with
from ectype.data.found import Found
from ectype.data.joining import rows_of
from ectype.data.reading import read, reread
from ectype.data.tables import LONGEST, read_table, typed
from ectype.errors import DataError, UsageError
from ectype.kinds.image import Image
from ectype.kinds.text import Text
from ectype.kinds.vector import Vector

SHARED = Path(os.environ.get("ECTYPE_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
N = 12
ROWS = [
    {
        "file": f"p{i:02d}.png",
        "caption": f"a picture of number {i}",
        "tags": ["even" if i % 2 == 0 else "odd", "big"][: 1 + i // 6],
        "age": i + 0.5,
        "style": "bold" if i % 3 else "fine",
        "code": [i, 2.5],
    }
    for i in range(N)
]


def pictures(root: Path, names: list[str], form: tuple[int, ...] = (8, 6), seed: int = 0) -> Path:
    """Random grey pictures of those names."""
    levels = np.random.default_rng(seed).integers(0, 256, (len(names), *form), np.uint8)
    for name, level in zip(names, levels, strict=True):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Pillow.fromarray(level).save(root / name)
    return root


def lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    """A table as JSON Lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return pictures(tmp_path / "photo", [row["file"] for row in ROWS])


def value(data: Data, name: str, item: str) -> Any:
    """What an item has of a condition, or None."""
    condition, at = data.given[name], data.names.index(item)
    return condition.kind.unpack(condition.stored[at].numpy()) if condition.present[at] else None


# what a column is


@pytest.mark.parametrize(
    ("values", "sort"),
    [
        (["cat", "dog", None], "label"),
        (["maine coon", "main street"] * 20, "label"),
        ([f"breed {i % 30}" for i in range(300)], "label"),
        (["a red circle", "a blue star", "a cat"], "text"),
        ([f"床前明月光{i}" for i in range(101)], "text"),
        ([f"word{i % 150}" for i in range(900)], "label"),
        (["red|small", "blue"], "attributes"),
        ([["red", "small"], []], "attributes"),
        ([[], []], "attributes"),
        ([{"red": True}, {"small": 0.5}], "attributes"),
        ([3, 5, None], "label"),
        (list(range(101)), "vector"),
        ([[1, 2.5], [3, 4]], "vector"),
        (np.array([0.5, np.nan]), "vector"),
        ([None, None], ""),
    ],
)
def test_what_a_column_is(values: Any, sort: str) -> None:
    assert sort_of("column", values) == sort


def test_the_label_is_a_label_whatever_it_looks_like() -> None:
    assert (
        sort_of("label", list(range(1000))) == sort_of("label", [f"a b {i}" for i in range(500)]) == "label"
    )


def with_columns(columns: dict[str, Any], **options: Any) -> Data:
    n = len(next(iter(columns.values())))
    return read((np.random.default_rng(0).random((n, 3)), columns), **options)


@pytest.mark.parametrize(
    ("asked", "values", "name", "first"),
    [
        ("c:text", ["cat", "dog"], "text", "cat"),
        ("c:words", ["cat", "dog"], "text", "cat"),
        ("c:attributes", ["cat", "dog"], "attributes", ["cat"]),
        ("c:number", [41, 3], "vector", [41.0]),
        ("c:number", ["41", "3.5"], "vector", [41.0]),
        ("c:vector", ["1,2", "3,4"], "vector", [1.0, 2.0]),
        ("c:label", [0.5, 1.25], "label", "0.5"),
        ("c:label", [2.5, 1.0], "label", "2.5"),
        ("c:text", [7, 12], "text", "7"),
        ("c", np.ones((2, 3)), "vector", [1.0, 1.0, 1.0]),
        ("c", torch.tensor([3, 4]), "label", "3"),
    ],
)
def test_a_column_can_be_said_to_be_another_kind(asked: str, values: Any, name: str, first: Any) -> None:
    data = with_columns({"c": values}, given=asked)
    kind = data.conditions["c"]
    found = kind.unpack(data.given["c"].stored[0].numpy())
    assert kind.name == name and (list(found) == first if isinstance(first, list) else found == first)


@pytest.mark.parametrize(
    ("asked", "values", "message"),
    [
        ("c:number", ["x", "3"], "'c' cannot be number: 'x' is no number"),
        (
            "c:vector",
            [[1], [1, 2]],
            "'c' cannot be vector: rows of 1 to 2 numbers; give each item equally many",
        ),
        ("c:image", ["x", "y"], "c: holds no pictures"),
        ("c", [None, None], "'c' is missing for every item"),
        ("c:attributes", [[1, [2]], []], "is no list of tags"),
    ],
)
def test_a_column_that_is_not_what_it_is_said_to_be(asked: str, values: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        with_columns({"c": values}, given=asked)


def test_a_column_is_as_long_as_the_items() -> None:
    with pytest.raises(DataError, match="'c': 3 values where there are 2 items; give one per item"):
        read((np.zeros((2, 3)), {"c": ["a b", "c d", "e f"]}))


def test_the_callers_values_are_never_modified() -> None:
    columns = {"tags": [["b", "a"], ["c"]], "row": [[1, 2], [3, 4]], "pic": [Pillow.new("L", (4, 4))] * 2}
    before = json.dumps({k: v for k, v in columns.items() if k != "pic"})
    items = np.random.default_rng(0).random((2, 3))
    copy = items.copy()
    read((items, columns), given="tags,row,pic").batch([0])
    assert json.dumps({k: v for k, v in columns.items() if k != "pic"}) == before
    np.testing.assert_array_equal(items, copy)


def test_factors_are_the_columns_of_numbers_and_classes() -> None:
    columns = {"caption": [f"a {i} b" for i in range(120)], "n": list(range(120)), "t": [["a"]] * 120}
    data = with_columns({**columns, "c": ["x", "y"] * 60})
    assert set(data.factors) == {"n", "c"} and data.factors["n"][7] == 7


# tables


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.csv", 'a,b\nx,"one, two"\ny,\n'),
        ("t.csv", "\ufeffa;b\r\nx;one, two\r\n\r\ny\r\n"),
        ("t.tsv", "a\tb\nx\tone, two\ny\t"),
        ("t.jsonl", '{"a": "x", "b": "one, two"}\n\n{"a": "y"}\n'),
        ("t.JSON", '[{"a": "x", "b": "one, two"}, {"a": "y", "b": NaN}]'),
    ],
)
def test_every_sort_of_table_says_the_same(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8", newline="")
    table = read_table(tmp_path / name)
    assert table.columns == {"a": ["x", "y"], "b": ["one, two", None]} and len(table) == 2


def test_cells_are_numbers_where_all_of_them_are(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b,c,d,e\n1,1.5,007,1,x\n-2,nan,010,,2\n,2e3,011,5.0,3\n")
    found = read_table(tmp_path / "t.csv").columns
    assert (
        found["a"] == [1, -2, None]
        and found["b"] == [1.5, None, 2000.0]
        and found["c"] == ["007", "010", "011"]
    )
    assert found["d"] == [1.0, None, 5.0] and found["e"] == ["x", "2", "3"]
    assert typed([True, False, None]) == ["true", "false", None] and typed([1, "x"]) == ["1", "x"]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1))
def test_texts_of_json_lines_are_kept(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    path = lines(tmp_path_factory.mktemp("t") / "t.jsonl", [{"a": text} for text in texts])
    assert read_table(path).columns["a"] == [text.strip() or None for text in texts]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("t.csv", "", "holds no rows|names no columns"),
        ("t.csv", "a,b\n", "holds no rows"),
        ("t.csv", "a,a\n1,2\n", "the first line names no columns, or one of them twice"),
        ("t.csv", "a,b\n1,2,3\n", "line 2 has 3 cells where the header has 2; put quotes around the text"),
        ("t.csv", "a\n" + "x" * (LONGEST + 1), "line 2 is no row .*field larger"),
        ("t.jsonl", '{"a": 1}\n{"a": \n', "line 2 is no JSON"),
        ("t.jsonl", "[1]\n", "a list of objects is a table"),
        ("t.json", '{"a": 1}', "a list of objects is a table"),
        ("t.json", "[" * 100_000, "the file is no JSON"),
        ("t.json", json.dumps([{"a": "x" * (LONGEST + 1)}]), "row 1 has a text of 131,073 characters"),
        ("t.json", b"\xff\xfe", "is not written in UTF-8 .*; save it as UTF-8"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, name: str, text: str | bytes, message: str) -> None:
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError, match=message):
        read_table(tmp_path / name)


# a table as the source


def test_a_table_is_a_source(folder: Path) -> None:
    path = lines(folder / "items.jsonl", ROWS)
    data = read(path, given="caption,tags,age,style,code")
    assert [kind.name for kind in data.conditions.values()] == [
        "text",
        "attributes",
        "vector",
        "label",
        "vector",
    ]
    assert data.names == [f"p{i:02d}" for i in range(N)] and data.kind.shape.form == (1, 8, 6)
    assert value(data, "caption", "p07") == "a picture of number 7"
    assert value(data, "tags", "p07") == ["big", "odd"] and value(data, "age", "p07") == [7.5]
    assert value(data, "style", "p07") == "bold" and value(data, "code", "p07").tolist() == [7, 2.5]
    np.testing.assert_array_equal(data.store.gather(torch.tensor([3]))[0, 0], Pillow.open(folder / "p03.png"))
    batch = data.batch([0, 1])
    assert batch.given["caption"].dtype == torch.int64 and all(kept.all() for kept in batch.kept.values())
    assert reread(data.source).source == data.source


def test_a_table_may_say_the_splits(folder: Path) -> None:
    cells = "".join(f"p{i:02d}.png,{'test' if i > 8 else 'train'}\n" for i in range(N))
    (folder / "items.csv").write_text("image,split\n" + cells)
    data = read(folder / "items.csv")
    assert sorted(data.splits["test"].tolist()) == [9, 10, 11]


def test_files_that_are_missing_are_left_out_and_named(folder: Path) -> None:
    rows = [*ROWS, {"file": "gone.png", "caption": "a ghost"}, {"caption": "no file"}]
    path = lines(folder / "items.jsonl", rows)
    data = read(path, given="caption")
    assert len(data) == N and len(data.given["caption"].stored) == N
    assert "rows without a file were left out: 1 of 14" in data.notes
    assert any(
        "1 of 13 pictures cannot be read" in note and "gone.png (there is no such file)" in note
        for note in data.notes
    )
    with pytest.raises(
        DataError, match=r"1 of 13 pictures cannot be read: .*gone.png \(there is no such file\)"
    ):
        read(path, strict=True)
    with pytest.raises(DataError, match="none of the 2 pictures can be read: .*no such file"):
        read(lines(folder / "none.jsonl", [{"file": "a.png"}, {"file": "b.png"}]))


def test_a_table_cannot_lead_out_of_its_folder_by_a_relative_name(folder: Path) -> None:
    inner = folder / "inner"
    inner.mkdir()
    with pytest.raises(DataError, match=r"names '\.\./p00.png', which may lie outside of its folder"):
        read(lines(inner / "a.jsonl", [{"file": "../p00.png"}]))
    data = read(lines(inner / "b.jsonl", [{"file": str(folder / f"p0{i}.png")} for i in range(3)]))
    assert len(data) == 3 and "b.jsonl names 3 files by their whole path" in data.notes


def test_a_table_without_pictures_is_no_source(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no column names pictures, such as file or image \(it has: a, b\)"):
        read(lines(tmp_path / "t.jsonl", [{"a": 1, "b": "x"}]))


def test_a_table_may_name_two_pictures_per_row(folder: Path) -> None:
    pictures(folder / "ink", [row["file"] for row in ROWS], (8, 6), seed=1)
    rows = [{"image": f"p{i:02d}.png", "ink": f"ink/p{i:02d}.png" if i else None} for i in range(N)]
    data = read(lines(folder / "items.jsonl", rows), given="ink")
    assert data.names[0] == "p00" and isinstance(data.conditions["ink"], Image)
    assert not data.given["ink"].present[0] and "1 of 12 items have no ink" in data.notes


def test_metadata_in_a_folder_adds_columns(folder: Path) -> None:
    (folder / "metadata.csv").write_text("file_name,style,note\np00.png,bold,x\np01.png,fine,\n")
    data = read(folder, given="style")
    assert value(data, "style", "p00") == "bold" and value(data, "style", "p05") is None
    assert "10 of 12 items have no style" in data.notes and not any(
        "no pictures" in note for note in data.notes
    )
    (folder / "metadata.csv").write_text("a,b\n1,2\n")
    assert "metadata.csv has no row for any picture and was left out" in read(folder).notes


def test_metadata_in_the_folder_of_each_split(tmp_path: Path) -> None:
    for split in ("train", "test"):
        pictures(tmp_path / split, [f"{split[0]}{i}.png" for i in range(5)], seed=len(split))
        lines(
            tmp_path / split / "metadata.jsonl",
            [{"file_name": f"{split[0]}{i}.png", "size": i + len(split) / 2} for i in range(5)],
        )
    data = read(tmp_path, given="size")
    assert value(data, "size", "train_t3") == [5.5] and value(data, "size", "test_t0") == [2.0]
    assert data.given["size"].present.all()
    assert data.factors["size"].tolist() == data.given["size"].stored.flatten().tolist()


def zipped(folder: Path, path: Path, inside: str = "") -> Path:
    """All files of a folder as a zip."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for file in sorted(p for p in folder.rglob("*") if p.is_file()):
            made.write(file, Path(inside) / file.relative_to(folder))
    return path


@pytest.mark.parametrize("inside", ["", "photos", "a/b"])
def test_metadata_in_a_zip_is_that_of_the_folder(folder: Path, tmp_path: Path, inside: str) -> None:
    pictures(folder / "ink", [f"{i}.png" for i in range(3)], (4, 4), seed=1)
    rows = [{"file_name": f"p{i:02d}.png", "age": i / 2, "ink": f"ink/{i % 3}.png"} for i in range(N)]
    lines(folder / "metadata.jsonl", rows)
    asked = ["age", "ink:image"]
    one, other = (read(p, given=asked) for p in (folder, zipped(folder, tmp_path / "a.zip", inside)))
    assert one.source["digest"] == other.source["digest"] and one.notes == other.notes
    assert one.source["conditions"] == other.source["conditions"]
    assert other.given["age"].present.sum() == N and value(other, "age", "p03") == [1.5]
    again = reread(json.loads(json.dumps(other.source)))
    assert again.source == other.source


def test_metadata_in_a_zip_names_nothing_outside_of_it(folder: Path, tmp_path: Path) -> None:
    rows = [
        {"file_name": f"p{i:02d}.png", "ink": str(folder / "p00.png") if i else "p01.png"} for i in range(4)
    ]
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as made:
        for i in range(4):
            made.write(folder / f"p{i:02d}.png", f"p{i:02d}.png")
        made.writestr("metadata.jsonl", "\n".join(map(json.dumps, rows)))
    data = read(tmp_path / "a.zip", given="ink")
    assert data.given["ink"].present.tolist() == [True, False, False, False]
    assert any("no such file in the archive" in note for note in data.notes)


def test_tables_in_a_zip_are_not_trusted(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "metadata.csv").write_bytes(b"file_name,style\np00.png,bold\n" + b" " * 5000)
    path = zipped(folder, tmp_path / "a.zip")
    monkeypatch.setattr(tables, "LARGEST", 4000)
    with pytest.raises(DataError, match=r"a\.zip/metadata\.csv: more than"):
        read(path)
    monkeypatch.undo()
    raw = path.read_bytes()
    at = raw.index(b"metadata.csv") + len("metadata.csv")
    path.write_bytes(raw[:at] + bytes([raw[at] ^ 255, raw[at + 1] ^ 255]) + raw[at + 2 :])
    with pytest.raises(DataError, match=r"a\.zip/metadata\.csv: cannot be unpacked"):
        read(path)
    with zipfile.ZipFile(path, "w") as made:
        made.write(folder / "p00.png", "p00.png")
        made.writestr("metadata.csv", b"file_name,\xff\xfe\n")
    with pytest.raises(DataError, match="is not written in UTF-8"):
        read(path)


# beside the data


def test_a_table_beside_the_data(folder: Path) -> None:
    (folder.parent / "labels.csv").write_text(
        "id,style,age\n" + "".join(f"p{i:02d},{'bold' if i % 2 else 'fine'},{i}.5\n" for i in range(2, N + 3))
    )
    data = read(folder, given="labels.csv:style,labels.csv:age")
    assert value(data, "style", "p03") == "bold" and value(data, "age", "p03") == [3.5]
    assert value(data, "style", "p00") is None
    assert data.notes.count("3 of 13 rows of labels.csv belong to no item") == 1
    assert "2 of 12 items have no style" in data.notes
    assert data.source["options"]["given"] == [
        f"{folder.parent / 'labels.csv'}:{c}" for c in ("style", "age")
    ]
    assert reread(data.source).source == data.source


def test_the_names_may_be_stems_names_or_paths(tmp_path: Path) -> None:
    root = pictures(tmp_path / "root", ["a/x.png", "a/y.png", "b/x.png"])
    found = Found(paths=["a/x.png", "a/y.png", "b/x.png"])
    assert rows_of(found, ["a/x.png", "y", "root/b/x.jpg"]) == [0, 1, 2]
    assert rows_of(found, ["x", "c/y.png", "y.png", "y"]) == [
        None,
        2,
        None,
    ]  # two are called x; c/y is none of them
    assert rows_of(found, [".\\b\\x.png", None, 7]) == [None, None, 0]
    dotted = Found(paths=["v1.2.png", "v1.png"])
    assert rows_of(dotted, ["v1.2", "v1"]) == [0, 1]
    assert len(read(root)) == 3


def test_arrays_are_joined_in_their_order(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.random.default_rng(0).integers(0, 256, (5, 4, 4), np.uint8))
    lines(tmp_path / "c.jsonl", [{"caption": f"number {i}"} for i in range(5)])
    data = read(tmp_path / "x.npy", given="c.jsonl")
    assert data.conditions["caption"].unpack(data.given["caption"].stored[3].numpy()) == "number 3"
    lines(tmp_path / "c.jsonl", [{"caption": f"number {i}"} for i in range(6)])
    with pytest.raises(
        DataError, match="has 6 rows, and the items are 5 without names; give one row per item"
    ):
        read(tmp_path / "x.npy", given="c.jsonl:caption")
    with pytest.raises(DataError, match="the items have no names by which pictures of"):
        read(tmp_path / "x.npy", given=str(pictures(tmp_path / "ink", ["a.png"])))


@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [
        ("gone.csv:x", DataError, "gone.csv: there is no such file or folder to take conditions from"),
        ("gone/", DataError, "gone/: there is no such file or folder"),
        ("t.csv:stile", UsageError, "has no column 'stile'; did you mean 'style'?"),
        ("t.csv", UsageError, "say which column, such as t.csv:age"),
        (
            "other.csv:style",
            DataError,
            "no row belongs to any item; a column called file, file_name, name or id has",
        ),
        ("t.csv:style:lable", UsageError, "a condition can be no 'lable'; did you mean 'label'?"),
        ("t.csv:style,style=t.csv:age", UsageError, "'style' is asked for twice"),
        ("empty/", DataError, "the folder is empty"),
        ("ink/", DataError, "no picture is called as an item is, such as 'p00.png'"),
    ],
)
def test_what_is_not_beside_the_data(folder: Path, asked: str, error: type, message: str) -> None:
    (folder.parent / "t.csv").write_text("file,style,age\np00.png,a,1.5\np01,b,2.5\n")
    (folder.parent / "other.csv").write_text("file,style\nq,a\n")
    (folder.parent / "empty").mkdir()
    pictures(folder.parent / "ink", ["q.png"])
    with pytest.raises(error, match=message):
        read(folder, given=asked)


def test_what_is_asked_for_can_be_typed_again() -> None:
    texts = [
        "label",
        "caption:text",
        "/a/c.jsonl:name",
        "x=/a/c.jsonl:name:words",
        "/a=b/ink",
        "y=/a/ink",
        "/i.zip",
    ]
    assert [str(one) for one in asked_for(texts)] == texts
    assert [one.name for one in asked_for(texts)] == ["label", "caption", "name", "x", "ink", "y", "i"]
    assert asked_for(None) == asked_for([]) == [] and [one.name for one in asked_for(Path("a/ink/"))] == [
        "ink"
    ]


def test_where_things_are_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in ("here", "there"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "a.csv").write_text("x")
    monkeypatch.chdir(tmp_path / "here")
    assert located("a.csv", [tmp_path / "there"]) == tmp_path / "here" / "a.csv"
    assert located("/gone/a.csv", [tmp_path / "there"]) == tmp_path / "there" / "a.csv"
    assert located("b.csv", [tmp_path / "there"]) is None


# paired folders


def test_paired_folders(folder: Path) -> None:
    names = [f"p{i:02d}.jpg" for i in range(1, N)] + ["spare.jpg"]
    pictures(folder.parent / "outline", names, (16, 12), seed=2)
    data = read(folder, given="outline")  # a word that is no column, and is a folder beside the data
    kind = data.conditions["outline"]
    assert isinstance(kind, Image) and kind.size == (8, 6) and kind.channels == 1
    assert data.given["outline"].present.tolist() == [False] + [True] * (N - 1)
    for note in ("1 of 12 pictures of outline belong to no item", "1 of 12 items have no outline"):
        assert note in data.notes
    np.testing.assert_array_equal(
        data.given["outline"].stored[3].numpy(), kind.pack(folder.parent / "outline" / "p03.jpg")
    )
    assert data.batch([0, 3]).given["outline"].shape == (2, 1, 8, 6)
    assert reread(data.source).source == data.source
    with pytest.raises(DataError, match="outline: 1 of 12 items have no picture; complete them"):
        read(folder, given="outline/", strict=True)


def test_pictures_of_another_aspect_keep_it(folder: Path) -> None:
    pictures(folder.parent / "wide", [row["file"] for row in ROWS], (5, 10), seed=2)
    kind = read(folder, given="wide/").conditions["wide"]
    assert isinstance(kind, Image) and kind.size == (5, 10)


def test_a_damaged_partner_is_missing_and_named(folder: Path) -> None:
    pictures(folder.parent / "ink", [row["file"] for row in ROWS], seed=2)
    (folder.parent / "ink" / "p02.png").write_bytes(b"nothing")
    data = read(folder, given="ink/")
    assert data.given["ink"].present.nonzero().flatten().tolist() == [0, 1, *range(3, N)]
    assert any(note.startswith("ink: 1 of 12 pictures cannot be read") for note in data.notes)


def test_pictures_in_a_zip_are_paired_too(folder: Path) -> None:
    pictures(folder.parent / "ink", [row["file"] for row in ROWS], seed=2)
    with zipfile.ZipFile(folder.parent / "ink.zip", "w") as archive:
        for path in sorted((folder.parent / "ink").iterdir()):
            archive.write(path, f"ink/{path.name}")
    assert read(folder, given="ink.zip").given["ink"].present.all()
    with pytest.raises(DataError, match="do not fit into memory"):
        read(folder, given="ink.zip", limit=1e-9)


# again, and with a fitted kind


def test_changed_conditions_are_noticed(folder: Path) -> None:
    path = lines(folder.parent / "c.jsonl", ROWS)
    source = read(folder, given="c.jsonl:style").source
    lines(path, [*ROWS[:5], {**ROWS[5], "style": "fine"}, *ROWS[6:]])
    with pytest.raises(DataError, match="its conditions have changed since training"):
        reread(source)


def test_data_that_moved_with_its_table_is_read_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines(folder.parent / "c.jsonl", ROWS)
    monkeypatch.chdir(folder.parent)
    source = read("photo", given="c.jsonl:style").source
    moved = folder.parent.parent / f"{folder.parent.name}-moved"
    folder.parent.rename(moved)
    monkeypatch.chdir(moved)
    assert reread(source).source == source


def test_a_users_items_bring_their_conditions(folder: Path, tmp_path: Path) -> None:
    lines(folder.parent / "c.jsonl", ROWS)
    pictures(folder.parent / "ink", [row["file"] for row in ROWS], seed=2)
    data = read(folder, given="c.jsonl:caption,ink")
    new = pictures(tmp_path / "elsewhere" / "photo", ["p00.png", "new.png"], seed=5)
    again = read_with(new, data.kind, conditions=data.conditions, trained=data.source)
    assert again.given == {} and any(
        "has no column for caption, ink: read without" in note for note in again.notes
    )
    lines(
        new.parent / "c.jsonl",
        [{"file": "new.png", "caption": "a picture"}, {"file": "p00", "caption": "a Zebra"}],
    )
    pictures(new.parent / "ink", ["new.png"], (32, 24), seed=6)
    again = read_with(new, data.kind, conditions=data.conditions, trained=data.source)
    assert value(again, "caption", "new") == "a picture" and value(again, "ink", "p00") is None
    assert "1 of 2 items have no caption (unknown: a Zebra)" in again.notes
    assert again.given["ink"].kind is data.conditions["ink"] and value(again, "ink", "new").size == (6, 8)
    same = read_with(folder, data.kind, conditions=data.conditions, trained=data.source)
    assert all(torch.equal(same.given[n].stored, data.given[n].stored) for n in ("caption", "ink"))
    table = lines(new / "t.jsonl", [{"file": "new.png", "caption": "a number"}])
    assert value(read_with(table, data.kind, conditions=data.conditions), "caption", "new") == "a number"


def test_partly_labelled_texts_and_numbers(folder: Path) -> None:
    rows = [{"file": row["file"], "caption": row["caption"], "age": row["age"]} for row in ROWS]
    rows[3] = {"file": rows[3]["file"], "caption": None, "age": float("nan")}
    data = read(lines(folder / "t.jsonl", rows), given="caption,age")
    for name in ("caption", "age"):
        assert (~data.given[name].present).nonzero().flatten().tolist() == [3]
        assert f"1 of 12 items have no {name}" in data.notes
    assert data.given["caption"].stored[3].eq(0).all() and isinstance(data.conditions["age"], Vector)
    assert data.batch([3]).given["age"].isfinite().all()


def test_the_built_in_shapes_have_captions() -> None:
    data = read("shapes", given="caption:words,shape")
    kind = data.conditions["caption"]
    assert isinstance(kind, Text) and kind.unit == "words" and data.captions is not None
    assert kind.unpack(data.given["caption"].stored[5].numpy()) == data.captions[5]


def test_real_captions_are_read() -> None:
    root = SHARED / "noto_emoji"
    if not root.exists():
        pytest.skip(f"{root} is not here (ECTYPE_DATA names the folder)")
    asked = "text=captions.jsonl:name:words,captions.jsonl:keywords,captions.jsonl:group"
    data = read(root / "noto_emoji_128_png.zip", given=asked, size=16)
    assert [kind.name for kind in data.conditions.values()] == ["text", "attributes", "label"]
    assert value(data, "text", "emoji_u0030_20e3") == "keycap 0" and len(data) == 1373
    assert "1575 of 2948 rows of captions.jsonl belong to no item" in data.notes
    assert all(condition.present.all() for condition in data.given.values())

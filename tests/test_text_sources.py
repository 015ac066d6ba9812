"""Where texts come from: lines, documents, columns, lists; what is held back; what is refused or left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

import ectype.data.splits
import ectype.data.texts
from ectype.data.data import Data
from ectype.data.fitted import read_with
from ectype.data.found import SPLITS
from ectype.data.reading import read, reread
from ectype.errors import DataError, UsageError
from ectype.kinds.image import Image
from ectype.kinds.label import Label
from ectype.kinds.record import Record
from ectype.kinds.text import Text

POEMS = [f"{a} {b}\nof the {c}" for a in ("night", "dawn", "day") for b in ("song", "hymn") for c in "xyz"]


def rows(path: Path, table: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in table), encoding="utf-8")
    return path


def items(data: Data, split: str = "all") -> list[str]:
    return data.items(data.splits[split])


def kind_of(data: Data) -> Text:
    assert isinstance(data.kind, Text)
    return data.kind


@pytest.fixture
def poems(tmp_path: Path) -> Path:
    """A table of poems with titles, moods and one row without a poem."""
    table = [
        {"title": f"No {i}", "body": text, "mood": "sad" if i % 2 else "gay"} for i, text in enumerate(POEMS)
    ]
    return rows(tmp_path / "poems.jsonl", [*table, {"title": "lost", "mood": "sad"}])


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    root = tmp_path / "documents"
    for i, text in enumerate(POEMS):
        folder = root / ("odd" if i % 2 else "even")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{i:02d}.txt").write_text(f"{text}\n")
    return root


def test_a_column_is_what_is_made_and_the_others_can_be_given(poems: Path) -> None:
    data = read(poems, column="body", given="mood:label,title:words")
    assert items(data) == POEMS and "1 rows without a body were left out" in data.notes
    assert isinstance(data.conditions["mood"], Label) and isinstance(data.conditions["title"], Text)
    assert data.batch([1]).given["mood"].tolist() == [1]
    assert read(poems).kind.state() == data.kind.state()  # a column called body is found by itself
    again = reread(data.source)
    assert torch.equal(again.splits["test"], data.splits["test"]) and again.conditions.keys() == {
        "mood",
        "title",
    }
    mine = read_with(poems, data.kind, conditions=data.conditions, trained=data.source)
    assert items(mine) == POEMS and mine.given.keys() == {"mood", "title"}


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "json"])
def test_every_sort_of_table_holds_the_same_texts(tmp_path: Path, ending: str) -> None:
    path, mark = tmp_path / f"t.{ending}", "\t" if ending == "tsv" else ","
    if ending.startswith("json"):
        table = [{"n": i, "said": text} for i, text in enumerate(POEMS)]
        path.write_text("\n".join(map(json.dumps, table)) if ending == "jsonl" else json.dumps(table))
    else:
        cells = [f'{i}{mark}"{text}"' for i, text in enumerate(POEMS)]
        path.write_text("\r\n".join([f"n{mark}said", *cells]), encoding="utf-8-sig", newline="")
    data = read(path, kind="text")
    assert items(data) == POEMS and kind_of(data).unit == "characters"


def test_the_column_has_to_be_clear(poems: Path, tmp_path: Path) -> None:
    table = [{"a": "x", "b": f"y{i}", "n": i, "f": i / 2} for i in range(9)]
    path = rows(tmp_path / "t.jsonl", table)
    for options, message in (
        ({"kind": "text"}, r"several columns hold texts \(a, b\); say which one is to be made with column="),
        ({"column": "c"}, r"has no column 'c'; known: a, b, f, n"),
        ({"column": "f"}, r"the column 'f' holds no texts"),
        ({}, r"no column names pictures.*; for texts name one of them with column="),
    ):
        with pytest.raises(DataError, match=message):
            read(path, **options)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="no column holds texts; say which"):
        read(rows(tmp_path / "n.jsonl", [{"n": 1.5}]), kind="text")
    with pytest.raises(DataError, match="the column 'body' holds nothing, so no texts"):
        read(rows(tmp_path / "m.jsonl", [{"body": None, "n": 1}, {"body": " ", "n": 2}]), column="body")
    with pytest.raises(UsageError, match="column is for texts, and kind='vector' is none"):
        read(poems, kind="vector", column="body")
    with pytest.raises(UsageError, match="digits: column names a column of a table, and this is none"):
        read("digits", column="body")


def test_a_picture_can_be_given_to_a_text(tmp_path: Path) -> None:
    for i in range(6):
        Pillow.new("L", (4, 4), 40 * i).save(tmp_path / f"{i}.png")
    table = [{"file": f"{i}.png", "caption": f"a grey of {40 * i}"} for i in range(6)]
    path = rows(tmp_path / "t.jsonl", table)
    data = read(path, kind="text", given="file")
    assert items(data)[2] == "a grey of 80" and isinstance(data.conditions["file"], Image)
    assert isinstance(read(path).kind, Image)  # what names pictures is pictures unless it is said


def test_a_document_is_an_item_and_its_folder_the_label(documents: Path) -> None:
    (documents / "even" / "blank.txt").write_text(" \n")
    (documents / "even" / "about.md").write_text("no text of ours")
    data = read(documents, given="label")
    assert sorted(items(data)) == sorted(POEMS) and data.names[0] == "00"
    assert data.label_kind is not None and data.label_kind.classes == ("even", "odd")
    assert "1 files were left out, as they are no .txt" in data.notes
    assert "1 documents are empty and were left out" in data.notes
    table = rows(documents.parent / "more.jsonl", [{"name": f"{i:02d}", "year": 1900 + i} for i in range(18)])
    assert "year" in read(documents, given=f"{table}:year").conditions


def test_official_splits_of_documents_are_kept(tmp_path: Path) -> None:
    for i, text in enumerate(POEMS):
        folder = tmp_path / ("test" if i < 3 else "train")
        folder.mkdir(exist_ok=True)
        (folder / f"{i}.txt").write_text(text)
    assert sorted(items(read(tmp_path), "test")) == sorted(POEMS[:3])


def test_equal_texts_in_two_official_splits_are_noted(tmp_path: Path) -> None:
    where = ["train"] * 12 + ["test"] * 3 + ["valid"] * 3
    repeated = [*POEMS[:12], POEMS[0].upper(), POEMS[1], POEMS[14], POEMS[14], POEMS[16], POEMS[2]]
    table = [{"text": text, "split": split} for text, split in zip(repeated, where, strict=True)]
    told = "1 of 3 items of test are in train too, 1 of 3 items of select are in train too, 1 of 3 items of"
    assert f"{told} test are in select too: its own splits are kept" in " ".join(
        read(rows(tmp_path / "poems.jsonl", table)).notes
    )
    table = [{"text": text, "split": split} for text, split in zip(POEMS, where, strict=True)]
    assert not read(rows(tmp_path / "poems.jsonl", table)).notes


def test_official_splits_that_share_items_are_no_error_under_split_by(tmp_path: Path) -> None:
    where = ["train"] * 12 + ["test"] * 3 + ["valid"] * 3
    bodies = [*POEMS[:17], POEMS[0]]
    table = [{"text": t, "split": split, "poet": split} for t, split in zip(bodies, where, strict=True)]
    data = read(rows(tmp_path / "poems.jsonl", table), split_by="poet")
    assert "1 of 3 items of select are in train too" in " ".join(data.notes)


def test_a_list_of_texts_is_a_source() -> None:
    data = read((POEMS, {"n": list(range(len(POEMS)))}), kind="bytes", given="n:number")
    assert items(data) == POEMS and kind_of(data).unit == "bytes"
    with pytest.raises(DataError, match="item 1 of the list is an empty text; leave it out"):
        read(["a", " "])


# units: one spelling for the items and for a column


@pytest.mark.parametrize(("said", "unit"), [("text", "characters"), ("words", "words"), ("bytes", "bytes")])
def test_a_unit_is_said_as_the_kind(poems: Path, said: str, unit: str) -> None:
    data = read(poems, kind=said, column="body", given=f"title:{said}")
    title = data.conditions["title"]
    assert isinstance(title, Text) and (kind_of(data).unit, title.unit) == (unit, unit)
    assert read(poems, kind=said, joint=f"title:{said}").kind.name == "record"
    if said != "words":  # of which equal ones are equal by their words
        parts = [read(poems, kind=other).splits for other in ("text", said)]
        assert all(torch.equal(parts[0][name], parts[1][name]) for name in SPLITS)  # so that units compare
    with pytest.raises(UsageError, match="a condition can be no 'byte'; did you mean 'bytes'"):
        read(poems, given="title:byte")
    with pytest.raises(UsageError, match="kind='word' cannot be read; did you mean 'words'"):
        read(poems, kind="word")


def test_runs_of_bytes_are_learned_from_what_is_trained_on() -> None:
    pytest.importorskip("tokenizers")
    texts = [
        f"{a}{b} and {a}{b}" for a in ("qu", "zw", "vr", "kl", "ps") for b in ("ark", "orm", "unt", "elk")
    ]
    data = read((texts, {"note": texts[::-1]}), kind="bpe300", given="note:bpe300", joint="note2=note:bpe300")
    train = data.splits["train"].tolist()
    expected = Text.fit(texts, "bpe300", known=[texts[i] for i in train]).state()
    noted = Text.fit(texts, "bpe300", known=[texts[::-1][i] for i in train]).state()
    assert isinstance(data.kind, Record)
    assert [part.state() for part in data.kind.parts.values()] == [expected, noted]
    assert data.conditions["note"].state() == noted


# splits


@pytest.mark.parametrize("source", ["lines", "column", "documents"])
def test_equal_texts_never_stand_on_both_sides(tmp_path: Path, source: str) -> None:
    texts = [f"text {i % 20}" for i in range(100)]
    if source == "lines":
        path = tmp_path / "t.txt"
        path.write_text("\n".join(texts))
    elif source == "column":
        path = rows(tmp_path / "t.jsonl", [{"text": text, "n": i} for i, text in enumerate(texts)])
    else:
        path = tmp_path
        for i, text in enumerate(texts):
            (path / f"{i}.txt").write_text(text + "\n" * (i % 3))
    for kind, window in (("text", None), ("words", None), ("bytes", 3)):
        if source == "lines" and window:
            continue  # a .txt in windows is one stream
        data = read(path, kind=kind, window=window)
        sides = [set(items(data, name)) for name in SPLITS]
        if window is None:
            assert all(sides) and sum(map(len, sides)) == 20 and set.union(*sides) == set(texts)
        else:  # the pieces say which text they are of by its number only
            assert all(sides)


def test_texts_of_the_same_words_are_equal_to_a_model_of_words() -> None:
    texts = [f"word {i // 2}" + " " * (i % 2) + "." for i in range(60)]
    data = read(texts, kind="words")
    sides = [set(items(data, name)) for name in SPLITS]
    assert sum(map(len, sides)) == 30


def test_groups_of_texts_stay_together() -> None:
    data = read((POEMS, {"of": [i // 3 for i in range(18)]}), split_by="of")
    sides = [{i // 3 for i in data.splits[name].tolist()} for name in SPLITS]
    assert all(sides) and sum(map(len, sides)) == 6


# pieces


def test_documents_are_cut_into_pieces_and_only_the_last_has_an_end(documents: Path) -> None:
    data = read(documents, window=6, given="label")
    whole = ""
    of: list[int] = []
    for item, batch in zip(items(data), range(len(data)), strict=True):
        whole, of = whole + item, [*of, int((data.batch([batch]).x == 1).any())]
    assert whole == "".join(
        t for _, t in sorted(zip([i % 2 for i in range(18)], POEMS, strict=True), key=lambda p: p[0])
    )
    assert sum(of) == sum(len(text) % 6 > 0 for text in POEMS)
    assert len(set(data.names)) == len(data) == sum(-(-len(text) // 6) for text in POEMS)
    again = read_with(documents, data.kind, conditions=data.conditions, trained=data.source)
    assert items(again) == items(data)


@pytest.mark.parametrize("kind", ["bytes", "words", "bpe"])
def test_a_stream_is_cut_in_any_unit(tmp_path: Path, kind: str) -> None:
    if kind == "bpe":
        pytest.importorskip("tokenizers")
    path = tmp_path / "t.txt"
    path.write_text("\n".join(POEMS), encoding="utf-8")
    data = read(path, kind=kind, window=8)
    assert not (data.batch(data.splits["all"]).x < 2).any()  # full: a stream has no end
    ordered = torch.cat([data.splits[name].sort().values for name in SPLITS])
    assert torch.equal(ordered, data.splits["all"])
    if kind != "words":
        assert "\n".join(POEMS).startswith("".join(items(data)))


# bad input


def text_file(folder: Path, raw: bytes) -> Path:
    path = folder / "t.txt"
    path.write_bytes(raw)
    return path


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (b"a\n\n \n\tb\n", ["a", "\tb"]),
        (b"\xef\xbb\xbfa\nb", ["a", "b"]),
        (b"a\r\nb\rc\r\n", ["a", "b", "c"]),
        ("a\u2028b\u0085c\x0cd\ne".encode(), ["a\u2028b\u0085c\x0cd", "e"]),
    ],
)
def test_lines_end_where_a_file_says_so(tmp_path: Path, raw: bytes, found: list[str]) -> None:
    assert items(read(text_file(tmp_path, raw))) == found


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "holds no text"),
        (b" \r\n\t\n", "holds no text"),
        (b"a\nb\ncaf\xe9\n", r"line 3 is not written in UTF-8 \(byte 7\); save it as UTF-8"),
        ("a\nb".encode("utf-16"), "line 1 is not written in UTF-8"),
        (b"a\nb\0c\n", "line 2 holds a NUL character, so this is no text; save it as UTF-8"),
    ],
)
def test_what_is_no_text_is_named(tmp_path: Path, raw: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(text_file(tmp_path, raw))


def test_one_line_is_trained_on_and_nothing_is_held_back(tmp_path: Path) -> None:
    data = read(text_file(tmp_path, b"only one line"))
    assert [len(data.splits[name]) for name in SPLITS] == [1, 0, 0]
    assert any("too few different items to hold any back" in note for note in data.notes)


def test_what_is_too_long_is_left_out_and_counted(tmp_path: Path) -> None:
    lines = [*(f"line {i}" for i in range(30)), "x" * 1_000_000]
    path = text_file(tmp_path, "\n".join(lines).encode())
    data = read(path)
    assert items(data) == lines[:30] and kind_of(data).length == 8
    (note,) = data.notes
    assert note == (
        "1 texts were left out, first: a text of 1,000,000 characters, and there is room for 7: shorten it "
        "(1,024 at most make room); window= cuts long ones into pieces"
    )
    with pytest.raises(DataError, match="1 texts do not fit, first: a text of 1,000,000"):
        read(path, strict=True)
    with pytest.raises(DataError, match=r"1 texts do not fit, .*; window= cuts long ones into pieces"):
        read(text_file(tmp_path, b"x" * 1_000_000))


def test_nothing_left_to_train_on_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"{i}" for i in range(10)]
    train = read(texts).splits["train"].tolist()
    long = [text * 2000 if i in train else text for i, text in enumerate(texts)]
    real = ectype.data.splits.splits_of
    fixed = {"train": torch.tensor(train), "select": torch.tensor([]), "test": torch.tensor([])}
    monkeypatch.setattr(ectype.data.texts, "splits_of", lambda *a: real(*a) | fixed)
    with pytest.raises(
        DataError, match="all texts to train on were left out; 8 texts were left out, first: a"
    ):
        read(long)


def test_documents_that_are_no_text_are_all_counted(documents: Path) -> None:
    (documents / "odd" / "x.txt").write_bytes(b"a\n\xff")
    (documents / "odd" / "y.txt").write_bytes(b"\0")
    with pytest.raises(
        DataError, match=r"2 of 20 documents cannot be read, first: .*x\.txt: line 2 is not written"
    ):
        read(documents)
    empty = documents / "empty"
    empty.mkdir()
    (empty / "a.txt").write_text("\n")
    with pytest.raises(DataError, match=r"the folder holds no \.txt with any text"):
        read(empty)


def test_tables_of_texts_that_are_damaged(tmp_path: Path) -> None:
    def table(name: str, raw: bytes) -> Path:
        (tmp_path / name).write_bytes(raw)
        return tmp_path / name

    for name, raw, message in (
        ("a.csv", b"text,n\na,1\nb,c,2\n", "line 3 has 3 cells where the header has 2; put quotes around"),
        ("b.csv", b"text\nok\n\xe9\n", "line 3 is not written in UTF-8"),
        ("c.csv", b"text\nok\na\0b\n", "line 3 holds a NUL character"),
        ("d.jsonl", b'{"text": "ok"}\n{"text": "\\ud83d"}\n', "row 2 has half of a surrogate pair"),
        ("e.jsonl", b'{"text": ["a"]}\n', "the column 'text' holds no texts"),
    ):
        with pytest.raises(DataError, match=message):
            read(table(name, raw))
    short = read(table("f.csv", b"text,mood\na,x\nb\nc,y\n"), given="mood")
    assert items(short) == ["a", "b", "c"] and "1 of 3 items have no mood" in short.notes
    odd = read(table("g.csv", "text,n\na\u2028b,1\nc\u0085d,2\n".encode()))
    assert items(odd) == ["a\u2028b", "c\u0085d"]
    escaped = read(table("h.jsonl", b'{"text": "a\\u0000b"}\n'))
    assert items(escaped) == ["a\0b"] and escaped.kind.sheet(items(escaped)).height > 10


def test_what_was_never_seen_is_left_out_or_named(tmp_path: Path) -> None:
    data = read(POEMS)
    mine = read_with(["night song\nof the x", "Ωmega"], data.kind)
    assert items(mine) == ["night song\nof the x"]
    assert mine.notes == [f"1 texts were left out, first: {_unseen(kind_of(data), 'Ωmega')}"]
    bytewise = read(POEMS, kind="bytes").kind
    assert items(read_with(["Ωmega"], bytewise)) == ["Ωmega"]
    with pytest.raises(DataError, match="holds no text, and the model knows nothing else"):
        read_with(np.zeros((3, 2), np.float32), data.kind)


def _unseen(kind: Text, text: str) -> str:
    with pytest.raises(DataError, match="in no text that was learned from") as caught:
        kind.pack(text)
    return str(caught.value)

"""Texts as integers and back: any script, the end, what does not fit, and what a model may draw."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow

from ectype.errors import DataError, ModelFileError, OutputError, UsageError
from ectype.kinds.lettering import LINE, font_for, lettered, letters
from ectype.kinds.text import END, PADDING, Text
from ectype.shapes import Tokens

POEM = ["床前明月光", "疑是地上霜", "Ünïcode → 👩‍👩‍👧", "a  b\n\tc", " lead and trail "]
CAPTIONS = ["a small red circle, turned", "a large star.", "don't stop"]


@pytest.mark.parametrize("text", POEM)
def test_characters_of_any_script_come_back_exactly(text: str) -> None:
    kind = Text.fit(POEM)
    row = kind.pack(text)
    assert row.dtype == np.int32 and row.shape == kind.shape.form
    assert (
        row[len(text)] == END and (row[len(text) + 1 :] == PADDING).all() and (row[: len(text)] > END).all()
    )
    assert kind.unpack(row) == text


@given(st.lists(st.text(min_size=1).filter(str.strip), min_size=1, max_size=4))
def test_every_text_that_was_fitted_comes_back(texts: list[str]) -> None:
    kind = Text.fit(texts)
    assert [kind.unpack(kind.pack(text)) for text in texts] == texts
    words = Text.fit(texts, "words")
    for text in texts:
        if text and words.unpack(words.pack(text)):
            again = words.unpack(words.pack(text))
            assert words.unpack(words.pack(again)) == again


def test_words_and_punctuation_are_symbols() -> None:
    kind = Text.fit(CAPTIONS, "words")
    assert {",", ".", "don't", "red"} <= set(kind.symbols)
    assert kind.unpack(kind.pack("a  red\nstar , turned .")) == "a red star, turned."
    assert kind.length == 8 and kind.shape == Tokens(len(kind.symbols) + 2, (8,))


def test_the_length_is_the_longest_text_and_its_end_in_steps_of_eight() -> None:
    assert [Text.fit(["x" * n]).length for n in (1, 7, 8, 15, 16)] == [8, 8, 16, 16, 24]
    assert Text.fit(["x" * 5000]).length == 1032
    assert Text.fit(["abc"], length=4).pack("abc").tolist() == [2, 3, 4, 1]


@pytest.mark.parametrize(
    ("unit", "item", "message"),
    [
        ("characters", "", "the text is empty"),
        ("characters", " \n", "the text is empty"),
        ("words", "", "the text is empty"),
        ("characters", "a" * 32, "a text of 32 characters, and there is room for 31: shorten it"),
        ("characters", "a Zé", "the characters 'Z', 'é' were in no text that was learned from; known:  '"),
        (
            "words",
            "a smal cirle",
            "the words 'cirle', 'smal' were in no text .*; did you mean 'circle', 'small'",
        ),
        ("words", "zzz", "the words 'zzz' were in no text that was learned from$"),
        ("characters", 7, "7 is no text"),
    ],
)
def test_what_does_not_fit_is_named(unit: str, item: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Text.fit(CAPTIONS, unit).pack(item)


def test_what_cannot_be_fitted_is_refused() -> None:
    with pytest.raises(DataError, match="all texts are empty"):
        Text.fit(["", " "])
    with pytest.raises(UsageError, match="no unit 'word' of texts; did you mean 'words'"):
        Text(["a"], 8, unit="word")
    for symbols, length in (([], 8), (["a", "a"], 8), ([""], 8), (["a"], 1)):
        with pytest.raises(DataError):
            Text(symbols, length)


def test_whatever_a_model_draws_becomes_a_text() -> None:
    kind = Text(["a", "b"], 4)
    drawn = torch.tensor(
        [[2, 3, 2, 3], [2, 1, 3, 1], [1, 2, 2, 2], [2, 0, 3, 1], [9, -5, 2, 2], [3, 3, 1, 1]]
    )
    rows = kind.stored(drawn)
    assert rows.tolist() == [
        [2, 3, 2, 3],
        [2, 1, 0, 0],
        [1, 0, 0, 0],
        [2, 1, 0, 0],
        [3, 1, 0, 0],
        [3, 3, 1, 0],
    ]
    assert [kind.unpack(row) for row in rows] == ["aba" + "b", "a", "", "a", "b", "bb"]
    assert kind.tensor(torch.from_numpy(rows)).dtype == torch.int64
    assert np.array_equal(kind.stored(kind.tensor(torch.from_numpy(rows))), rows)


def test_state_is_json_and_restores() -> None:
    for kind in (Text.fit(POEM), Text.fit(CAPTIONS, "words")):
        again = Text.restore(json.loads(json.dumps(kind.state())))
        assert again.state() == kind.state() and again.shape == kind.shape
        assert (kind.network, kind.likelihood) == ("recurrent", "categorical")
    for state in ({}, {"symbols": "ab", "length": 4, "unit": "words"}, {**kind.state(), "unit": "letters"}):
        with pytest.raises(ModelFileError, match="damaged"):
            Text.restore(state)


def test_files_and_sheets(tmp_path: Path) -> None:
    kind = Text.fit(POEM)
    paths = kind.write(POEM, tmp_path / "new")
    assert [path.name for path in paths[:2]] == ["0000.txt", "0001.txt"]
    assert paths[0].read_text(encoding="utf-8") == POEM[0] + "\n"
    assert kind.write(["\ud800"], tmp_path / "odd")[0].exists()
    with pytest.raises(OutputError, match="cannot be written"):
        kind.write(POEM, paths[0] / "in")


def test_a_sheet_can_be_read() -> None:
    one, long = lettered(["a cat"]), lettered(["word " * 200])
    ink = np.asarray(one.convert("L"))
    assert (ink < 100).sum() > 20 and one.width < 300
    assert one.height < long.height <= 9 * LINE
    assert lettered(["x"] * 9, 8).width == 4 * one.width
    assert isinstance(lettered([]), Pillow.Image) and lettered(["", " "]).height > 10
    assert font_for("plain words")[1] == set()
    for text in ("床", "\U000f1234"):  # a font here has it, or its number is shown: never an empty cell
        assert (np.asarray(lettered([text]).convert("L")) < 100).any()
    assert font_for("\U000f1234")[1] == {"\U000f1234"}
    assert font_for("a\u200d\u200fb")[1] == set()  # joiners and directions are not drawn


@pytest.mark.parametrize(
    ("word", "parts"),
    [
        ("ที่นี่", ["ที่", "นี่"]),  # Thai vowels and tones stand above their consonant
        ("क्षत्रिय", ["क्ष", "त्रि", "य"]),  # Hindi consonants without a vowel join the next
        ("مُحَمَّد", ["مُ", "حَ", "مَّ", "د"]),
        ("e\u0301té", ["e\u0301", "t", "é"]),
        ("床前", ["床", "前"]),
        ("👩\u200d🚀!", ["👩\u200d🚀", "!"]),
    ],
)
def test_a_line_breaks_between_letters_and_not_before_a_mark(word: str, parts: list[str]) -> None:
    assert letters(word) == parts


def test_a_line_far_too_long_makes_no_room_and_no_symbols() -> None:
    kind = Text.fit(["abc", "ab", "Ω" * 1_000_000])
    assert kind.length == 8 and kind.symbols == ("a", "b", "c")
    assert Text.fit(["a" * 5000]).length == 1032  # where all are, they are left out by this

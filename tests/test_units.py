"""What counts as a symbol of a text: characters, words, bytes and runs of bytes, there and back."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ectype.errors import DataError, MissingExtra, ModelFileError, UsageError
from ectype.kinds.text import Text
from ectype.kinds.units import BYTES, SAID, is_unit, unit_of

SCRIPTS = [
    "床前明月光，疑是地上霜。",
    "שלום עולם",
    "مرحبا بالعالم",
    "e\u0301 is not é",
    "👩‍👩‍👧 🏳️‍🌈 👍🏽",
    "a  b\n\tc ",
    "nul \0 too",
]
LINES = ["the cat sat on the mat", "the dog sat on the log", "the frog sat on the cat"] * 4
LIBRARY = "tokenizers"


@pytest.mark.parametrize("unit", ["text", "bytes", "bpe"])
@pytest.mark.parametrize("text", SCRIPTS)
def test_any_script_comes_back_exactly(unit: str, text: str) -> None:
    if unit == "bpe":
        pytest.importorskip(LIBRARY)
    kind = Text.fit([*SCRIPTS, *LINES], unit)
    assert kind.unpack(kind.pack(text)) == text
    again = Text.restore(json.loads(json.dumps(kind.state())))
    assert again.state() == kind.state() and np.array_equal(again.pack(text), kind.pack(text))


@given(st.text(min_size=1, max_size=40).filter(str.strip))
def test_no_text_is_unseen_by_bytes(text: str) -> None:
    kind = Text(BYTES, 200, unit="bytes")
    assert kind.unpack(kind.pack(text)) == text and kind.shape.vocabulary == 258


@given(st.text(min_size=1, max_size=40).filter(str.strip))
def test_no_text_is_unseen_by_runs_of_bytes(text: str) -> None:
    pytest.importorskip(LIBRARY)
    kind = Text.fit(LINES, "bpe300", length=200)
    assert kind.unpack(kind.pack(text)) == text


def test_frequent_runs_are_symbols() -> None:
    pytest.importorskip(LIBRARY)
    kind = Text.fit(LINES, "bpe270")
    assert len(kind.symbols) == 270 and {" the", "at"} <= set(kind.symbols)
    assert len(kind.numbered(LINES[0])) < len(LINES[0]) / 2
    assert Text.fit(LINES, "bpe270").state() == kind.state()  # the same from the same texts
    assert len(Text.fit(LINES, "bpe").symbols) < 400  # no pair occurs twice any more
    other = Text.fit(LINES, "bpe270", known=["zebra zebra"])
    assert " the" not in other.symbols and "zebra" in other.symbols


def test_bytes_that_are_no_text_are_shown_as_such() -> None:
    kind = Text(BYTES, 8, unit="bytes")
    row = kind.row(np.array([0xE5 + 2, 0xBA + 2, ord("a") + 2], np.int32))
    assert kind.unpack(row) == "\ufffda"


def test_without_its_package_runs_of_bytes_are_read_and_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    state = {"symbols": [*BYTES, "th", "the"], "length": 8, "unit": "bpe"}
    state["merges"] = [["t", "h"], ["th", "e"]]
    monkeypatch.setitem(sys.modules, LIBRARY, None)
    kind = Text.restore(state)
    assert kind.unpack(kind.row(np.array([259, ord("n") + 2], np.int32))) == "then"
    for needs in (lambda: kind.pack("then"), lambda: Text.fit(LINES, "bpe")):
        with pytest.raises(MissingExtra, match=r"needs tokenizers: pip install 'ectype\[bpe\]'"):
            needs()


def test_the_merges_of_a_file_are_those_that_are_used() -> None:
    pytest.importorskip(LIBRARY)
    kind = Text([*BYTES, "th", "the"], 8, unit="bpe", merges=(("t", "h"), ("th", "e")))
    assert kind.part("then") == ["the", "n"]


def test_what_a_user_says() -> None:
    assert all(map(is_unit, [*SAID, "bpe4000"])) and not any(map(is_unit, ["bpe0", "bpe-1", "label", None]))
    assert [unit_of(said) for said in ("text", "bpe", "bpe4000", "characters")] == [
        ("characters", None),
        ("bpe", None),
        ("bpe", 4000),
        ("characters", None),
    ]
    with pytest.raises(UsageError, match="no unit 'byte' of texts; did you mean 'bytes'"):
        unit_of("byte")
    pytest.importorskip(LIBRARY)
    with pytest.raises(UsageError, match="bpe256: from 257 to 65,536 symbols, the 256 bytes among them"):
        Text.fit(LINES, "bpe256")


@pytest.mark.parametrize("unit", ["text", "words", "bytes", "bpe"])
def test_half_a_surrogate_pair_is_no_text(unit: str) -> None:
    if unit == "bpe":
        pytest.importorskip(LIBRARY)
    kind = Text.fit(LINES, unit)
    for fails in (lambda: kind.pack("a \ud83d"), lambda: Text.fit([*LINES, "a \ud83d"], unit)):
        with pytest.raises(DataError, match="character 3 is half of a surrogate pair, which is no text"):
            fails()


@pytest.mark.parametrize(
    "changed",
    [
        {"symbols": ["a", "b"]},
        {"symbols": [*BYTES, "床"]},
        {"merges": [["t", "h"]]},
        {"merges": [["t"]]},
        {"merges": 7},
        {"symbols": [*BYTES, 5]},
    ],
)
def test_a_file_with_other_symbols_is_damaged(changed: dict[str, object]) -> None:
    with pytest.raises(ModelFileError, match="describes no text kind .*: damaged"):
        Text.restore({"symbols": list(BYTES), "length": 8, "unit": "bpe", **changed})

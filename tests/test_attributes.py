"""Tags: every way to say them, what does not exist, and the way back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from ectype.errors import DataError, ModelFileError, OutputError
from ectype.kinds.attributes import Attributes
from ectype.shapes import Row

KIND = Attributes.fit([["red", "small"], "round|blue", [], {"flat": True, "wide": False}])


def test_the_tags_are_those_that_occur() -> None:
    assert KIND.tags == ("blue", "flat", "red", "round", "small", "wide")
    assert KIND.shape == Row((1,) * 6)
    assert (KIND.network, KIND.likelihood, KIND.likelihood_options) == ("mlp", "bernoulli", {"levels": 2})


@pytest.mark.parametrize(
    ("item", "row"),
    [
        (["small", "red"], [0, 0, 1, 0, 1, 0]),
        ("red | small", [0, 0, 1, 0, 1, 0]),
        ({"red", "small"}, [0, 0, 1, 0, 1, 0]),
        ({"red": True, "small": 0.25, "blue": None, "flat": False}, [0, 0, 1, 0, 0.25, 0]),
        ("", [0] * 6),
        ([], [0] * 6),
    ],
)
def test_tags_can_be_said_in_many_ways(item: object, row: list[float]) -> None:
    packed = KIND.pack(item)
    assert packed.dtype == np.float32 and packed.tolist() == row


def test_tags_come_back() -> None:
    for tags in (["red", "small"], [], list(KIND.tags)):
        assert KIND.unpack(KIND.pack(tags)) == tags
    stored = torch.from_numpy(np.stack([KIND.pack("red"), KIND.pack({"blue": 0.5})]))
    np.testing.assert_array_equal(KIND.stored(KIND.tensor(stored)), stored)
    wild = torch.tensor([[2.0, -1.0, float("nan"), 0.6, 0.5, 0.0]])
    assert KIND.unpack(KIND.stored(wild)[0]) == ["blue", "round"]


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (
            "ret",
            r"there is no tag 'ret'; did you mean 'red'\? \(there are: blue, flat, red, round, small, wide\)",
        ),
        (["qqq"], "there is no tag 'qqq'; known: blue, flat, red"),
        (7, "7 is no list of tags, such as 'red|small'"),
        ([["red"]], "is no list of tags"),
        ({"red": "very"}, "says not yes, no or a number from 0 to 1"),
        ({"red": 2}, "a share from 0 to 1, and 'red' to 2"),
        ({"red": float("nan")}, "a share from 0 to 1, and 'red' to nan"),
    ],
)
def test_what_is_no_set_of_tags_is_refused(item: object, message: str) -> None:
    with pytest.raises(DataError, match=message.replace("|", r"\|")):
        KIND.pack(item)


def test_no_tag_at_all_is_nothing_to_learn_from() -> None:
    with pytest.raises(DataError, match="no item has any tag"):
        Attributes.fit([[], ""])
    with pytest.raises(DataError, match="different names"):
        Attributes(["a", "a"])


def test_state_files_and_sheets(tmp_path: Path) -> None:
    assert Attributes.restore(json.loads(json.dumps(KIND.state()))).tags == KIND.tags
    for state in ({}, {"tags": "abc"}, {"tags": []}):
        with pytest.raises(ModelFileError, match="damaged"):
            Attributes.restore(state)
    items = [["red", "small"], []]
    (path,) = KIND.write(items, tmp_path)
    assert path.read_text() == "red|small\n\n"
    with pytest.raises(OutputError, match="cannot be written"):
        KIND.write(items, path / "in")
    assert KIND.sheet(items).height > 20 and KIND.sheet([]).width > 0

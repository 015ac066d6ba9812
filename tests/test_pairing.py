"""Whether made items go with the text or the picture they were asked for, as a judge of pairs sees it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

import ectype as ec
from ectype.data.data import Condition, Data
from ectype.errors import DataError
from ectype.jobs.comparing import compared, make
from ectype.jobs.inputs import items_of
from ectype.kinds.text import Text
from ectype.metrics import Score
from ectype.metrics.conditions import warning
from ectype.metrics.pairing import PAIRING, TEN, Pairing, alike, pairing
from ectype.runs import Run

WORDS = [
    f"{place} {tone}" for place in ("top", "middle", "bottom") for tone in ("red", "green", "blue", "grey")
]


def captioned(n: int = 400) -> Data:
    """Pictures of one bar, whose place and colour the caption says."""
    random = np.random.default_rng(0)
    which = random.integers(len(WORDS), size=n)
    pictures = random.integers(0, 40, size=(n, 9, 9, 3)).astype(np.uint8)
    for picture, w in zip(pictures, which, strict=True):
        row, tone = 3 * (w // 4), w % 4
        picture[row : row + 3, :, (tone,) if tone < 3 else (0, 1, 2)] = 220
    data = ec.read(pictures)
    captions = [WORDS[w] for w in which]
    kind = Text.fit(captions, unit="words")
    stored = torch.from_numpy(np.stack([kind.pack(caption) for caption in captions]))
    data.given = {"caption": Condition(kind, stored, torch.ones(n, dtype=torch.bool))}
    return data


@pytest.fixture(scope="module")
def data() -> Data:
    return captioned()


@pytest.fixture(scope="module")
def judge(data: Data) -> Pairing:
    return Pairing(data, "caption", data.given["caption"].kind, seed=0)


def held_out(data: Data) -> tuple[Tensor, Tensor]:
    batch = data.batch(data.splits["test"])
    return batch.x, batch.given["caption"]


def test_real_pairs_are_found_and_dealt_out_ones_are_not(data: Data, judge: Pairing) -> None:
    x, captions = held_out(data)
    own = judge.picks(x, captions, 0)
    assert own is not None and float(own.float().mean()) > 0.9
    other = captions[torch.randperm(len(captions), generator=torch.Generator().manual_seed(1))]
    dealt = judge.picks(x, other, 0)
    assert dealt is not None and float(dealt.float().mean()) < 0.45  # some keep a caption like their own
    (score,) = pairing("caption", own, own, split="test", seed=0)
    assert score.name == "pairing: caption" and score.floor == 1 / TEN
    assert "own condition among 10; the judge gets" in score.note and warning(score) == ""


def test_the_same_seed_is_the_same_judge(data: Data, judge: Pairing) -> None:
    again = Pairing(data, "caption", data.given["caption"].kind, seed=0)
    x, captions = held_out(data)
    assert torch.equal(again.items(x), judge.items(x))
    assert torch.equal(again.conditions(captions), judge.conditions(captions))


def test_an_item_is_never_judged_against_its_own_words(data: Data, judge: Pairing) -> None:
    x, captions = held_out(data)
    once = alike(captions)
    assert torch.equal(once, (captions.unsqueeze(0) == captions.unsqueeze(1)).all(2))
    few = captions[:1].expand(len(captions), -1)
    assert judge.picks(x, few, 0) is None  # one and the same text: there is nothing to pick from


def test_chance_is_a_warning_and_a_blind_judge_says_nothing() -> None:
    chance = torch.arange(500) % 10 == 0
    (score,) = pairing("caption", chance, ~chance, split="test", seed=0)
    assert "made items do not heed 'caption': pairing is 0.1, and 0.1 by chance" in warning(score)
    assert pairing("caption", ~chance, chance, split="test", seed=0) == []
    assert pairing("caption", None, ~chance, split="test", seed=0) == []


def test_too_few_pairs_are_refused() -> None:
    data = captioned(8)
    with pytest.raises(DataError, match="a judge of pairs needs 10 training items with 'caption'"):
        Pairing(data, "caption", data.given["caption"].kind)


def test_evaluate_judges_texts(data: Data) -> None:
    model = ec.build("gan", data, width=8, depth=1)
    list(ec.fit(model, data, steps=2))
    run = Run(model, data.kind, data.conditions, model.spec)
    items = items_of(run, data, split="test")
    names = {score.name: score for score in compared(run, items, data, seed=0, judged=True)}
    found = names[f"{PAIRING}: caption"]
    assert isinstance(found, Score) and found.n == int(make(run, items, 0).kept["caption"].sum())
    assert found.value < 0.5  # after two steps nothing is heeded

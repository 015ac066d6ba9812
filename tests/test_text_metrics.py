"""Numbers for texts: against values computed by hand, and what has to hold for any texts."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ectype.kinds.text import Text
from ectype.metrics import REAL, Score
from ectype.metrics.grams import Grams
from ectype.metrics.likeness import chrf, common, edits, levenshtein, likeness, rouge
from ectype.metrics.texts import References, Words, copied, distinct, said, texts

KIND = Text("abcdefghijklmnopqrstuvwxyz ", 24)


def stored(*lines: str) -> np.ndarray:
    return np.stack([KIND.pack(line) for line in lines])


def symbols(*lines: str) -> list[Words]:
    return said(stored(*lines))


def words(*lines: str) -> list[Words]:
    known = sorted({word for line in lines for word in line.split()})
    return [tuple(2 + known.index(word) for word in line.split()) for line in lines]


def test_a_text_ends_at_its_end() -> None:
    assert said(np.array([[3, 4, 1, 0], [5, 6, 7, 8], [1, 0, 0, 0], [3, 1, 5, 5]])) == [
        (3, 4),
        (5, 6, 7, 8),
        (),
        (3,),
    ]


def test_bleu_as_papineni_counts() -> None:
    # Papineni et al., section 2.1, example 2: modified precision 2/7
    odd, one, two = words("the the the the the the the", "the cat is on the mat", "there is a cat on the mat")
    refs = References([one, two], 2)
    assert refs.bleu(odd)[0] == pytest.approx(2 / 7)  # 7 symbols, the nearest reference has 7: not brief
    assert refs.bleu(odd)[1] == pytest.approx(math.sqrt(2 / 7 * 0.1 / 6))  # no pair: 0.1 of 6
    assert refs.bleu(one) == pytest.approx([1, 1])
    # 3 of 3 symbols, 1 of 2 pairs (the cat); nearest length 6, so exp(1 - 6/3)
    brief = words("the cat mat", "the cat is on the mat")
    assert References(brief[1:], 2).bleu(brief[0]) == pytest.approx(
        [math.exp(-1), math.exp(-1) * math.sqrt(0.5)]
    )
    assert refs.bleu(()) == refs.bleu((99, 98)) == [0, 0]


def test_of_two_references_equally_near_the_shorter_counts() -> None:
    refs = References(symbols("abcd", "ab"), 1)
    assert refs.bleu(symbols("abc")[0]) == pytest.approx([1.0])


def test_a_text_is_no_reference_for_itself() -> None:
    rows = symbols("abab", "abcd", "zzab", "xyzq")
    for most in (2, 4):
        among = References(rows, most)
        for i, text in enumerate(rows):
            alone = References(rows[:i] + rows[i + 1 :], most).bleu(text)
            assert among.bleu(text, among=True) == pytest.approx(alone)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text("abc", min_size=1, max_size=6), min_size=2, max_size=6))
def test_leaving_one_out_is_the_same_as_asking_the_others(lines: list[str]) -> None:
    rows = symbols(*lines)
    among = References(rows, 3)
    for i, text in enumerate(rows):
        alone = References(rows[:i] + rows[i + 1 :], 3)
        assert among.bleu(text, among=True) == pytest.approx(alone.bleu(text))


def test_different_ngrams_are_a_share() -> None:
    rows = symbols("aab", "ab")  # a a b a b; aa ab ab; aab
    assert [distinct(rows, n) for n in (1, 2, 3, 4)] == [2 / 5, 2 / 3, 1, 0]


def slow_copied(text: str, train: list[str]) -> int:
    spans = (text[i:j] for i in range(len(text)) for j in range(i + 1, len(text) + 1))
    return max((len(s) for s in spans if any(s in line for line in train)), default=0)


@settings(max_examples=60, deadline=None)
@given(*(st.lists(st.text("ab", min_size=1, max_size=9), min_size=1, max_size=6) for _ in range(2)))
def test_the_longest_copy_is_found(made: list[str], train: list[str]) -> None:
    assert copied(stored(*made), stored(*train)).tolist() == [slow_copied(text, train) for text in made]


def test_no_copy_goes_from_one_text_into_the_next() -> None:
    assert copied(stored("abcd", "zz"), stored("ab", "cd")).tolist() == [2, 0]


def found(*args: np.ndarray, **options: object) -> dict[str, Score]:
    return {score.name: score for score in texts(*args, **options)}  # type: ignore[arg-type]


def test_each_number_stands_beside_that_of_real_texts() -> None:
    train, real, others = stored("mary", "anna", "otto"), stored("maria", "hanna"), stored("mary", "anna")
    scores = found(stored("mary", "marx"), real, train, others, unit="characters")
    assert scores["novelty"].value == 0.5 and scores["novelty"].floor == 1
    assert scores["copied"].value == 3.5 and scores["copied"].floor == 3.5  # mary, mar; mar, anna
    assert scores["copied at most"].value == 4 and scores["copied at most"].unit == "characters"
    assert scores["distinct-1"].value == 5 / 8 and scores["distinct-1"].floor == 5 / 8  # m a r y x; m a r y n
    assert scores["self-bleu-2"].better == "lower" and scores["self-bleu-2"].floor is not None
    assert all(score.floor_name == REAL and score.n == 2 and not score.enough for score in scores.values())
    assert "against 2 texts" in scores["bleu-3"].note and "smoothing 1" in scores["bleu-3"].note


def test_without_training_texts_nothing_is_said_of_copies() -> None:
    scores = found(stored("abcd"), stored("abde", "xyzw"))
    assert set(scores) == {f"distinct-{n}" for n in (1, 2, 3)} | {f"bleu-{n}" for n in (2, 3, 4)}
    assert scores["bleu-2"].floor is None and scores["bleu-2"].floor_name == ""
    known = found(stored("abc", "abc"), stored("abd"), stored("abc"), held_out=False)
    assert known["novelty"].floor is None and known["novelty"].value == 0
    assert known["self-bleu-3"].value == pytest.approx(1)


def test_bleu_is_of_ngrams_that_most_real_texts_have() -> None:
    made, train = stored("abcdef", "abc"), stored("a")
    for real, most in ((["abc", "abcd", "abcdef"], 4), (["abcde", "ab", "abcdef"], 5), (["a", "b"], 1)):
        scores = found(made, stored(*real), train)
        for name in ("bleu", "self-bleu"):
            assert [n for n in range(1, 7) if f"{name}-{n}" in scores] == list(range(2, most + 1))
        assert "copied" in scores
    assert not {"copied", "copied at most"} & set(found(made, made, train, copies=False))


LINES = ["abab", "abba", "cab", "abacab", "b", "aaab"]


def grams(order: int) -> Grams:
    return Grams(stored(*LINES), order, len(KIND.symbols) + 1)


def test_an_ngram_is_a_distribution_and_counts_as_witten_and_bell() -> None:
    model = grams(3)
    for before in ((0, 0), (0, 3), (3, 4), (9, 4), (9, 9)):
        assert sum(model.p(before, symbol) for symbol in range(1, 29)) == pytest.approx(1)
    # the first symbol is a 4 times, c and b once each; alone: a 11 of 28, three symbols and the end
    a = KIND.numbers["a"]
    alone = (11 + 4 / 28) / (28 + 4)
    start = (4 + 3 * alone) / (6 + 3)
    assert grams(2).p((0,), a) == pytest.approx(start)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_an_ngram_draws_as_its_temperature_says(temperature: float) -> None:
    model, n = grams(3), 20_000
    made = model.draw(n, 2, temperature=temperature, seed=1)
    assert np.array_equal(made, model.draw(n, 2, temperature=temperature, seed=1))
    wanted = np.array([model.p((0, 0), symbol) for symbol in range(1, 29)]) ** (1 / temperature)
    own = np.bincount(made[:, 0], minlength=29)[1:] / n
    assert np.abs(own - wanted / wanted.sum()).max() < 0.015
    assert (made[made[:, 0] == 1, 1] == 0).all()


def test_pieces_of_a_stream_do_not_end_for_an_ngram() -> None:
    pieces = np.array([[2, 3, 2, 3], [3, 2, 3, 2]])
    made = Grams(pieces, 3, 3).draw(200, 8, temperature=0.25)
    assert (made > 1).mean() > 0.95


def tensor(*lines: str) -> torch.Tensor:
    return torch.from_numpy(stored(*lines)).float()


def slow_edits(a: str, b: str) -> int:
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        last, row = row, [i]
        for j, y in enumerate(b, 1):
            row.append(min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (x != y)))
    return row[-1]


@settings(max_examples=60, deadline=None)
@given(*(st.lists(st.text("abc", min_size=1, max_size=9), min_size=4, max_size=4) for _ in range(2)))
def test_edit_distances(one: list[str], two: list[str]) -> None:
    x, y = tensor(*one), tensor(*two)
    assert levenshtein(x, y).tolist() == [slow_edits(a, b) for a, b in zip(one, two, strict=True)]
    assert torch.equal(levenshtein(x, y), levenshtein(y, x))
    # with neither replacements: |a| + |b| - 2 LCS is at least the distance
    lengths = torch.tensor([len(a) + len(b) for a, b in zip(one, two, strict=True)])
    assert bool((levenshtein(x, y) <= lengths - 2 * common(x, y)).all())


def test_known_edit_distances_and_subsequences() -> None:
    x, y = tensor("kitten", "abcbdab"), tensor("sitting", "bdcaba")
    assert levenshtein(x, y).tolist() == [3, 5]
    assert common(x, y).tolist() == [4, 4]  # ittn; bcba
    assert edits(x, y).tolist() == pytest.approx([3 / 6, 5 / 7])
    assert rouge(x, y).tolist() == pytest.approx([8 / 13, 8 / 13])
    empty = torch.tensor([[1.0] + [0.0] * 23] * 2)
    assert levenshtein(x, empty).tolist() == [6, 7] and rouge(empty, empty).tolist() == [0, 0]


def test_rouge_as_lin_has_it() -> None:
    # section 3.1: "police killed the gunman", "police kill the gunman", "the gunman kill police"
    rows = words("police killed the gunman", "police kill the gunman", "the gunman kill police")
    one, two, three = (torch.tensor([row]) for row in rows)
    assert float(rouge(one, two)) == 3 / 4 and float(rouge(one, three)) == 2 / 4


def test_chrf_by_hand() -> None:
    assert chrf("abcdef", "abcdef") == pytest.approx(1)
    assert chrf("abc", "xyz") == 0 and chrf("", "") == 0 and chrf("a b", "ab") == pytest.approx(1)
    # "ab" for "abc": precisions 1, 1 and 0 (no trigram), recalls 2/3, 1/2, 0
    p, r = 2 / 3, (2 / 3 + 1 / 2) / 3
    assert chrf("abc", "ab") == pytest.approx(5 * p * r / (4 * p + r))


def test_pairs_stand_beside_those_of_other_items() -> None:
    lines = ["abc", "def", "ghi"]
    x = tensor(*lines)
    scores = likeness(x, x, (lines, lines), split="test", seed=0)
    assert [(s.name, s.value, s.floor, s.floor_name) for s in scores] == [
        ("rouge-l", 1, 0, "another item's"),
        ("chrf", 1, 0, "another item's"),
    ]
    assert likeness(x[:1], x[:1], (lines[:1], lines[:1]))[0].floor is None

"""Texts and labels that a critic judges: straight-through one-hots, and games played with them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import ectype as ec
from ectype.data.batch import Batch
from ectype.data.data import Data
from ectype.data.store import Resident
from ectype.errors import UsageError
from ectype.kinds.text import Text
from ectype.likelihoods.gumbel import Gumbel
from ectype.likelihoods.point import Point
from ectype.likelihoods.written import END, PADDING
from ectype.models.gan import GAN
from ectype.models.inversion import Inverted
from ectype.models.lifting import lifted
from ectype.shapes import Grid, Shape, Tokens

TEXT, LABEL = Tokens(6, (7,)), Tokens(4)
BOTH = pytest.mark.parametrize("shape", [TEXT, LABEL], ids=["text", "label"])
WORDS = ["a", "ab", "abc", "cab", "bb", "c"]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbers(shape: Tokens, n: int = 200) -> Tensor:
    return torch.randn(n, shape.vocabulary, shape.sites, generator=generator(1))


def words(n: int = 60) -> Data:
    kind = Text.fit(WORDS)
    stored = Resident(torch.from_numpy(np.stack([kind.pack(WORDS[i % len(WORDS)]) for i in range(n)])))
    at = torch.arange(n)
    return Data(kind, stored, {"train": at[:40], "select": at[40:50], "test": at[50:], "all": at})


def game(**options: Any) -> tuple[GAN, Batch]:
    """A small GAN of words, none of whose layers is zero, and twelve words."""
    sizes = {} if "network" in options else {"width": 4, "depth": 1}
    model = ec.build("gan", words(), latent=4, **sizes, **options)
    assert isinstance(model, GAN)
    with torch.no_grad():
        for p in model.parameters():
            p += 0.1 * torch.randn(p.shape, generator=generator(1))
    return model, words().batch(range(12))


# ---- what is emitted ----


@BOTH
@pytest.mark.parametrize("relaxation", [0.1, 1.0, 10.0])
def test_what_is_emitted_is_the_draw_as_exact_one_hots(shape: Tokens, relaxation: float) -> None:
    p = Gumbel(shape, relaxation=relaxation)(numbers(shape))
    emitted, drawn = p.emitted(generator()), p.draw(generator())
    assert emitted.shape == (200, shape.vocabulary, shape.sites) and drawn.shape == (200, *shape.form)
    assert set(emitted.unique().tolist()) == {0.0, 1.0} and bool((emitted.sum(1) == 1).all())
    assert torch.equal(emitted.argmax(1).view(drawn.shape), drawn)
    # to a critic it is what a real item of the same symbols is
    assert torch.equal(lifted(Batch(drawn), shape).x, emitted)


def test_every_text_ends_once_and_only_padding_follows() -> None:
    for h in (numbers(TEXT), torch.zeros(200, 6, 7), -20 * F.one_hot(torch.tensor(END), 6)[:, None]):
        p = Gumbel(TEXT)((h * torch.ones(200, 6, 7)).float())
        for x in (
            p.draw(generator()),
            p.mode,
            p.mean,
            p.show(generator()),
            p.tempered(0.5).draw(generator()),
        ):
            assert bool(((x == END).sum(1) == 1).all())
            ended = (x == END).cumsum(1) > 0
            assert torch.equal(x == PADDING, ended & (x != END))


def test_draws_have_the_probabilities_of_the_logits() -> None:
    h = torch.tensor([0.0, 1.0, 2.0, -1.0])[:, None].expand(20_000, 4, 1)
    found = Gumbel(LABEL)(h).draw(generator()).bincount(minlength=4) / 20_000
    torch.testing.assert_close(found, torch.softmax(h[0, :, 0], 0), atol=0.01, rtol=0)


def test_a_text_is_as_probable_as_it_is_frequent() -> None:
    shape = Tokens(4, (3,))
    p = Gumbel(shape)(torch.randn(4, 3, generator=generator()).expand(40_000, 4, 3))
    drawn = p.draw(generator(1))
    found, counts = drawn.unique(dim=0, return_counts=True)
    assert len(found) == 7  # the end after none, one or two of two symbols
    one = Gumbel(shape)(torch.randn(4, 3, generator=generator()).expand(len(found), 4, 3))
    nats = one.log_prob(found).sum(1)
    torch.testing.assert_close(nats.exp(), counts / 40_000, atol=0.01, rtol=0)
    assert float(nats.exp().sum()) == pytest.approx(1, abs=1e-5)


# ---- its gradient ----


@pytest.mark.parametrize("relaxation", [0.5, 2.0])
def test_the_gradient_is_that_of_the_relaxed_choice(relaxation: float) -> None:
    h = numbers(LABEL, 5).requires_grad_()
    w = torch.randn(5, 4, 1, generator=generator(2))
    p = Gumbel(LABEL, relaxation=relaxation)(h)
    (got,) = torch.autograd.grad((p.emitted(generator()) * w).sum(), h)
    y = Gumbel(LABEL)(h).choices.perturbed(generator())
    soft = torch.softmax(y / relaxation, -1).unsqueeze(2)
    (wanted,) = torch.autograd.grad((soft * w).sum(), h)
    torch.testing.assert_close(got, wanted)


def test_an_end_is_told_what_stands_after_it() -> None:
    h = numbers(TEXT).requires_grad_()
    emitted = Gumbel(TEXT)(h).emitted(generator())
    x = emitted.argmax(1)
    long = (x[:, :4] != END).all(1) & (x[:, :4] != PADDING).all(1)
    letters = emitted[:, END + 1 :, 3].sum()  # how many texts have a fourth letter
    (slope,) = torch.autograd.grad(letters, h)
    assert int(long.sum()) > 10
    # a likelier end at one of the first three places is fewer fourth letters, and one behind changes nothing
    assert bool((slope[long, END, :3] < 0).all()) and not slope[:, :, 4:].any()
    assert not slope[:, PADDING].any() and bool(slope.isfinite().all())


# ---- where it starts ----


def test_it_starts_as_frequent_symbols_at_each_place_are() -> None:
    data = words(600)
    batch = data.batch(range(600))
    make = Gumbel(data.kind.shape)
    make.begin(batch.known)
    x = make(torch.zeros(20_000, *make.numbers)).draw(generator())
    for place in range(3):
        real = batch.x[:, place].bincount(minlength=5) / 600
        torch.testing.assert_close(x[:, place].bincount(minlength=5) / 20_000, real, atol=0.02, rtol=0)


def test_pieces_of_a_stream_have_no_end_at_their_last_place() -> None:
    make = Gumbel(TEXT)
    pieces = torch.randint(2, TEXT.vocabulary, (200, *TEXT.size), generator=generator())
    make.begin(pieces.float())
    x = make(numbers(TEXT)).draw(generator())
    open_ended = x[(x[:, :-1] != END).all(1)]
    assert len(open_ended) and bool((open_ended[:, -1] > END).any()) and not bool((open_ended == 0).any())
    again = Gumbel(TEXT)
    again.load_state_dict(make.state_dict())
    assert torch.equal(again(numbers(TEXT)).draw(generator()), x)


# ---- games ----


@pytest.mark.parametrize(
    "options", [{}, {"network": "mlp", "hidden": (8,)}, {"pack": 2}, {"regularizer": "gp"}]
)
def test_each_player_s_loss_moves_that_player_alone(options: dict[str, Any]) -> None:
    model, batch = game(**options)
    sides = {"critic": model.critic, "generator": model.decoder}
    for player, own in sides.items():
        model.zero_grad(set_to_none=True)
        loss = model.loss(batch, player, generator())
        loss.total.backward()
        assert loss.each.shape == (12,) and bool(loss.each.isfinite().all())
        moved = {p for p in model.parameters() if p.grad is not None and bool(p.grad.any())}
        assert moved and moved <= set(own.parameters())


def test_texts_get_a_network_that_makes_them_at_once_and_labels_an_mlp() -> None:
    model, _ = game()
    assert (model.spec["network"], model.spec["likelihood"]) == ("sequence", "gumbel")
    assert "language model" in model.remark
    label = ec.read((np.arange(80) % 4).astype(np.int64)[:, None], given=None)
    assert GAN.suited(label.kind)[1] == "point"


def test_what_the_critic_reads_of_a_real_text_has_no_use_for_what_is_not_seen() -> None:
    batch = words().batch(range(12))
    x = lifted(batch, words().kind.shape)
    assert x.seen is None and x.x.shape == (12, 5, 8)
    assert bool((x.x[:, PADDING].sum(1) == (batch.x == PADDING).sum(1)).all())


def test_a_text_gan_trains_and_its_run_makes_the_same_texts_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = tmp_path / "words.txt"
    source.write_text("".join(f"{w}{v}\n" for w in WORDS for v in ("", "a", "ba", "cc", "abc", "bca")))
    with caplog.at_level("INFO", logger="ectype"):
        run = ec.train(str(source), model="gan", steps=4, width=4, depth=1, out=tmp_path / "run", threads=1)
    assert "note: a gan of texts is for study" in caplog.text
    made = ec.sample(run, 20, seed=3)
    assert made == ec.sample(tmp_path / "run", 20, seed=3) != ec.sample(run, 20, seed=4)
    assert all(set(text) <= set("abc") for text in made)
    with pytest.raises(UsageError, match="what chooses symbols cannot be inverted: a code has no gradient"):
        ec.invert(tmp_path / "run", steps=1)
    with pytest.raises(UsageError, match="cannot be inverted"):
        Inverted(run.model, torch.nn.Identity())


# ---- refusals ----


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        (Grid(1, (2, 2)), {}, "gumbel needs labels or texts, and this data is a Grid"),
        (TEXT, {"relaxation": 0.0}, "relaxation is a temperature above 0, not 0.0"),
        (
            Tokens(5000, (24,)),
            {},
            "5,000 symbols at 24 places are 120,000 numbers to a critic, and a gan of choices is for small "
            "vocabularies, up to 65,536 (256 at 256): use a vae",
        ),
    ],
)
def test_refusals(shape: Shape, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        Gumbel(shape, **options)


def test_point_says_what_to_use_for_tokens() -> None:
    with pytest.raises(UsageError, match="use gumbel in a gan, categorical in a vae"):
        Point(TEXT)

"""Denoising: which values are hidden from an encoder while it learns. That they are: test_contracts.py."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ectype.assembly import build
from ectype.data.batch import Batch
from ectype.data.reading import read
from ectype.errors import UsageError
from ectype.models.hiding import left
from ectype.noise import PerItem
from ectype.shapes import Grid, Series, Tokens
from ectype.training.loop import fit


def test_a_share_of_what_is_seen_is_hidden() -> None:
    seen = torch.rand(40, 2, 300) < 0.7
    shown = left(Batch(torch.zeros(40, 2, 300), seen=seen), Series(2, 300), 0.2, torch.Generator())
    assert shown is not None and not (shown & ~seen).any()
    assert float(shown.sum() / seen.sum()) == pytest.approx(0.8, abs=0.02)
    assert left(Batch(torch.zeros(3, 5)), Tokens(4, (5,)), 0.0, None) is None


@pytest.mark.parametrize("form", [(3, 5, 6), (5, 6), None])
def test_a_pixel_is_hidden_with_all_its_channels(form: tuple[int, ...] | None) -> None:
    seen = None if form is None else torch.ones(4, *form, dtype=torch.bool)
    shown = left(Batch(torch.zeros(4, 3, 5, 6), seen=seen), Grid(3, (5, 6)), 0.5, torch.Generator())
    assert shown is not None and shown.shape == (4, *(form or (3, 5, 6)))
    if shown.dim() == 4:
        assert (shown == shown[:, :1]).all()


def test_what_is_hidden_of_an_item_is_drawn_from_its_own_noise() -> None:
    batch, shape = Batch(torch.zeros(6, 9, dtype=torch.int64)), Tokens(4, (9,))
    every = left(batch, shape, 0.5, PerItem(3, range(6)))
    some = left(Batch(batch.x[4:]), shape, 0.5, PerItem(3, [4, 5]))
    assert every is not None and some is not None and torch.equal(every[4:], some)


def test_a_denoising_autoencoder_guesses_what_it_does_not_see() -> None:
    rng = np.random.default_rng(0)
    # eight times the same, nearly
    rows = rng.normal(size=(600, 1)) * np.ones((1, 8)) + 0.02 * rng.normal(size=(600, 8))

    def error(hide: float) -> float:
        data = read(rows.astype(np.float32))
        model = build("ae", data, latent=4, hidden=(32,), hide=hide)
        list(fit(model, data, steps=300, batch=100, rate=1e-2, threads=1, supervise=False))
        batch = data.batch(data.splits["test"])
        seen = torch.ones_like(batch.x, dtype=torch.bool)
        seen[:, ::2] = False
        with torch.no_grad():
            back = model.eval().decode(model.infer(batch.x, seen=seen).z).mean  # type: ignore[attr-defined]
        return float((back - batch.x).square().mean())

    assert error(0.5) < 0.2 * error(0.0)


def test_all_hidden_or_less_than_nothing_is_refused() -> None:
    data = read(np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32))
    for family, share in (("ae", 1.0), ("vae", -0.1), ("vaegan", 1.0)):
        with pytest.raises(UsageError, match=f"hide is a share of an item's values, .* below 1, not {share}"):
            build(family, data, hide=share)

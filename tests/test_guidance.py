"""Guidance: how strongly conditions act on what is made."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import ectype as ec
from ectype.errors import UsageError
from ectype.jobs.inputs import context_of
from ectype.jobs.sample import sample


def trained(given: list[str] | None, model: str = "vae") -> ec.Run:
    data = ec.read("digits", given=given)
    built = ec.build(model, data, network="mlp", latent=4, hidden=(32,))
    for _ in ec.fit(built, data, steps=20):
        pass
    return ec.Run.of(built, data)


@pytest.fixture(scope="module")
def run() -> ec.Run:
    return trained(["label"])


def pixels(items: list[object]) -> np.ndarray:
    return np.stack([np.asarray(item, np.int64) for item in items])


def test_one_is_the_model_as_it_was_trained(run: ec.Run) -> None:
    plain = pixels(sample(run, 5, given={"label": "3"}))
    assert np.array_equal(plain, pixels(sample(run, 5, given={"label": "3"}, guidance=1)))
    assert not np.array_equal(plain, pixels(sample(run, 5, given={"label": "3"}, guidance=4)))


def test_zero_is_as_if_nothing_were_given(run: ec.Run) -> None:
    free = pixels(sample(run, 5))
    assert np.array_equal(free, pixels(sample(run, 5, given={"label": "3"}, guidance=0)))
    assert np.array_equal(free, pixels(sample(run, 5, guidance=3)))  # nothing given: nowhere to move to


@pytest.mark.parametrize("model", ["vae", "gan"])
@pytest.mark.parametrize("given", ["outline", "name"])
def test_pictures_and_texts_are_moved_too(model: str, given: str) -> None:
    items = np.random.default_rng(0).integers(0, 256, (40, 8, 8)).astype(np.uint8)
    names = [f"{'red' if i % 2 else 'green'} thing {i}" for i in range(40)]
    data = ec.read((items, {"name": names}), given=given)
    built = ec.build(model, data, latent=4, width=8)
    list(ec.fit(built, data, steps=10, batch=16, supervise=False))
    run = ec.Run.of(built, data)
    value = {"name": names[0], "outline": np.full((8, 8), 255, np.uint8)}[given]
    free = pixels(sample(run, 5))
    assert np.array_equal(free, pixels(sample(run, 5, given={given: value}, guidance=0)))
    grids = {s: context_of(run, {given: value}, 2, s) for s in (0.5, 1.0, 3.0)}
    half, one, far = (c.aligned for c in grids.values() if c is not None)
    if one is not None and half is not None and far is not None:
        torch.testing.assert_close(half, one / 2)  # where nothing is given there is nothing on the grid
        torch.testing.assert_close(far, one if model == "gan" else 3 * one)


def test_the_context_moves_along_a_line(run: ec.Run) -> None:
    at = {s: context_of(run, {"label": "3"}, 2, s) for s in (0.0, 1.0, 2.5)}
    zero, one, far = (c.vector for c in at.values() if c is not None)
    torch.testing.assert_close(far - zero, 2.5 * (one - zero))


def test_a_generator_is_not_moved_beyond_what_it_was_trained_with() -> None:
    gan = trained(["label"], "gan")
    contexts = {s: context_of(gan, {"label": "3"}, 2, s) for s in (0.0, 1.0, 2.5, 50.0)}
    lengths = {s: c.vector[0].norm().item() for s, c in contexts.items() if c is not None}
    assert lengths[2.5] <= max(lengths[0.0], lengths[1.0]) * (1 + 1e-5)
    assert lengths[50.0] == pytest.approx(max(lengths[0.0], lengths[1.0]), rel=1e-5)
    free = pixels(sample(gan, 5))
    assert np.array_equal(free, pixels(sample(gan, 5, given={"label": "3"}, guidance=0)))


def test_what_guidance_cannot_be(run: ec.Run, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"guidance is 0 or more \(1: as trained\), not -1"):
        sample(run, 1, given={"label": "3"}, guidance=-1)
    with pytest.raises(UsageError, match="guidance is 0 or more"):
        sample(run, 1, given={"label": "3"}, guidance=float("nan"))
    with pytest.raises(UsageError, match="guidance needs conditions: this model was trained without"):
        sample(trained(None, "gan"), 1, guidance=2)

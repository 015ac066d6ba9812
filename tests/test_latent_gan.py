"""A latent GAN: a prior that is a generator of codes; it learns them when they are known, from a critic."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import ectype as ec
from ectype.context import Context
from ectype.errors import DataError, UsageError
from ectype.metrics.bounds import bounds
from ectype.metrics.space import energy
from ectype.models import Autoencoder, Model
from ectype.models.codes import learner_of
from ectype.priors.generated import Generated
from ectype.shapes import Row
from ectype.training.loop import fit

SHAPE = Row((1, 1))
QUICK = {"steps": 20, "batch": 20, "threads": 1}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def nobody(x: Tensor, context: Context | None) -> Any:
    raise RuntimeError("this prior asks the posterior for nothing")


def rows(given: str | None = None) -> Any:
    points = np.random.default_rng(0).normal(size=(90, 2)).astype(np.float32)
    return ec.read((points, np.arange(90) % 2), given=given)


def made(family: str = "ae", given: str | None = None, **options: Any) -> Model:
    return ec.build(family, rows(given), prior="gan", latent=3, network="mlp", hidden=(8,), **options)


def codes_of_two_modes(n: int, seed: int) -> Tensor:
    """Two narrow modes, one of them twice as heavy, and a normal with their moments is between them."""
    noise = generator(seed)
    mode = (torch.rand(n, 1, generator=noise) < 1 / 3).float()
    return torch.cat([8 * mode, 1 - mode], 1) + 0.1 * torch.randn(n, 2, generator=noise)


def test_before_its_game_it_is_the_normal_with_the_codes_moments() -> None:
    prior = Generated(2, SHAPE)
    still = prior(5, None, nobody)
    assert torch.equal(still.mean, torch.zeros(5, 2))
    assert torch.equal(still.draw(generator()), torch.randn(5, 2, generator=generator()))
    codes = codes_of_two_modes(2000, 0)
    prior.fit(codes, codes[:0], None)
    drawn = prior(20_000, None, nobody).draw(generator(1))
    assert torch.allclose(drawn.mean(0), codes.mean(0), atol=0.1)
    assert torch.allclose(drawn.T.cov(), codes.T.cov(), atol=0.3)
    assert torch.allclose(prior.whitened(codes).T.cov(), torch.eye(2), atol=0.1)
    assert torch.equal(prior(4, None, nobody).mean[0], prior(1, None, nobody).mode[0])


def test_its_game_finds_what_no_normal_has() -> None:
    data = ec.read(codes_of_two_modes(3000, 0).numpy())
    model = ec.build("ae", data, prior="gan", latent=2, network="mlp", hidden=(), penalty=0.0)
    assert isinstance(model, Autoencoder)
    steps = list(fit(model, data, steps=700, batch=100, threads=1, seed=1))
    assert [s.of for s in steps] == sorted(s.of for s in steps)
    assert steps[-1].of == "codes" and steps[-1].number == steps[-1].total == 700
    assert [s.done for s in steps] == [False] * (len(steps) - 1) + [True]
    codes = model.posterior(data.batch(range(3000)).x).mean.detach()
    with torch.no_grad():
        learned = model.latents(3000).draw(generator())
    start = Generated(2, SHAPE)
    start.fit(codes, codes[:0], None)
    normal = start(3000, None, nobody).draw(generator())
    assert energy(codes, learned) < 0.3 * energy(codes, normal)


@pytest.mark.parametrize("family", ["ae", "vae", "vaegan"])
@pytest.mark.parametrize("given", [None, "label"])
def test_its_game_moves_the_generator_and_nothing_else(family: str, given: str | None) -> None:
    model = made(family, given)
    before: dict[str, Tensor] = {}
    for step in fit(model, rows(given), **QUICK, half_life=0.0):  # type: ignore[arg-type]
        if step.of and not before:
            before = {k: v.clone() for k, v in model.state_dict().items()}
    after = model.state_dict()
    moved = {k for k, v in after.items() if not torch.equal(v, before[k])}
    assert moved and all("prior.generator." in name for name in moved)
    assert {n for n, p in model.named_parameters() if "prior.generator." in n} <= moved


def test_a_game_owns_the_generator_and_its_critic() -> None:
    prior = Generated(3, SHAPE, context=5)
    game = learner_of(prior, 100)
    own = {id(p) for p in prior.parameters()}
    assert own < {id(p) for p in game.player("generator")}
    assert not own & {id(p) for p in game.player("critic")}


def test_codes_without_a_density_say_so() -> None:
    for family in ("ae", "vae"):
        model = made(family)
        list(fit(model, rows(), **QUICK))  # type: ignore[arg-type]
        assert isinstance(model, Autoencoder) and not model.bounded
        batch = rows().batch(range(5))
        assert model.loss(batch).total.isfinite()
        with pytest.raises(UsageError, match="can be drawn and have no density, so that no bound"):
            model.latents(5).log_prob(torch.zeros(5, 3))
        with pytest.raises(UsageError, match="codes have no density, so there is no bound on log p"):
            bounds(model, [batch])
    run = ec.Run.of(made("vae", "label"), rows("label"))
    with pytest.raises(UsageError, match=r"no bound on log p\(x \| class\).* with any prior but gan"):
        ec.classify(run, rows("label"))


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0])
def test_a_share_that_is_none(share: float) -> None:
    with pytest.raises(UsageError, match=f"share is the part of the run .* not {share}"):
        Generated(2, SHAPE, share=share)


@pytest.mark.parametrize("codes", [torch.zeros(0, 2), torch.full((5, 2), torch.nan)])
def test_codes_that_are_none(codes: Tensor) -> None:
    with pytest.raises(DataError, match="no finite codes to learn a prior from: did the training diverge"):
        Generated(2, SHAPE).fit(codes, codes[:0], None)


def test_each_part_has_its_share_of_the_length() -> None:
    model = made(share=0.25)
    steps = list(fit(model, rows(), steps=40, batch=20, threads=1))
    assert {s.total for s in steps} == {40}
    assert max(s.number for s in steps if not s.of) == 30
    steps = list(fit(made(share=0.5), rows(), epochs=10, batch=20, threads=1))
    assert steps[-1].number == steps[-1].total == 2 * max(s.number for s in steps if not s.of)


@pytest.mark.parametrize("given", [None, "label"])
def test_a_job_trains_it_goes_on_with_it_and_draws_the_same_after_loading(
    given: str | None, tmp_path: Path
) -> None:
    points = np.random.default_rng(0).normal(size=(90, 2)).astype(np.float32)
    np.savez(tmp_path / "points.npz", points=points, label=np.arange(90) % 2)
    out = tmp_path / "run"
    options: dict[str, Any] = {"network": "mlp", "hidden": (8,), "steps": 20, "batch": 20, "threads": 1}
    run = ec.train(
        str(tmp_path / "points.npz"), model="ae", prior="gan", latent=3, given=given, out=out, **options
    )
    told = run.record["training"]
    assert told["steps"] == told["planned"] == 20 and not told["early"] and not told["stopped"]
    assert told["codes"]["steps"] == told["codes"]["planned"] == 8 and told["best_step"] <= 12
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    of_codes = [line for line in lines if line["step"] > 12]
    assert all("loss" not in line for line in of_codes)
    names = {name for line in of_codes for name in line["parts"]}
    assert {"codes.distance", "codes.critic.accuracy"} <= names
    assert "the game in which the prior was learned" in (out / "report.html").read_text()
    wanted = np.array(ec.sample(run, 6, seed=3))
    assert np.array_equal(wanted, np.array(ec.sample(ec.load(out), 6, seed=3)))
    assert np.array_equal(wanted[:2], np.array(ec.sample(ec.load(out), 2, seed=3)))
    again = ec.train(resume=out)
    assert again.record["training"]["resumed"] == 1
    assert np.array_equal(wanted, np.array(ec.sample(again, 6, seed=3)))

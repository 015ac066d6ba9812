"""A prior that is fitted by itself: to posteriors that hold still, in a share of the run."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import ectype as ec
from ectype.data.data import Data
from ectype.data.store import Resident
from ectype.errors import UsageError
from ectype.models.codes import _numbers
from ectype.models.density import BATCH, Density
from ectype.priors.flow import Flow, FlowDistribution
from ectype.shapes import Row
from ectype.training import parts
from ectype.training.loop import fit

SMALL: dict[str, Any] = {"network": "mlp", "hidden": (8,), "layers": 2, "units": 8, "latent": 3}


def rows(given: str | None = None) -> Any:
    points = np.random.default_rng(0).normal(size=(90, 2)).astype(np.float32)
    return ec.read((points, np.arange(90) % 2), given=given)


@pytest.mark.parametrize("family", ["vae", "vaegan"])
@pytest.mark.parametrize("given", [None, "label"])
@pytest.mark.parametrize("components", [1, 3])
def test_it_moves_the_prior_and_nothing_else(family: str, given: str | None, components: int) -> None:
    model = ec.build(family, rows(given), share=0.4, components=components, **SMALL)
    before: dict[str, Tensor] = {}
    for step in fit(model, rows(given), steps=20, batch=20, threads=1, half_life=0.0):
        if step.of and not before:
            before = {k: v.clone() for k, v in model.state_dict().items()}
    assert step.of == "prior" and step.number == step.total == 20
    moved = {k for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
    own = {name for name in moved if "prior.couplings." in name or "prior.base." in name}
    assert moved == own and any("prior.couplings." in name for name in own)
    assert any("prior.base." in name for name in own) == (components > 1)


def test_its_loss_is_the_kl() -> None:
    prior = Flow(2, Row((1, 1)), layers=1)
    data = ec.read(np.zeros((4000, 4), np.float32))
    told = torch.tensor([[0.5, -1.0, -0.7, 0.3]]).expand(4000, -1)
    from dataclasses import replace

    batch = replace(data.batch(range(4000)), x=told)
    loss = Density(prior).loss(batch, noise=torch.Generator().manual_seed(0))
    q = torch.distributions.Normal(told[0, :2], told[0, 2:].exp())
    wanted = torch.distributions.kl_divergence(q, torch.distributions.Normal(0.0, 1.0)).sum()
    assert float(loss.total.detach()) == pytest.approx(float(wanted), rel=0.03)


def test_it_comes_near_the_best_prior_and_not_below() -> None:
    """Posteriors in four places far apart: the KL to their mean is log 4, to a normal more than 8 nats."""
    torch.manual_seed(0)
    places = 3 * torch.tensor([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]])
    told = torch.cat([places.repeat(300, 1), torch.full((1200, 2), -1.5)], 1)
    at = torch.arange(1200)
    splits = {"train": at[:1000], "select": at[1000:], "test": at[:0], "all": at}
    data = Data(_numbers(4), Resident(told), splits)
    density = Density(Flow(2, Row((1, 1)), layers=6, units=32))
    noise = torch.Generator().manual_seed(0)
    kl = []
    for steps in (1, 500):
        list(fit(density, data, steps=steps, rate=5e-3, batch=200, threads=1, half_life=0.0))
        with torch.no_grad():
            kl.append(float(density.loss(data.batch(range(1200)), noise=noise).total))
    assert kl[0] > 8
    assert math.log(4) - 0.1 < kl[1] < math.log(4) + 0.6


def test_without_a_length_both_parts_together_take_what_one_would() -> None:
    from ectype.training.budget import DEFAULT_MINUTES
    from ectype.training.parts import _divided

    nothing: dict[str, Any] = {"steps": None, "epochs": None, "minutes": None}
    for share in (0.0, 0.25):
        ours, theirs = _divided(nothing, share)
        assert ours["minutes"] + theirs.get("minutes", 0.0) == DEFAULT_MINUTES
        assert bool(theirs) == (share > 0)
    assert _divided({**nothing, "steps": 1}, 0.5) == ({**nothing, "steps": 1}, {})
    for steps in (0, -3):
        with pytest.raises(UsageError, match=f"steps has to be above 0 .* got {steps}"):
            fit(ec.build("vae", rows(), share=0.5, **SMALL), rows(), steps=steps)


@pytest.mark.parametrize("long", [1, 1000])
def test_a_prior_that_gets_no_better_stays_as_it_was(long: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "LONG", long)
    monkeypatch.setattr(Density, "default_rate", 10.0)
    model = ec.build("vae", rows(), share=0.5, **SMALL)
    kept: dict[str, Tensor] = {}
    for step in fit(model, rows(), steps=40, batch=20, threads=1, half_life=0.0, supervise=False):
        if not step.of:  # the last of which is that of the end of the model's part
            kept = {k: v.clone() for k, v in step.model.prior.state_dict().items()}
    assert step.of
    assert all(torch.equal(v, kept[k]) for k, v in model.prior.state_dict().items())


@pytest.mark.parametrize(("long", "given"), [(False, None), (True, None), (True, "label")])
def test_a_long_part_begins_with_new_weights_without_conditions(
    long: bool, given: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "LONG", 20 if long else 21)
    kept, first = Density.loss, list[float]()

    def noted(self: Density, batch: Any, *rest: Any, **named: Any) -> Any:
        if self.training:
            found = self.latents(len(batch), self.condition(batch))
            assert isinstance(found, FlowDistribution)
            first.append(float(found.noise_of(torch.ones(len(batch), 3))[0].detach().norm()))
        return kept(self, batch, *rest, **named)

    monkeypatch.setattr(Density, "loss", noted)
    model = ec.build("vae", rows(given), share=0.5, **SMALL)
    list(fit(model, rows(given), steps=40, batch=20, threads=1))
    turned = math.isclose(first[0], math.sqrt(3), rel_tol=1e-5)  # new weights turn and do no more
    assert turned == (long and given is None)


def test_the_part_has_batches_of_its_own() -> None:
    model = ec.build("vae", rows(), share=0.5, **SMALL)
    lengths: list[int] = []
    kept = Density.loss

    def noted(self: Density, batch: Any, *rest: Any) -> Any:
        lengths.append(len(batch))
        return kept(self, batch, *rest)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Density, "loss", noted)
        list(fit(model, rows(), steps=4, batch=20, threads=1))
    assert max(lengths) == min(BATCH, len(rows().splits["train"]))


@pytest.mark.parametrize("share", [1.0, -0.1])
def test_a_share_that_is_none(share: float) -> None:
    with pytest.raises(UsageError, match=f"share is the part of the run .* below 1, not {share}"):
        Flow(2, Row((1, 1)), share=share)


def test_curves_and_report_say_whose_numbers_they_are(tmp_path: Path) -> None:
    np.savez(tmp_path / "points.npz", points=np.random.default_rng(0).normal(size=(90, 2)))
    out = tmp_path / "run"
    run = ec.train(str(tmp_path / "points.npz"), out=out, steps=20, batch=20, threads=1, share=0.4, **SMALL)
    told = run.record["training"]
    assert told["steps"] == told["planned"] == 20 and told["codes"]["steps"] == 8
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    names = {name for line in lines if line["step"] > 12 for name in line["parts"]}
    assert names == {"prior.kl"}
    assert "learned by the prior alone" in (out / "report.html").read_text()

"""What every family promises, over the catalog: kind x network x likelihood x prior x condition, pairwise.

`FITS` says which names go together; whatever it does not mention has to work with everything, so a
new line in the catalog is in this suite at once.
"""

from __future__ import annotations

import itertools
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from ectype.assembly import build
from ectype.catalog import LIKELIHOODS, MODELS, NETWORKS, PRIORS, find
from ectype.data.batch import Batch
from ectype.data.data import Condition, Data
from ectype.data.store import Resident
from ectype.errors import UsageError
from ectype.hardware import channels_last
from ectype.kinds import Kind
from ectype.kinds.attributes import Attributes
from ectype.kinds.image import Image
from ectype.kinds.label import Label
from ectype.kinds.levels import dtype, top
from ectype.kinds.record import Record
from ectype.kinds.series import Series
from ectype.kinds.text import Text
from ectype.kinds.vector import Vector
from ectype.likelihoods import Distribution
from ectype.models import Autoencoder, Model
from ectype.noise import PerItem
from ectype.runs import Run
from ectype.shapes import Grid, Tokens, has_tokens, parts_of

N, B, K, LATENT = 24, 6, 3, 4

IMAGES = {
    "grey8-1x1": Image(1, (1, 1), bits=8),
    "grey1-17x30": Image(1, (17, 30), bits=1),
    "grey16-64x48": Image(1, (64, 48), bits=16),
    "rgb16-5x3": Image(3, (5, 3), bits=16),
    "rgb8-64x48": Image(3, (64, 48), bits=8),
    "rgba8-17x30": Image(4, (17, 30), bits=8),
    "rgba1-5x3": Image(4, (5, 3), bits=1),
}
KINDS: dict[str, Kind] = {
    **IMAGES,
    "label": Label(["a", "b", "c", "d"]),
    "vector1": Vector([0.5], [2.0]),
    "vector5": Vector([0.0] * 5, [1.0] * 5),
    "text": Text("abc", 8),
    "series2x7": Series([0.0, 1.0], [1.0, 2.0], 7),
    "series1x20": Series([0.5], [2.0], 20),
    "record": Record({"image": Image(3, (8, 9)), "caption": Text("abc", 5), "label": Label(["a", "b"])}),
    "pair": Record({"image": Image(1, (8, 8)), "place": Vector([0.0, 1.0], [1.0, 2.0])}),
}
CONDITIONS: dict[str, dict[str, Kind]] = {
    "none": {},
    "label": {"type": Label(["x", "y", "z"])},  # a name that is also an attribute of every module
    "vector": {"size": Vector([0.0, 1.0], [1.0, 2.0])},
    "image": {"sketch": Image(1, (3, 2), bits=8)},
    "tags": {"tags": Attributes(["red", "small"])},
    "text": {"caption": Text(["a", "red", "circle"], 6, unit="words")},
    "series": {"pulse": Series([0.0, 0.0], [1.0, 1.0], 9)},
    "three": {
        "label": Label(["x", "y"]),
        "size.x": Vector([0.0], [1.0]),
        "photo": Image(3, (9, 9), bits=8),
    },
}
OPTIONS: dict[str, dict[str, Any]] = {
    "ae": {"corruption": 0.1},
    "vae": {"free_bits": 0.0},  # or nothing presses a small KL, and nothing moves the prior
    "conv": {"width": 4, "depth": 1, "neck": 3, "activation": "silu"},
    "dcgan": {"width": 4, "activation": "silu"},
    "mlp": {"hidden": (8,), "activation": "silu"},
    "joint": {"joined": 16, "width": 4, "units": 6, "hidden": (8,)},
    "sequence": {"width": 4, "depth": 1, "activation": "silu"},
    "causal": {"width": 4, "layers": 2, "skip": 0.0},
    "recurrent": {"units": 6, "skip": 0.0},  # which is random, and these tests compare
    "transformer": {"width": 4, "heads": 2, "layers": 1, "skip": 0.0},
    "logistic": {"logistics": 2},
    "mixture": {"components": 3},
    "vamp": {"components": 3},
    "flow": {"layers": 2, "units": 8},
    "fitted": {"components": 2},
}


WRITERS = [name for name in NETWORKS if find("networks", name).Decoder.writes]


class Case(NamedTuple):
    """One name of each table."""

    family: str
    kind: str
    network: str
    likelihood: str
    prior: str
    condition: str


def fits(case: Case) -> bool:
    """Whether these names go together."""
    kind = KINDS[case.kind]
    image, text = isinstance(kind, Image), isinstance(kind, Text)
    joint = isinstance(kind, Record)
    tokens = has_tokens(kind.shape)
    rules = {
        "conv": image,
        "dcgan": image,
        "causal": text,
        "recurrent": text,
        "sequence": isinstance(kind, Series) or (tokens and not joint and case.family == "gan"),
        "transformer": text,
        "lm": case.network in WRITERS and case.prior == "normal",
        "joint": joint,
        "product": joint,
        "bernoulli": isinstance(kind, Image) and kind.bits == 1,
        "logistic": all(isinstance(part, Grid | Tokens) for part in parts_of(kind.shape))
        and (image or joint),
        "normal likelihood": joint or not tokens,
        "laplace": joint or not tokens,
        "categorical": tokens and not joint,
        "vamp": not joint,
        "ae": case.prior in ("fitted", "gan"),
        "gan": case.likelihood in ("point", "gumbel")
        and case.prior == "normal"
        and case.network not in WRITERS,
        "vaegan": not tokens,
        "point": case.family == "gan" and not tokens,
        "gumbel": case.family == "gan" and tokens and not joint,
    }
    likelihood = "normal likelihood" if case.likelihood == "normal" else case.likelihood
    prior = "gan prior" if case.prior == "gan" else case.prior
    return all(rules.get(name, True) for name in (case.family, case.network, likelihood, prior))


def pairwise() -> list[Case]:
    """Few cases in which every two names that go together meet."""
    axes = (MODELS, KINDS, NETWORKS, LIKELIHOODS, PRIORS, CONDITIONS)
    every = [case for case in map(Case._make, itertools.product(*axes)) if fits(case)]
    random.Random(0).shuffle(every)  # noqa: S311
    open_ = {pair for case in every for pair in pairs(case)}
    chosen = []
    for least in range(15, 0, -1):
        for case in every:
            new = pairs(case) & open_
            if len(new) >= least:
                chosen.append(case)
                open_ -= new
    return chosen


def pairs(case: Case) -> set[tuple[tuple[int, str], ...]]:
    return set(itertools.combinations(enumerate(case), 2))


CASES = pairwise()
over_cases = pytest.mark.parametrize("case", CASES, ids="-".join)


def values(kind: Kind, n: int, seed: int) -> Tensor:
    """Stored arrays of n random items."""
    rng = np.random.default_rng(seed)
    if isinstance(kind, Image):
        form = (n, *kind.shape.form)
        levels = (
            rng.integers(0, 2, form) * 255 if kind.bits == 1 else rng.integers(0, top(kind.bits) + 1, form)
        )
        return torch.from_numpy(levels.astype(dtype(kind.depth)))
    if isinstance(kind, Label):
        return torch.from_numpy(rng.integers(0, len(kind.classes), n))
    if isinstance(kind, Text):
        words = [[str(w) for w in rng.choice(kind.symbols, rng.integers(1, kind.length))] for _ in range(n)]
        joiner = "" if kind.unit == "characters" else " "
        return torch.from_numpy(np.stack([kind.pack(joiner.join(w)) for w in words]))
    if isinstance(kind, Record):
        parts = [values(part, n, seed + i).reshape(n, -1) for i, part in enumerate(kind.parts.values())]
        there = torch.ones(n, len(parts), dtype=torch.uint8)
        return torch.cat([*(part.view(torch.uint8) for part in parts), there], 1)
    if isinstance(kind, Attributes):
        tags = rng.integers(0, 2, (n, *kind.shape.form)).astype(np.float32)
        tags[::2, 0] = 1  # or a small batch may have none, and nothing to learn from
        return torch.from_numpy(tags)
    return torch.from_numpy(rng.normal(size=(n, *kind.shape.form)).astype(np.float32))


@cache
def data_of(kind: str, condition: str) -> Data:
    given = {}
    for i, (name, of) in enumerate(CONDITIONS[condition].items()):
        present = torch.arange(N) % 5 != i  # some are missing in the data
        given[name] = Condition(of, values(of, N, 100 + i), present)
    at = torch.arange(N)
    splits = {"train": at[:18], "select": at[18:21], "test": at[21:], "all": at}
    return Data(KINDS[kind], Resident(values(KINDS[kind], N, 1)), splits, given)


def latent_of(case: Case) -> int:
    return LATENT if find("models", case.family).coded else 0


def made(case: Case, seed: int = 0) -> Model:
    options: dict[str, Any] = {}
    for name in case:
        options |= OPTIONS.get(name, {})
    return build(
        case.family,
        data_of(case.kind, case.condition),
        network=case.network,
        likelihood=case.likelihood,
        prior=case.prior,
        latent=latent_of(case) or None,
        seed=seed,
        **options,
    )


@cache
def perturbed(case: Case) -> Model:
    """A model none of whose layers is zero any more, as after some training."""
    model = made(case)
    noise = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for p in model.parameters():
            p += 0.1 * torch.randn(p.shape, generator=noise)
    data = data_of(case.kind, case.condition)
    model.settle(data.batches("train", B), data.batches("select", B))
    return model


def batch_of(case: Case) -> Batch:
    """Six items; every condition is there for some and dropped for others."""
    batch = data_of(case.kind, case.condition).batch(range(B))
    kept = {n: k & (torch.arange(B) % 3 != i) for i, (n, k) in enumerate(batch.kept.items())}
    return replace(batch, kept=kept)


def part_of(batch: Batch, case: Case, first: int, end: int) -> Batch:
    """Some items of a batch of `batch_of`."""
    part = data_of(case.kind, case.condition).batch(range(first, end))
    return replace(part, kept={n: k[first:end] for n, k in batch.kept.items()})


def site_form(case: Case) -> tuple[int, ...]:
    """A joint-channel pixel is one site; everywhere else each value is one."""
    shape = KINDS[case.kind].shape
    return shape.size if case.likelihood == "logistic" and isinstance(shape, Grid) else shape.form


def seen_of(case: Case) -> Tensor:
    """About half of the sites, at least one item with and one without its first site."""
    seen = torch.rand(B, *site_form(case), generator=torch.Generator().manual_seed(9)) < 0.5
    seen.view(B, -1)[:2, 0] = torch.tensor([True, False])
    if isinstance(kind := KINDS[case.kind], Record):
        parts = len(kind.parts)
        seen[1, 1:] = True
        seen[2 : 2 + parts] &= kind.values_of(
            ~torch.eye(parts, dtype=torch.bool)
        )  # each part once as a whole
    return seen


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def losses(model: Model, batch: Batch) -> Tensor:
    """What each player has to make small, (players, B); where one of two is exactly 0, the other is not."""
    players = [player for stage in model.stages for player in stage.players]
    return torch.stack([model.loss(batch, player, generator(0)).each.detach() for player in players])


def test_every_pair_that_fits_is_tried_and_not_much_more() -> None:
    assert {name for case in CASES for name in case} == {
        *MODELS, *KINDS, *NETWORKS, *LIKELIHOODS, *PRIORS, *CONDITIONS,
    }  # fmt: skip
    axes = (MODELS, KINDS, NETWORKS, LIKELIHOODS, PRIORS, CONDITIONS)
    wanted = {p for case in map(Case._make, itertools.product(*axes)) if fits(case) for p in pairs(case)}
    assert {p for case in CASES for p in pairs(case)} == wanted
    assert len(CASES) < 150


@pytest.mark.parametrize("kind", KINDS)
def test_what_does_not_fit_is_refused_in_words(kind: str) -> None:
    for network, likelihood in itertools.product(NETWORKS, LIKELIHOODS):
        case = Case("vae", kind, network, likelihood, "normal", "none")
        if fits(case):
            made(case)
        else:
            with pytest.raises(UsageError, match=r"needs|real numbers|levels|writes|has none|tokens"):
                made(case)


def test_only_what_writes_step_by_step_does_without_a_latent() -> None:
    case = Case("lm", "text", "recurrent", "categorical", "normal", "none")
    assert made(case).spec["latent"] == 0
    with pytest.raises(UsageError, match="lm has no latent and needs a network that writes step by step"):
        made(case._replace(network="mlp"))
    with pytest.raises(UsageError, match="lm has no latent, so that neither latent nor prior can be chosen"):
        build("lm", data_of("text", "none"), latent=3)


def test_an_autoencoder_refuses_a_prior_that_nothing_trains() -> None:
    for prior, condition in itertools.product(PRIORS, ("none", "label")):
        case = Case("ae", "vector5", "mlp", "normal", prior, condition)
        if fits(case):
            made(case)
        else:
            with pytest.raises(UsageError, match="does not train its prior: use the prior fitted"):
                made(case)


def test_a_gan_refuses_what_it_has_no_gradient_through_or_no_codes_for() -> None:
    for prior, likelihood in itertools.product(PRIORS, LIKELIHOODS):
        case = Case("gan", "grey1-17x30", "mlp", likelihood, prior, "none")
        if fits(case):
            made(case)
        elif fits(case._replace(family="vae")) or likelihood == "point":
            with pytest.raises(UsageError, match=r"use the likelihood point|from the prior normal"):
                made(case)
    with pytest.raises(UsageError, match="a vaegan has no gradient through a choice of tokens; use a vae"):
        made(Case("vaegan", "label", "mlp", "categorical", "normal", "none"))
    with pytest.raises(UsageError, match="use the likelihood point, or gumbel for tokens"):
        made(Case("gan", "label", "mlp", "categorical", "normal", "none"))
    for family, network in itertools.product(("gan", "vaegan"), WRITERS):
        with pytest.raises(UsageError, match=f"{family} has no gradient through what {network} writes"):
            made(Case(family, "text", network, "categorical", "normal", "none"))


@over_cases
def test_shapes(case: Case) -> None:
    model, batch = perturbed(case).eval(), batch_of(case)
    form = KINDS[case.kind].shape.form
    context = model.condition(batch)
    assert (context is None) == (case.condition == "none")
    for stage in model.stages:
        for player in stage.players:
            loss = model.loss(batch, player, generator(0))
            assert loss.each.shape == (B,) and loss.total.shape == () and loss.each.isfinite().all()
            assert loss.each.dtype == torch.float32
            assert all(not part.requires_grad for part in loss.parts.values())
    z = model.latents(B, context).draw(generator(1))
    assert z.shape == (B, latent_of(case))
    p = model.decode(z, context)
    assert isinstance(p, Distribution)
    assert p.log_prob(batch.x).shape == (B, *site_form(case))
    for x in (p.mean, p.mode, p.draw(generator(2))):
        assert x.shape == (B, *form) and x.isfinite().all()
    assert (p.draw(generator(2)) == p.draw(generator(2))).all()


@over_cases
def test_reading_gives_k_samples_item_after_item(case: Case) -> None:
    model, batch = perturbed(case).eval(), batch_of(case)
    if not isinstance(model, Autoencoder):
        pytest.skip("this family does not read")
    context = model.condition(batch)
    q = model.posterior(batch.x, context)
    got = model.draws(q, context, K, PerItem(0, range(B)))
    assert got.z.shape == (K * B, LATENT) and got.log_q.shape == (K * B,)
    if model.prior.dense:
        assert got.log_p.shape == (K * B,)
    assert got.kl is None or got.kl.shape == (B, LATENT)
    p = model.decode(got.z, None if context is None else context.repeat(K))
    assert model.reconstruction(p, batch, K).shape == (K * B,)
    # K-major: the samples of item 2 lie at 2, 2 + B, 2 + 2 B, and are what it gets alone
    one = part_of(batch, case, 2, 3)
    alone = model.infer(one.x, model.condition(one), K, noise=PerItem(0, [2])).z
    # another size of batch, another order of sums; perturbed networks emit numbers of 100 and more
    assert torch.allclose(got.z[2::B], alone, rtol=1e-4, atol=1e-4)
    if model.bounded:
        prior = model.latents(B, context)
        each = prior.log_prob(got.z.view(K, B, LATENT)[1])
        each = each.sum(1) if each.dim() == 2 else each
        assert torch.allclose(got.log_p.view(K, B)[1], each, atol=1e-4)


@over_cases
def test_gradient_reaches_every_parameter_of_the_player_and_no_other(case: Case) -> None:
    model = perturbed(case).train()
    # weights, or the signs that are an L1 gradient may add up to exactly 0
    batch = replace(batch_of(case), seen=seen_of(case), weight=torch.linspace(0.5, 2, B))
    names = {p: n for n, p in model.named_parameters()}
    players = {name: model.player(name) for stage in model.stages for name in stage.players}
    frozen = [n for n, p in model.named_parameters() if not p.requires_grad]
    # a condition has no holes, and a prior with a game of its own moves in that alone
    alone = ("prior.generator.", "autoencoder.prior.generator.")
    assert all(n.startswith(alone) or ("conditioner." in n and n.endswith(".fill")) for n in frozen)
    owned = [names[p] for own in players.values() for p in own]
    assert sorted(owned) == sorted(n for n, p in model.named_parameters() if p.requires_grad)
    for player, own in players.items():
        model.zero_grad(set_to_none=True)
        for p in names:
            if p.requires_grad and names[p] in owned:
                p.requires_grad_(any(p is mine for mine in own))
        model.loss(batch, player, generator(0)).total.backward()
        for other in players.values():
            for p in other:
                p.requires_grad_(True)
        reached = {n for p, n in names.items() if p.grad is not None and bool((p.grad != 0).any())}
        wanted = {names[p] for p in own}
        # unseen as a whole, real and made are the same to a critic, and no symbol of a text is unseen to it
        if KINDS[case.kind].shape.sites == 1 or case.likelihood == "gumbel":
            wanted -= {n for n in wanted - reached if n.startswith("critic.") and n.endswith(".fill")}
        assert reached == wanted
        assert all(p.grad.isfinite().all() for p in own if p.grad is not None)
    model.zero_grad(set_to_none=True)


@over_cases
def test_same_seed_same_weights_and_losses(case: Case) -> None:
    one, two, other = made(case), made(case), made(case, seed=1)
    state = one.state_dict()
    assert all(torch.equal(v, state[k]) for k, v in two.state_dict().items())
    assert any(not torch.equal(v, state[k]) for k, v in other.state_dict().items())
    batch, model = batch_of(case), perturbed(case).train()
    for stage in model.stages:
        for player in stage.players:
            first = model.loss(batch, player, generator(0)).each
            assert torch.equal(first, model.loss(batch, player, generator(0)).each)
            noisy = not torch.equal(first, model.loss(batch, player, generator(1)).each)
            assert noisy != model.exact


@over_cases
def test_an_item_depends_on_its_seed_and_number_only(case: Case) -> None:
    model, batch = perturbed(case).eval(), batch_of(case)
    few = part_of(batch, case, 2, 4)

    def sample(of: Batch, items: range, seed: int) -> tuple[Tensor, Tensor]:
        context = model.condition(of)
        z = model.latents(len(of), context).draw(PerItem(seed, items))
        p = model.decode(z, context)
        return z, p.draw(PerItem(seed + 1, items)).float()

    z, x = sample(batch, range(B), 5)
    z2, x2 = sample(few, range(2, 4), 5)
    assert torch.allclose(z[2:4], z2, rtol=1e-4, atol=1e-5)
    # a draw may round to the next level where another order of sums moves its last bit
    moved = ~torch.isclose(x[2:4], x2, atol=1e-3, rtol=1e-3)
    assert int(moved.sum()) <= max(1, moved.numel() // 1000)
    some = z if model.coded else x
    assert not torch.allclose(sample(batch, range(B), 6)[0 if model.coded else 1], some, atol=1e-3)
    assert model.coded and not torch.allclose(z[0], z[1], atol=1e-3) or len(x.unique(dim=0)) > 1


@over_cases
def test_unseen_values_change_nothing(case: Case) -> None:
    model, batch, seen = perturbed(case).eval(), batch_of(case), seen_of(case)
    over = seen.unsqueeze(1) if seen.dim() < batch.x.dim() else seen
    anything = 99 if batch.x.dtype == torch.int64 else float("nan")
    here = replace(batch, seen=seen)
    hidden = replace(here, x=torch.where(over, batch.x, torch.full_like(batch.x, anything)))
    other = KINDS[case.kind].tensor(values(KINDS[case.kind], B, 7))
    changed = replace(here, x=torch.where(over, other, batch.x))
    players = [player for stage in model.stages for player in stage.players]
    for player in players:
        loss = model.loss(here, player, generator(0)).each.detach()
        assert torch.equal(loss, model.loss(hidden, player, generator(0)).each)
        assert not torch.equal(loss, model.loss(changed, player, generator(0)).each)
        model.zero_grad(set_to_none=True)
        model.loss(hidden, player, generator(0)).total.backward()
        assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
    model.zero_grad(set_to_none=True)
    if isinstance(model, Autoencoder):
        with torch.no_grad():
            context = model.condition(batch)
            mean = model.posterior(batch.x, context, seen).mean
            assert torch.equal(mean, model.posterior(hidden.x, context, seen).mean)
            assert not torch.equal(mean, model.posterior(batch.x, context).mean)


@pytest.mark.parametrize("case", [c for c in CASES if c.family in ("ae", "vae")], ids="-".join)
def test_what_is_hidden_does_not_reach_the_encoder(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    model, batch = perturbed(case).train(), batch_of(case)
    assert isinstance(model, Autoencoder)
    read: list[tuple[Tensor | None, Tensor]] = []
    handle = model.encoder.register_forward_hook(lambda _, given, code: read.append((given[2], code)))

    def learned(x: Tensor) -> tuple[Tensor, Tensor | None, Tensor]:
        """Losses (B,), what the encoder is to see of the items, and what it makes of that."""
        read.clear()
        with torch.no_grad():
            loss = model.loss(replace(batch, x=x), noise=generator(0)).each
        return loss, *read[0]

    plain, seen, _ = learned(batch.x)
    assert seen is batch.seen
    monkeypatch.setattr(model, "hide", 0.5)
    loss, shown, code = learned(batch.x)
    assert shown is not None and 0 < shown.float().mean() < 1 and not torch.equal(loss, plain)
    assert seen is None or bool((seen | ~shown).all())
    other = KINDS[case.kind].tensor(values(KINDS[case.kind], B, 7))
    again, _, same = learned(torch.where(shown, batch.x, other))
    assert torch.equal(same, code) and not torch.equal(again, loss)  # which every value of the data is in
    model.eval()
    assert learned(batch.x)[1] is batch.seen
    handle.remove()


@pytest.mark.parametrize("case", [c for c in CASES if c.condition != "none"], ids="-".join)
def test_the_value_of_a_dropped_condition_does_not_matter(case: Case) -> None:
    model, batch = perturbed(case).eval(), batch_of(case)
    data = data_of(case.kind, case.condition)
    other = {n: c.kind.tensor(values(c.kind, B, 55)) for n, c in data.given.items()}
    with torch.no_grad():
        none = replace(batch, kept={n: torch.zeros(B, dtype=torch.bool) for n in batch.given})
        dropped = losses(model, none)
        # texts of another length are sums of other zeros
        assert torch.allclose(dropped, losses(model, replace(none, given=other)), atol=1e-5, rtol=1e-5)
        assert torch.allclose(dropped, losses(model, replace(batch, given={}, kept={})), atol=1e-5)
        there = replace(batch, kept={n: torch.ones(B, dtype=torch.bool) for n in batch.given})
        whole = losses(model, there)
        assert not torch.allclose(dropped, whole, atol=1e-5)
        for name in batch.given:  # each condition by itself says something about every item
            one = {**there.given, name: other[name].flip(0) + (other[name] == batch.given[name])}
            if isinstance(data.conditions[name], Text):
                one[name] = values(data.conditions[name], B, 56).long()
            elif isinstance(data.conditions[name], Label):
                one[name] = (batch.given[name] + 1) % len(data.conditions[name].classes)
            assert (losses(model, replace(there, given=one)) != whole).any(0).all()


CHILD = """
import sys
from pathlib import Path
import torch
from safetensors.torch import load_file, save_file
from ectype.data.batch import Batch
from ectype.noise import PerItem
from ectype.runs import load

made = {}
for folder in sorted(Path(sys.argv[1]).iterdir()):
    model = load(folder).model
    given = load_file(folder / "given.safetensors")
    n = len(given.pop("x"))
    with torch.no_grad():
        context = None if model.conditioner is None else model.conditioner(given, {}, n)
        z = model.latents(n, context).draw(PerItem(11, range(n)))
        made[folder.name] = model.decode(z, context).mean.float().contiguous()
save_file(made, sys.argv[2])
"""


@pytest.fixture(scope="module")
def reloaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Tensor]]:
    """The samples of every saved model, made by one fresh process."""
    from safetensors.torch import load_file, save_file

    runs, out = tmp_path_factory.mktemp("runs"), tmp_path_factory.mktemp("out") / "made.safetensors"
    for i, case in enumerate(CASES):
        data = data_of(case.kind, case.condition)
        Run.of(perturbed(case), data).save(runs / f"{i:03d}")
        batch = data.batch(range(B))
        save_file({"x": torch.zeros(B), **batch.given}, runs / f"{i:03d}" / "given.safetensors")
    subprocess.run(
        [sys.executable, "-c", CHILD, str(runs), str(out)], check=True, cwd=Path(__file__).parents[1]
    )
    yield load_file(out)


@over_cases
def test_a_fresh_process_makes_the_same_from_the_file(case: Case, reloaded: dict[str, Tensor]) -> None:
    model = perturbed(case).eval()
    channels_last(model)  # as `load` does: in another layout sums are added in another order
    batch = data_of(case.kind, case.condition).batch(range(B))
    with torch.no_grad():
        context = None if model.conditioner is None else model.conditioner(batch.given, {}, B)
        z = model.latents(B, context).draw(PerItem(11, range(B)))
        made_here = model.decode(z, context).mean.float()
    there = reloaded[f"{CASES.index(case):03d}"]
    assert torch.equal(made_here, there)
    assert not made_here.isnan().any()

"""Conditions become a context: nulls, drops, K-major repetition, names of any sort."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from ectype.context import Conditioner, Context, Reading
from ectype.data.batch import Batch
from ectype.networks.readers import reader
from ectype.noise import PerItem
from ectype.shapes import Grid

WIDTH = 5


def conditioner(*names: str) -> Conditioner:
    torch.manual_seed(0)
    return Conditioner({name: nn.Linear(2, WIDTH) for name in names}, WIDTH)


def test_every_condition_is_a_token_and_the_vector_is_their_sum() -> None:
    model = conditioner("a", "b")
    given = {"a": torch.randn(4, 2), "b": torch.randn(4, 2)}
    context = model(given, {}, 4)
    assert context.tokens.shape == (4, 2, WIDTH) and context.vector.shape == (4, WIDTH)
    assert torch.equal(context.tokens[:, 0], model.encoders[0](given["a"]))
    assert torch.equal(context.tokens[:, 1], model.encoders[1](given["b"]))
    assert torch.allclose(context.vector, context.tokens.sum(1))
    assert context.mask.shape == (4, 2) and context.mask.all()


def test_dropped_missing_and_absent_are_the_same_null() -> None:
    model = conditioner("a", "b")
    given = {"a": torch.randn(3, 2), "b": torch.randn(3, 2)}
    kept = {"a": torch.tensor([True, False, True])}
    context = model(given, kept, 3)
    null = model.nulls[0]
    assert torch.equal(context.tokens[1, 0], null)
    assert not torch.equal(context.tokens[0, 0], null)
    absent = model({"b": given["b"]}, {}, 3)
    assert torch.equal(absent.tokens[:, 0], null.expand(3, -1))
    assert torch.equal(absent.tokens[:, 1], context.tokens[:, 1])
    assert not torch.equal(model.nulls[0], model.nulls[1]) and (model.nulls != 0).all()


def test_the_gradient_goes_to_what_was_used() -> None:
    model = conditioner("a", "b")
    given = {"a": torch.randn(3, 2), "b": torch.randn(3, 2)}
    kept = {"a": torch.zeros(3, dtype=torch.bool), "b": torch.ones(3, dtype=torch.bool)}
    (model(given, kept, 3).vector ** 2).sum().backward()
    weights = [encoder.weight.grad for encoder in model.encoders]
    assert (weights[0] == 0).all() and (weights[1] != 0).any()
    assert model.nulls.grad is not None
    assert (model.nulls.grad[0] != 0).all() and (model.nulls.grad[1] == 0).all()


@pytest.mark.parametrize("gone", [math.nan, math.inf])
def test_what_is_missing_may_be_no_number(gone: float) -> None:
    model = conditioner("a")
    value = torch.randn(3, 2)
    value[1] = gone
    context = model({"a": value}, {"a": torch.tensor([True, False, True])}, 3)
    assert torch.equal(context.vector[1], model.nulls[0])
    (context.vector**2).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_a_picture_that_is_missing_may_be_no_number() -> None:
    shape = Grid(1, (8, 8))
    model = Conditioner({"a": reader("conv", shape, shape, WIDTH)}, WIDTH, grids={"a": (2, 8, 8)})
    value = torch.rand(3, 1, 8, 8)
    value[1] = math.nan
    context = model({"a": value}, {"a": torch.tensor([True, False, True])}, 3)
    assert context.aligned is not None
    assert torch.equal(context.vector[1], model.nulls[0]) and (context.aligned[1] == 0).all()
    (context.vector.square().sum() + context.aligned.sum()).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize("name", ["type", "items", "a.b", "forward", "training", "ñ ü", ""])
def test_a_condition_may_have_any_name(name: str) -> None:
    model = conditioner(name, "label")
    context = model({name: torch.ones(2, 2)}, {}, 2)
    assert torch.equal(context.tokens[:, 0], model.encoders[0](torch.ones(2, 2)))
    again = conditioner(name, "label")
    again.load_state_dict(model.state_dict())
    assert torch.equal(again({}, {}, 2).vector, model({}, {}, 2).vector)


def test_repeat_is_k_major() -> None:
    vector = torch.arange(6.0).view(3, 2)
    mask = torch.tensor([[True], [False], [True]])
    context = Context(vector, vector.unsqueeze(1), mask, torch.arange(12.0).view(3, 1, 2, 2))
    two = context.repeat(2)
    assert context.repeat(1) is context
    assert torch.equal(two.vector, torch.cat([vector, vector]))
    assert torch.equal(two.tokens[:, 0], two.vector) and torch.equal(two.mask, torch.cat([mask, mask]))
    assert two.aligned is not None and torch.equal(two.aligned[3], two.aligned[0])


def test_blank_says_nothing() -> None:
    context = conditioner("a", "b")({"a": torch.ones(4, 2)}, {}, 4).blank(7)
    assert context.vector.shape == (7, WIDTH) and context.tokens.shape == (7, 2, WIDTH)
    assert (context.vector == 0).all() and (context.tokens == 0).all() and context.mask.all()


def drop(n: int, rate: float, kept: dict[str, Tensor] | None = None, seed: int = 0) -> Batch:
    batch = Batch(torch.zeros(n, 1), {"a": torch.zeros(n), "b": torch.zeros(n)}, kept or {})
    return batch.drop(rate, torch.Generator().manual_seed(seed))


def test_conditions_are_dropped_at_the_rate_and_apart_from_each_other() -> None:
    n, rate = 20_000, 0.3
    kept = drop(n, rate).kept
    error = 4 * math.sqrt(rate * (1 - rate) / n)
    for stays in kept.values():
        assert stays.dtype == torch.bool and abs(float((~stays).float().mean()) - rate) < error
    both = (~kept["a"] & ~kept["b"]).float().mean()
    assert abs(float(both) - rate**2) < 4 * math.sqrt(rate**2 / n)


def test_what_is_missing_stays_missing() -> None:
    missing = torch.arange(1000) % 2 == 0
    kept = drop(1000, 0.2, {"a": ~missing}).kept
    assert not kept["a"][missing].any() and kept["a"][~missing].any() and kept["b"][missing].any()


def test_rates_of_nothing_and_everything() -> None:
    batch = Batch(torch.zeros(5, 1), {"a": torch.zeros(5)})
    assert batch.drop(0, None) is batch
    assert not batch.drop(1.0, None).kept["a"].any()
    assert Batch(torch.zeros(5, 1)).drop(0.5, None).kept == {}


def test_a_drop_depends_on_seed_and_item() -> None:
    batch = Batch(torch.zeros(40, 1), {"a": torch.zeros(40)})
    stays = batch.drop(0.5, PerItem(2, range(40))).kept["a"]
    assert torch.equal(stays, batch.drop(0.5, PerItem(2, range(40))).kept["a"])
    assert not torch.equal(stays, batch.drop(0.5, PerItem(3, range(40))).kept["a"])
    part = Batch(torch.zeros(3, 1), {"a": torch.zeros(3)}).drop(0.5, PerItem(2, [8, 9, 10]))
    assert torch.equal(part.kept["a"], stays[8:11])


class Reads(nn.Module):
    """Vector, two tokens of which the second is padding, and one channel on a grid."""

    def forward(self, x: Tensor) -> Reading:
        grid = x[:, :1, None, None].expand(-1, 1, 3, 4)
        tokens = torch.stack([x, x + 1], 1)
        mask = torch.tensor([True, False]).expand(len(x), 2)
        return Reading(x, tokens, mask, torch.cat([grid, torch.ones_like(grid)], 1))


def test_sequences_and_grids_of_what_is_dropped_are_not_there() -> None:
    model = Conditioner({"a": Reads(), "b": nn.Linear(2, WIDTH)}, WIDTH, grids={"a": (2, 3, 4)})
    x = torch.randn(3, WIDTH)
    kept = {"a": torch.tensor([True, False, True])}
    context = model({"a": x}, kept, 3)
    assert context.tokens.shape == (3, 4, WIDTH)  # one of each condition, then the two steps
    assert context.mask.tolist() == [[True, True, s, False] for s in (True, False, True)]
    assert context.aligned is not None and context.aligned.shape == (3, 2, 3, 4)
    assert (context.aligned[1] == 0).all() and (context.aligned[0, 1] == 1).all()
    absent = model({}, {}, 3)
    assert absent.aligned is not None and (absent.aligned == 0).all()
    assert torch.equal(absent.vector[1], context.vector[1])
    assert absent.mask.all() and absent.tokens.shape == (3, 2, WIDTH)


def test_what_is_packed_keeps_every_token_and_every_grid() -> None:
    context = Conditioner({"a": Reads()}, WIDTH, grids={"a": (2, 3, 4)})({"a": torch.randn(4, WIDTH)}, {}, 4)
    two = context.grouped(2)
    assert two.aligned is not None and context.aligned is not None
    assert torch.equal(two.aligned[1, 2:], context.aligned[3])
    assert torch.equal(two.tokens[0, 3:], context.tokens[1]) and two.mask.shape == (2, 6)
    assert torch.allclose(two.vector[1], context.vector[2:].mean(0))


def test_guidance_is_a_line_through_null_and_condition() -> None:
    model = conditioner("a")
    null, one = model({}, {}, 2), model({"a": torch.randn(2, 2)}, {}, 2)
    assert torch.allclose(one.guided(null, 1.0).vector, one.vector)
    assert torch.allclose(one.guided(null, 0.0).vector, null.vector)
    far = one.guided(null, 3.0).vector - null.vector
    assert torch.allclose(far, 3 * (one.vector - null.vector), atol=1e-6)


def test_a_context_is_shortened_to_the_longest_of_others_and_never_lengthened() -> None:
    model = conditioner("a")
    null, one = model({}, {}, 5), model({"a": torch.randn(5, 2)}, {}, 5)
    reach = torch.maximum(null.vector.norm(dim=1), one.vector.norm(dim=1))
    for scale in (0.0, 0.4, 1.0):  # between the two nothing is longer than the longer
        line = one.guided(null, scale)
        assert torch.allclose(line.within(one, null).vector, line.vector)
    far = one.guided(null, 9.0)
    short = far.within(one, null).vector
    assert torch.allclose(short.norm(dim=1), torch.minimum(reach, far.vector.norm(dim=1)))
    assert torch.allclose(torch.cosine_similarity(short, far.vector), torch.ones(5))
    assert (null.within(null).vector == null.vector).all()


def test_a_smoothed_vector_is_drawn_while_training_only_and_costs_its_divergence() -> None:
    torch.manual_seed(0)
    model = Conditioner({"a": nn.Linear(2, WIDTH)}, WIDTH, smooth=True)
    given = {"a": torch.randn(3, 2)}
    one, two = (model(given, {}, 3, torch.Generator().manual_seed(s)) for s in (0, 1))
    assert not torch.equal(one.vector, two.vector)
    model.eval()
    one, two = (model(given, {}, 3, torch.Generator().manual_seed(s)) for s in (0, 1))
    assert torch.equal(one.vector, two.vector)
    assert model.smoothing is not None and one.kl is not None
    mean, log_scale = model.smoothing(model.encoders[0](given["a"])).chunk(2, 1)
    q = torch.distributions.Normal(mean, log_scale.exp())
    wanted = torch.distributions.kl_divergence(q, torch.distributions.Normal(0.0, 1.0)).mean(1)
    assert torch.allclose(one.kl, wanted, atol=1e-5)

"""The game: losses, penalties, packing, spectral norm, who gets which gradient, augmentation, γ."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import ectype as ec
from ectype.data.batch import Batch
from ectype.errors import UsageError
from ectype.models.adversarial import COMPARES, CRITIC, GENERATOR, gradient_penalty, slopes
from ectype.models.augment import augment, strength
from ectype.models.balance import TARGET, Balance, _differ
from ectype.models.critic import FEATURES, Critic, packed
from ectype.models.gan import GAN
from ectype.models.lifting import lifted_shape
from ectype.runs import Run, load
from ectype.shapes import Grid, Row, Series, Shape, Tokens

ADVERSARIES = sorted(CRITIC)
SMALL: dict[str, dict[str, Any]] = {
    "mlp": {"network": "mlp", "hidden": (16,)},
    "conv": {"network": "conv", "width": 4, "depth": 1, "neck": 3},
}
R, F = torch.meshgrid(torch.linspace(-4, 4, 17), torch.linspace(-4, 4, 17), indexing="ij")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


def game(network: str = "mlp", **options: Any) -> tuple[GAN, Batch]:
    """A small GAN of pictures under labels, none of whose layers is zero, and twelve items."""
    random = np.random.default_rng(0)
    data = ec.read((random.integers(0, 256, (48, 6, 7), np.uint8), np.arange(48) % 3), given="label")
    model = ec.build("gan", data, latent=4, **{"augment": 0.0, **SMALL[network], **options})
    assert isinstance(model, GAN)
    with torch.no_grad():
        for p in model.parameters():
            p += 0.1 * torch.randn(p.shape, generator=generator(1))
    return model, data.batch(range(12))


class Linear(nn.Module):
    """Features of which the first is w · x, far from where the critic's activation bends."""

    def __init__(self, w: Tensor) -> None:
        super().__init__()
        self.w = nn.Parameter(w)

    def forward(self, x: Tensor, context: object = None, seen: object = None) -> Tensor:
        first = x.flatten(1) @ self.w + 1000
        return torch.cat([first.unsqueeze(1), x.new_zeros(len(x), FEATURES - 1)], 1)


def linear(w: Tensor, pack: int = 1) -> Critic:
    """The critic D(x) = w · x + constant."""
    critic = Critic(Linear(w), pack=pack)
    with torch.no_grad():
        critic.head.weight.fill_(1.0)
    return critic


# ---- losses ----


@pytest.mark.parametrize(
    ("name", "critic", "maker"),
    [
        ("relativistic", lambda r, f: softplus(-(r - f)), lambda r, f: softplus(r - f)),
        ("ns", lambda r, f: softplus(-r) + softplus(f), lambda r, f: softplus(-f)),
        ("hinge", lambda r, f: max(0, 1 - r) + max(0, 1 + f), lambda r, f: -f),
        ("wasserstein", lambda r, f: f - r, lambda r, f: -f),
    ],
)
def test_losses_are_their_formulas(name: str, critic: Any, maker: Any) -> None:
    for loss, formula in ((CRITIC[name], critic), (GENERATOR[name], maker)):
        wanted = torch.tensor([formula(r, f) for r, f in zip(R.flatten(), F.flatten(), strict=True)])
        torch.testing.assert_close(loss(R, F).flatten(), wanted)


@pytest.mark.parametrize("name", ADVERSARIES)
def test_the_critic_wants_real_up_and_made_down_and_the_generator_made_up(name: str) -> None:
    # inside hinge's margins, outside of which the critic is content
    r, f = (x[(R.abs() < 1) & (F.abs() < 1)].clone().requires_grad_() for x in (R, F))
    by_r, by_f = torch.autograd.grad(CRITIC[name](r, f).sum(), (r, f))
    assert (by_r < 0).all() and (by_f > 0).all()
    (by_f,) = torch.autograd.grad(GENERATOR[name](r, f).sum(), f)
    assert (by_f < 0).all()


def test_pairing_sees_differences_of_logits_alone() -> None:
    for loss in (CRITIC["relativistic"], GENERATOR["relativistic"], CRITIC["wasserstein"]):
        torch.testing.assert_close(loss(R + 7, F + 7), loss(R, F))
    assert not torch.allclose(CRITIC["ns"](R + 7, F + 7), CRITIC["ns"](R, F))
    # what one player makes of a pair the other makes of the pair in the other order
    torch.testing.assert_close(GENERATOR["relativistic"](R, F), CRITIC["relativistic"](F, R))


@pytest.mark.parametrize("name", ADVERSARIES)
def test_the_generator_pays_for_real_items_only_where_its_loss_reads_them(name: str) -> None:
    r = R.clone().requires_grad_()
    (by_r,) = torch.autograd.grad(GENERATOR[name](r, F).sum() + 0 * r.sum(), r)
    assert (by_r != 0).any() == (GENERATOR[name] in COMPARES)
    model, batch = game(adversary=name)
    judged: list[int] = []
    model.critic.encoder.register_forward_hook(lambda _, inputs, __: judged.append(len(inputs[0])))
    each = model.loss(batch, "generator", generator()).each
    assert sum(judged) == (24 if GENERATOR[name] in COMPARES else 12)
    other = model.loss(replace(batch, x=batch.x.flip(0)), "generator", generator()).each
    assert torch.equal(each, other) == (GENERATOR[name] not in COMPARES)


def test_logits_far_apart_are_finite() -> None:
    far = torch.tensor([-1e4, 1e4])
    for name in ADVERSARIES:
        assert CRITIC[name](far, -far).isfinite().all() and GENERATOR[name](far, -far).isfinite().all()


# ---- penalties ----


def test_the_slope_of_a_linear_critic_is_its_weight() -> None:
    w = torch.randn(6, generator=generator()).requires_grad_()
    x = torch.randn(5, 6, generator=generator(1)).requires_grad_()
    found = slopes(x @ w, x)
    torch.testing.assert_close(found, (w @ w).expand(5))
    (by_w,) = torch.autograd.grad(found.mean(), w)
    torch.testing.assert_close(by_w, 2 * w)


@pytest.mark.parametrize("length", [1.0, 3.0, 0.0])
def test_the_gradient_penalty_is_the_distance_of_the_slope_from_one(length: float) -> None:
    w = torch.randn(6, generator=generator())
    w = (length * w / w.norm()).requires_grad_()
    real, made = torch.randn(2, 5, 6, generator=generator(1))
    found = gradient_penalty(lambda x: x @ w, real, made, generator())
    torch.testing.assert_close(found, torch.full((5,), (length - 1) ** 2), atol=1e-5, rtol=1e-5)
    assert torch.autograd.grad(found.sum(), w)[0].isfinite().all()


@pytest.mark.parametrize("pack", [1, 2, 4])
def test_a_pack_is_one_item_of_its_critic(pack: int) -> None:
    w = torch.randn(pack * 6, generator=generator())
    w = 2 * w / w.norm()
    real, made = torch.randn(2, 8, 6, generator=generator(1))

    def critic(x: Tensor) -> Tensor:
        return x.view(-1, pack * 6) @ w

    found = gradient_penalty(critic, real, made, generator(), pack)
    torch.testing.assert_close(found, torch.ones(8 // pack), atol=1e-5, rtol=1e-5)
    x = real.requires_grad_()
    torch.testing.assert_close(slopes(critic(x), x, pack), torch.full((8 // pack,), 4.0))


def test_the_gradient_penalty_is_taken_between_real_and_made() -> None:
    seen: list[Tensor] = []

    def critic(x: Tensor) -> Tensor:
        seen.append(x.detach())
        return x.sum(1)

    real, made = torch.zeros(50, 3), torch.ones(50, 3)
    gradient_penalty(critic, real, made, generator())
    (between,) = seen
    assert (between == between[:, :1]).all()  # one share for all values of an item
    assert between.min() >= 0 and between.max() <= 1 and len(between[:, 0].unique()) == 50


@pytest.mark.parametrize(
    ("regularizer", "times"), [("r1", 1.0), ("r1r2", 2.0), ("none", None), ("gp", "(|w| - 1)²")]
)
def test_penalties_in_the_critic_s_loss(regularizer: str, times: Any) -> None:
    w, gamma = torch.randn(4, generator=generator()), 0.3
    real, made = torch.randn(2, 8, 4, generator=generator(1))
    balance = Balance(Row((1,) * 4), regularizer=regularizer, gamma=gamma, augment=None)
    loss = balance.critic_loss(linear(w), Batch(real), made, CRITIC["relativistic"], generator())
    plain = CRITIC["relativistic"](real @ w, made @ w)
    steep = float((w.norm() - 1) ** 2) if regularizer == "gp" else float(w @ w) * (times or 0)
    torch.testing.assert_close(loss.each, plain + gamma / 2 * steep, atol=1e-3, rtol=1e-4)
    assert ("penalty" in loss.parts) == (regularizer != "none")
    if regularizer != "none":
        assert float(loss.parts["penalty"]) == pytest.approx(steep, abs=1e-4)
        assert float(loss.parts["gamma"]) == pytest.approx(gamma)


def test_a_gamma_of_zero_is_no_penalty() -> None:
    real, made = torch.randn(2, 8, 4, generator=generator(1))
    losses = [
        Balance(Row((1,) * 4), regularizer=regularizer, gamma=0.0, augment=None)
        .critic_loss(linear(torch.ones(4)), Batch(real), made, CRITIC["ns"], generator())
        .each
        for regularizer in ("r1r2", "none")
    ]
    assert torch.equal(*losses)


# ---- packing ----


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [
        (Grid(3, (4, 5)), Grid(9, (4, 5))),
        (Row((1, 2)), Row((1, 2, 1, 2, 1, 2))),
        (Series(2, 7), Series(6, 7)),
        (Tokens(5, (4,)), Series(15, 4)),
        (Tokens(5), Series(15, 1)),
    ],
)
def test_the_shape_of_a_pack(shape: Shape, wanted: Shape) -> None:
    assert packed(shape, 3) == wanted and packed(shape, 1) == lifted_shape(shape)


def test_a_pack_is_judged_as_one_item() -> None:
    w = torch.randn(3, 4, generator=generator())
    critic, x = linear(w.flatten(), pack=3), torch.randn(6, 4, generator=generator(1))
    wanted = torch.stack([(x[:3] * w).sum(), (x[3:] * w).sum()])
    torch.testing.assert_close(critic(x) - 1000, wanted, atol=1e-3, rtol=1e-4)
    balance = Balance(Row((1,) * 4), regularizer="r1", gamma=0.5, augment=None)
    loss = balance.critic_loss(critic, Batch(x), x.flip(0), CRITIC["wasserstein"], generator())
    flipped = torch.stack([(x.flip(0)[:3] * w).sum(), (x.flip(0)[3:] * w).sum()])
    each = flipped - wanted + 0.25 * w.square().sum()  # the slope by all values of the pack
    torch.testing.assert_close(loss.each, each.repeat_interleave(3), atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("items", [3, 4, 7])
def test_the_last_items_that_make_no_pack_are_not_judged(items: int) -> None:
    """With an odd number of each, real and made items together would make whole packs."""
    critic = linear(torch.randn(9, generator=generator()), pack=3)
    x, made = torch.randn(2, items, 3, generator=generator(1))
    weight = torch.rand(items, generator=generator(2))
    whole = items // 3 * 3
    balance = Balance(Row((1,) * 3), regularizer="r1r2", gamma=0.5, augment=None)
    for of in (balance.critic_loss, balance.generator_loss):
        pair = CRITIC["hinge"] if of == balance.critic_loss else GENERATOR["relativistic"]
        found = of(critic, Batch(x, weight=weight), made, pair, generator())
        wanted = of(critic, Batch(x[:whole], weight=weight[:whole]), made[:whole], pair, generator())
        assert found.each.shape == (whole,)
        torch.testing.assert_close(found.total, wanted.total)


def test_a_batch_smaller_than_a_pack_is_refused() -> None:
    model, batch = game(pack=2)
    for player in ("critic", "generator"):
        with pytest.raises(
            UsageError, match="a batch of 1 items cannot be judged 2 at a time: choose a larger"
        ):
            model.loss(Batch(batch.x[:1]), player, generator())


@pytest.mark.parametrize("network", ["mlp", "conv"])
def test_a_packed_game_reaches_every_item(network: str) -> None:
    model, batch = game(network, pack=4)
    made = model.made(batch, generator()).detach().requires_grad_()
    loss = model.balance.generator_loss(model.critic, batch, made, GENERATOR["ns"], generator())
    assert loss.each.shape == (12,)
    (by_item,) = torch.autograd.grad(loss.total, made)
    assert (by_item.flatten(1).abs().sum(1) > 0).all()


# ---- spectral norm ----


@pytest.mark.parametrize("network", ["mlp", "conv"])
def test_a_restrained_critic_lengthens_nothing(network: str) -> None:
    model, _ = game(network)
    layers = _layers(model.critic)
    with torch.no_grad():
        layers[0].weight.mul_(20)
        layers[1].weight.mul_(0.01)
        layers[2].weight.zero_()
    before = [layer.weight.clone() for layer in layers]
    model.restrain()
    for old, layer in zip(before, layers, strict=True):
        was, now = (float(torch.linalg.svdvals(w.detach().flatten(1))[0]) for w in (old, layer.weight))
        assert now <= 1.1 or was <= 1.1  # six steps of the power iteration
        assert torch.equal(old, layer.weight) if was <= 1 else now >= 0.999


@pytest.mark.parametrize("network", ["mlp", "conv"])
def test_spectral_norm_makes_the_largest_singular_value_one(network: str) -> None:
    """Layers that start at zero, and under labels, included."""
    random = np.random.default_rng(0)
    data = ec.read((random.integers(0, 256, (20, 6, 7), np.uint8), np.arange(20) % 3), given="label")
    model = ec.build("gan", data, latent=4, spectral=True, **SMALL[network])
    assert isinstance(model, GAN)
    batch = data.batch(range(4))
    for _ in range(300):  # one step of the power iteration each
        logits = model.critic(batch.x, model.critic.condition(batch))
    assert logits.isfinite().all()
    layers = [part for part in model.critic.modules() if isinstance(part, nn.Linear | nn.Conv2d)]
    largest = [torch.linalg.svdvals(layer.weight.detach().flatten(1))[0].item() for layer in layers]
    assert len(layers) > 3 and largest == pytest.approx([1.0] * len(layers), abs=0.01)
    plain, _ = game(network)
    others = [torch.linalg.svdvals(layer.weight.detach().flatten(1))[0] for layer in _layers(plain.critic)]
    assert max(abs(float(o) - 1) for o in others) > 0.1


def _layers(module: nn.Module) -> list[nn.Module]:
    return [part for part in module.modules() if isinstance(part, nn.Linear | nn.Conv2d)]


def test_a_spectral_critic_can_be_saved_and_loaded(tmp_path: Path) -> None:
    data = ec.read(np.random.default_rng(0).integers(0, 256, (20, 6, 7), np.uint8))
    model = ec.build("gan", data, latent=4, spectral=True, pack=2, **SMALL["conv"])
    model.loss(data.batch(range(4)), "critic", generator())
    Run.of(model, data).save(tmp_path / "run")
    again = load(tmp_path / "run").model.state_dict()
    assert again.keys() == model.state_dict().keys()
    assert all(torch.equal(v, again[k]) for k, v in model.state_dict().items())


# ---- who gets which gradient, and with which sign ----


@pytest.mark.parametrize("network", ["mlp", "conv"])
@pytest.mark.parametrize("adversary", ADVERSARIES)
@pytest.mark.parametrize("player", ["critic", "generator"])
def test_a_plain_backward_reaches_the_player_alone(network: str, adversary: str, player: str) -> None:
    model, batch = game(network, adversary=adversary)
    for _ in range(2):  # and nothing of one move is left over for the next
        model.zero_grad(set_to_none=True)
        model.loss(batch, player, generator()).total.backward()
        reached = {id(p) for p in model.parameters() if p.grad is not None and p.grad.abs().sum() > 0}
        own = {id(p) for p in model.player(player)}
        assert reached and reached <= own
        assert all(p.requires_grad for name in ("critic", "generator") for p in model.player(name))
    assert not own & {id(p) for p in model.player({"critic": "generator", "generator": "critic"}[player])}


def test_the_critic_s_loss_reaches_nothing_behind_the_made_items() -> None:
    model, batch = game()
    made = model.made(batch, generator())
    assert made.requires_grad
    model.balance.critic_loss(model.critic, batch, made, CRITIC["ns"], generator()).total.backward()
    assert all(p.grad is None for p in model.player("generator"))


def test_one_optimiser_over_all_parameters_moves_the_player_alone() -> None:
    """The loop of somebody who knows nothing of players."""
    model, batch = game()
    optimiser = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    for player, still in (("critic", model.decoder), ("generator", model.critic)):
        before = [p.clone() for p in still.parameters()]
        optimiser.zero_grad()
        model.loss(batch, player, generator()).total.backward()
        optimiser.step()
        assert all(torch.equal(a, b) for a, b in zip(before, still.parameters(), strict=True))


def stepped(model: GAN, player: str, total: Tensor, rate: float) -> None:
    """One plain step of gradient descent of one player."""
    own = model.player(player)
    found = torch.autograd.grad(total, own, allow_unused=True)
    size = torch.stack([g.norm() for g in found if g is not None]).norm()
    with torch.no_grad():
        for p, gradient in zip(own, found, strict=True):
            if gradient is not None:
                p -= rate * gradient / size


def margin(model: GAN, batch: Batch) -> tuple[float, float]:
    """Mean logits of real items and of made ones."""
    with torch.no_grad():
        context = model.critic.condition(batch)
        made = model.made(batch, generator(3))
        return float(model.critic(batch.x, context).mean()), float(model.critic(made, context).mean())


@pytest.mark.parametrize("network", ["mlp", "conv"])
@pytest.mark.parametrize("adversary", ADVERSARIES)
def test_a_generator_step_raises_the_logit_of_what_it_makes(network: str, adversary: str) -> None:
    for rate in (0.001, -0.001):
        model, batch = game(network, adversary=adversary)
        real, made = margin(model, batch)
        stepped(model, "generator", model.loss(batch, "generator", generator(3)).total, rate)
        after = margin(model, batch)
        assert after[0] == real
        assert (after[1] - made) * rate > 0


@pytest.mark.parametrize("network", ["mlp", "conv"])
@pytest.mark.parametrize("adversary", ADVERSARIES)
def test_a_critic_step_tells_real_from_made_better(network: str, adversary: str) -> None:
    for rate in (0.001, -0.001):
        model, batch = game(network, adversary=adversary, regularizer="none", mismatch=0.0)
        real, made = margin(model, batch)
        loss = model.loss(batch, "critic", generator(3))
        assert float(loss.parts["gap"]) == pytest.approx(real - made, abs=1e-5)
        stepped(model, "critic", loss.total, rate)
        # the loss and not the gap: hinge is content with pairs that are far enough apart
        after = model.loss(batch, "critic", generator(3)).total
        assert (loss.total - after) * rate > 0


@pytest.mark.parametrize("network", ["mlp", "conv"])
def test_a_penalty_step_makes_the_critic_flatter(network: str) -> None:
    model, batch = game(network, gamma=1e6)
    first = model.loss(batch, "critic", generator(3))
    stepped(model, "critic", first.total, 0.01)  # far enough to cross some bends of the activation
    assert model.loss(batch, "critic", generator(3)).parts["penalty"] < 0.95 * first.parts["penalty"]


# ---- the batch ----


@pytest.mark.parametrize("network", ["mlp", "conv"])
@pytest.mark.parametrize("regularizer", ["r1r2", "r1"])
def test_one_pass_is_two_passes(network: str, regularizer: str) -> None:
    model, batch = game(network, gamma=0.7, regularizer=regularizer, mismatch=0)
    critic, pair = model.critic, CRITIC["relativistic"]
    made = model.made(batch, generator()).detach()
    loss = model.balance.critic_loss(critic, batch, made, pair, generator())
    context = critic.condition(batch)
    xs = [x.clone().requires_grad_() for x in (batch.x, made)]
    real, fake = (critic(x, context) for x in xs)
    steep = slopes(real, xs[0]) + (slopes(fake, xs[1]) if regularizer == "r1r2" else 0)
    each = pair(real, fake) + 0.35 * steep
    torch.testing.assert_close(loss.each, each)
    own = model.player("critic")
    for a, b in zip(
        torch.autograd.grad(loss.total, own, allow_unused=True),
        torch.autograd.grad(each.mean(), own, allow_unused=True),
        strict=True,
    ):
        torch.testing.assert_close(
            torch.zeros(()) if a is None else a,
            torch.zeros(()) if a is None and b is None else b,
            atol=1e-5,
            rtol=1e-4,
        )


@pytest.mark.parametrize("player", ["critic", "generator"])
def test_each_is_what_an_item_has_alone(player: str) -> None:
    model, batch = game(gamma=0.7, mismatch=0.0)  # a neighbour's conditions are not the item's own
    made = model.made(batch, generator()).detach()

    def each(first: int, end: int) -> Tensor:
        given = {k: v[first:end] for k, v in batch.given.items()}
        kept = {k: v[first:end] for k, v in batch.kept.items()}
        part = Batch(batch.x[first:end], given, kept)
        if player == "critic":
            loss = model.balance.critic_loss(
                model.critic, part, made[first:end], CRITIC["relativistic"], generator()
            )
        else:
            loss = model.balance.generator_loss(
                model.critic, part, made[first:end], GENERATOR["relativistic"], generator()
            )
        return loss.each.detach()

    whole = each(0, 12)
    torch.testing.assert_close(whole, torch.cat([each(i, i + 1) for i in range(12)]), atol=1e-5, rtol=1e-4)
    assert len(whole.unique()) > 6


@pytest.mark.parametrize("player", ["critic", "generator"])
def test_an_item_of_weight_zero_moves_nothing(player: str) -> None:
    model, batch = game()
    weight = torch.ones(12)
    weight[:6] = 0
    other = batch.x.clone()
    other[:6] = 1 - other[:6]
    found = [
        torch.autograd.grad(
            model.loss(replace(batch, x=x, weight=weight), player, generator()).total,
            model.player(player),
            allow_unused=True,
        )
        for x in (batch.x, other, other.flip(0))
    ]
    pairs = [
        [torch.equal(a, b) for a, b in zip(found[0], that, strict=True) if a is not None and b is not None]
        for that in found[1:]
    ]
    assert all(pairs[0]) and not all(pairs[1])


def test_the_critic_hears_the_condition() -> None:
    model, batch = game()
    context = model.critic.condition(batch)
    turned = model.critic.condition(replace(batch, given={k: v.roll(1) for k, v in batch.given.items()}))
    assert (model.critic(batch.x, context) != model.critic(batch.x, turned)).all()
    # its reading of the condition is its own: the generator's is another module
    assert model.critic.conditioner is not model.conditioner


def test_the_projection_alone_tells_conditions_apart() -> None:
    """An encoder without the context, as another network may be: the logit moves by h · V c."""
    model, batch = game()
    critic = Critic(Linear(torch.randn(42, generator=generator())), model.critic.conditioner)
    context = critic.condition(batch)
    assert context is not None and critic.projection is not None
    h = critic.features(batch.x, context)
    wanted = (h * critic.projection(context.vector)).sum(1)
    torch.testing.assert_close(critic(batch.x, context) - critic(batch.x), wanted, atol=1e-2, rtol=1e-4)
    assert wanted.abs().min() > 0.1


@pytest.mark.parametrize("network", ["mlp", "conv"])
@pytest.mark.parametrize("options", [{}, {"regularizer": "gp"}, {"pack": 2}, {"augment": 1.0}], ids=str)
def test_what_stands_at_an_unseen_site_changes_nothing(network: str, options: dict[str, Any]) -> None:
    model, batch = game(network, **options)
    seen = torch.rand(batch.x.shape, generator=generator(4)) < 0.5
    hidden = replace(batch, x=batch.x.masked_fill(~seen, math.nan), seen=seen)
    zeroed = replace(batch, x=batch.x.masked_fill(~seen, 0.25), seen=seen)
    for player in ("critic", "generator"):
        losses = [model.loss(b, player, generator()) for b in (hidden, zeroed, replace(batch, seen=None))]
        assert torch.equal(losses[0].each, losses[1].each)
        assert not torch.equal(losses[0].each, losses[2].each)
        found = torch.autograd.grad(losses[0].total, model.player(player), allow_unused=True)
        assert all(g.isfinite().all() for g in found if g is not None)


def test_a_critic_that_knows_nothing_of_unseen_sites_gets_zeros_there() -> None:
    w, x = torch.randn(4, generator=generator()), torch.randn(8, 4, generator=generator(1))
    seen = torch.rand(8, 4, generator=generator(2)) < 0.5
    balance = Balance(Row((1,) * 4), regularizer="none", gamma=None, augment=None)
    batch = Batch(x.masked_fill(~seen, math.nan), seen=seen)
    loss = balance.critic_loss(linear(w), batch, torch.zeros(8, 4), CRITIC["wasserstein"], generator())
    torch.testing.assert_close(loss.each, -(x * seen) @ w, atol=1e-3, rtol=1e-4)


def test_with_unseen_sites_nothing_is_augmented() -> None:
    """The mask would have to move along with the picture."""
    each = []
    for probability in (0.0, 1.0):
        model, batch = game(augment=probability)
        seen = torch.rand(batch.x.shape, generator=generator(4)) < 0.5
        made = model.made(batch, generator()).detach()
        for b in (replace(batch, seen=seen), batch):
            loss = model.balance.critic_loss(model.critic, b, made, CRITIC["ns"], generator())
            each.append(loss.each)
    assert torch.equal(each[0], each[2]) and not torch.equal(each[1], each[3])


# ---- augmentation ----

GREY = Grid(1, (12, 10))


def pictures(n: int, channels: int = 1) -> Tensor:
    return torch.rand(n, channels, 12, 10, generator=generator(5))


def test_augmentation_without_probability_is_the_identity() -> None:
    x = pictures(50, 3)
    assert torch.equal(augment(x, Grid(3, (12, 10)), 0.0, generator()), x)
    changed = augment(x, Grid(3, (12, 10)), 1.0, generator())
    assert changed.shape == x.shape and (changed != x).flatten(1).any(1).all()


@pytest.mark.parametrize(
    "shape", [Row((1, 1, 1)), Series(2, 4), Tokens(3, (4,)), Grid(1, (9,))], ids=lambda s: type(s).__name__
)
def test_what_is_no_picture_is_left_as_it_is(shape: Shape) -> None:
    x = torch.rand(7, *shape.form, generator=generator())
    assert torch.equal(augment(x, shape, 1.0, generator()), x)


def test_augmentation_is_differentiable() -> None:
    x = pictures(3)[..., :4, :3].double().requires_grad_()
    assert torch.autograd.gradcheck(lambda y: augment(y, Grid(1, (4, 3)), 0.8, generator()), (x,))


def test_each_item_is_changed_by_chance() -> None:
    probability = 0.3
    x = pictures(1).expand(4000, 1, 12, 10)
    same = (augment(x, GREY, probability, generator()) == x).flatten(1).all(1).float().mean()
    # each of four with this probability; a move by less than half a pixel (5 of 60 each way) moves nothing
    assert (1 - probability) ** 4 - 0.03 < float(same) < (1 - probability) ** 4 + 0.08


def test_real_and_made_are_changed_alike() -> None:
    """The critic gets both in one batch: two halves of one picture repeated have the same distribution."""
    x = pictures(1).expand(8000, 1, 12, 10)
    first, second = augment(x, GREY, 0.5, generator()).flatten(1).chunk(2)
    for moment in (lambda y: y.mean(0), lambda y: y.square().mean(0), lambda y: (y == 0.5).float().mean(0)):
        assert (moment(first) - moment(second)).abs().max() < 0.05
    # and neither half is a copy of the other
    assert not torch.allclose(first, second)


def test_the_critic_sees_augmented_items_of_both_sorts() -> None:
    model, batch = game("conv", augment=1.0)
    seen: list[Tensor] = []
    model.critic.encoder.register_forward_hook(lambda _, given, out: seen.append(given[0].detach()))
    made = model.made(batch, generator()).detach()
    model.balance.critic_loss(model.critic, batch, made, CRITIC["relativistic"], generator())
    (both,) = seen  # mismatched pairs are made of the features it has
    assert (both != torch.cat([batch.x, made])).flatten(1).any(1).all()
    seen.clear()
    model.balance.generator_loss(model.critic, batch, made, GENERATOR["relativistic"], generator())
    assert (torch.cat(seen) != torch.cat([batch.x, made])).flatten(1).any(1).all()


def test_its_strength_grows_with_scarcity() -> None:
    sizes = [1, 100, 1000, 20_000, 50_000, 90_000, 100_000, 10**7]
    found = [strength(n) for n in sizes]
    assert found == sorted(found, reverse=True)
    assert found[0] == pytest.approx(0.3, abs=1e-4) and 0 < found[-3] < 0.1 and found[-1] == 0
    free, chosen = (Balance(GREY, regularizer="none", gamma=None, augment=a) for a in (None, 0.8))
    for balance in (free, chosen):
        balance.begin(50_000)
    assert float(free.strength) == pytest.approx(0.15) and float(chosen.strength) == pytest.approx(0.8)


# ---- the controller of γ ----


def controlled(gamma: float | None = None, **options: Any) -> Balance:
    return Balance(GREY, **{"regularizer": "r1r2", "gamma": gamma, "augment": None, **options})


def follow(balance: Balance, accuracy: float, steps: int = 1, broken: float = 0.0, items: int = 100) -> float:
    for _ in range(steps):
        balance.follow(torch.tensor(accuracy), items, torch.tensor(broken))
    return float(balance.gamma)


def test_gamma_follows_the_critic_s_accuracy() -> None:
    start = float(controlled().gamma)
    assert 0 < start < math.inf
    assert follow(controlled(), 1.0) > start
    assert follow(controlled(), 0.5) < start
    assert follow(controlled(), TARGET) == pytest.approx(start)
    # further off is faster, and it is items that count, not steps
    assert follow(controlled(), 1.0) > follow(controlled(), TARGET + 0.1) > start
    assert follow(controlled(), 1.0, steps=4, items=25) == pytest.approx(follow(controlled(), 1.0))


def test_gamma_is_bounded() -> None:
    start = float(controlled().gamma)
    high, low = follow(controlled(), 1.0, steps=10_000), follow(controlled(), 0.0, steps=10_000)
    assert math.isfinite(high) and low > 0
    assert high / start == pytest.approx(2.0, rel=1e-3)
    assert start / low == pytest.approx(4, rel=1e-3)
    assert follow(controlled(), 1.0, steps=20_000) == high


def test_gamma_returns_from_its_bound_at_once() -> None:
    balance = controlled()
    top = follow(balance, 1.0, steps=10_000)
    assert follow(balance, 0.5) < top


@pytest.mark.parametrize("accuracy", [1.0, 0.0, math.nan])
def test_a_broken_step_does_not_move_gamma(accuracy: float) -> None:
    balance = controlled()
    before = balance.log_gamma.clone()
    follow(balance, accuracy, broken=1.0)
    assert torch.equal(balance.log_gamma, before)


@pytest.mark.parametrize("options", [{"gamma": 0.5}, {"gamma": 0.0}, {"regularizer": "gp"}], ids=str)
def test_a_fixed_gamma_never_moves(options: dict[str, Any]) -> None:
    balance = controlled(**options)
    before = float(balance.gamma)
    log_gamma = balance.log_gamma.clone()
    assert follow(balance, 1.0, steps=50) == before == pytest.approx(options.get("gamma", 20.0))
    assert torch.equal(log_gamma, balance.log_gamma)


def test_gamma_starts_from_the_size_of_an_item() -> None:
    large = Balance(Grid(3, (32, 32)), regularizer="r1r2", gamma=None, augment=None)
    small = Balance(Grid(3, (16, 16)), regularizer="r1r2", gamma=None, augment=None)
    assert float(large.gamma) == pytest.approx(4 * float(small.gamma))


def test_gamma_of_rows_starts_above_that_of_pictures_and_may_climb_above_it() -> None:
    rows = Balance(Row((1,) * 64), regularizer="r1r2", gamma=None, augment=None)
    pictures = Balance(Grid(1, (8, 8)), regularizer="r1r2", gamma=None, augment=None)
    assert float(rows.gamma) == pytest.approx(50 * float(pictures.gamma))
    top, higher = (follow(balance, 1.0, steps=10_000) for balance in (pictures, rows))
    assert higher == pytest.approx(250 * top)


def test_a_gamma_that_was_steadied_above_its_bound_comes_down_only_by_the_game() -> None:
    balance = Balance(Row((1, 1)), regularizer="r1r2", gamma=None, augment=None)
    follow(balance, 1.0, steps=10_000)
    bound = float(balance.gamma)
    balance.log_gamma.copy_(balance.steadied(10.0, 0.0)["log_gamma"])
    follow(balance, 1.0, steps=10)
    assert float(balance.gamma) == pytest.approx(10 * bound)
    follow(balance, 0.0, steps=1000)
    assert float(balance.gamma) < bound


def test_the_loss_weighs_its_penalty_by_the_gamma_that_was_found() -> None:
    model, batch = game()
    gammas, pairings = [], []
    for _ in range(3):
        loss = model.loss(batch, "critic", generator())
        gamma = loss.parts["gamma"]
        pairings.append(float(loss.total.detach() - 0.5 * gamma * loss.parts["penalty"]))
        gammas.append(float(gamma))
        won = replace(loss, parts={"accuracy": torch.tensor(1.0)})
        model.follow("generator", won, torch.zeros(()))  # only the critic's moves count
        assert float(model.balance.gamma) == gammas[-1]
        for _ in range(50):
            model.follow("critic", won, torch.zeros(()))
    assert gammas == sorted(set(gammas))
    assert pairings == pytest.approx([pairings[0]] * 3, abs=1e-4)


# ---- options ----


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gamma": -1.0}, "gamma is the weight of a penalty, 0 or more, not -1.0"),
        ({"gamma": math.nan}, "gamma is the weight of a penalty"),
        ({"gamma": math.inf}, "gamma is the weight of a penalty"),
        ({"augment": -0.1}, "augment is a probability, not -0.1"),
        ({"augment": 1.5}, "augment is a probability, not 1.5"),
        ({"pack": 0}, "pack is the number of items judged together, from 1 to 64, not 0"),
        ({"pack": -2}, "not -2"),
        ({"adversary": "minimax"}, "adversary='minimax'"),
        ({"regularizer": "r3"}, "regularizer='r3'"),
        ({"gama": 1.0}, "no part of this model takes 'gama'; did you mean 'gamma'?"),
    ],
    ids=str,
)
def test_options_out_of_range_are_refused_in_one_line(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as raised:
        game(**options)
    assert message in str(raised.value) and "\n" not in str(raised.value)


# ---- items under other items' conditions ----


def mistaken(model: GAN, batch: Batch, wrong: Tensor) -> Tensor:
    """log(1 + Σ_j exp(D(x_i, c_j) - D(x_i, c_i))) over the j that are wrong of i, written out."""
    context = model.critic.condition(batch)
    assert context is not None
    own = model.critic(batch.x, context)
    sums = torch.ones(len(batch))
    for by in range(1, len(batch)):
        other = torch.arange(len(batch)).roll(by)
        gap = model.critic(batch.x, context[other]) - own
        sums = sums + torch.where(wrong[torch.arange(len(batch)), other], gap.exp(), 0)
    return sums.log()


def test_mismatched_pairs_are_one_more_fake_and_equal_conditions_are_none() -> None:
    model, batch = game(gamma=0.0, mismatch=0.5)
    critic, pair = model.critic, CRITIC["relativistic"]
    made = model.made(batch, generator()).detach()
    labels = batch.given["label"]
    wrong = labels.view(-1, 1) != labels
    assert 0 < int(wrong.sum()) < wrong.numel() - len(labels)
    context = critic.condition(batch)
    wanted = pair(critic(batch.x, context), critic(made, context)) + 0.5 * mistaken(model, batch, wrong)
    loss = model.balance.critic_loss(critic, batch, made, pair, generator())
    torch.testing.assert_close(loss.each, wanted)
    same = replace(batch, given={"label": torch.zeros_like(labels)}, kept={})
    context = critic.condition(same)
    loss = model.balance.critic_loss(critic, same, made, pair, generator())
    torch.testing.assert_close(loss.each, pair(critic(batch.x, context), critic(made, context)))


def test_nothing_given_is_wrong_of_no_item() -> None:
    model, batch = game(gamma=0.0, mismatch=0.5)
    critic, pair = model.critic, CRITIC["relativistic"]
    made = model.made(batch, generator()).detach()
    kept = torch.arange(12) % 5 > 0
    some = replace(batch, kept={"label": kept})
    labels = batch.given["label"]
    wrong = (labels.view(-1, 1) != labels) & kept & kept.view(-1, 1)
    context = critic.condition(some)
    wanted = pair(critic(batch.x, context), critic(made, context)) + 0.5 * mistaken(model, some, wrong)
    loss = model.balance.critic_loss(critic, some, made, pair, generator())
    torch.testing.assert_close(loss.each, wanted)
    assert not mistaken(model, some, wrong)[~kept].any()


def test_packs_of_equal_conditions_are_not_mismatched() -> None:
    model, batch = game(gamma=0.0, mismatch=1.0, pack=2)
    made = model.made(batch, generator()).detach()
    pairs = replace(batch, given={"label": torch.tensor([0, 1, 1, 0] * 3)}, kept={})
    alone, told = (
        balance.critic_loss(model.critic, pairs, made, CRITIC["relativistic"], generator()).each
        for balance in (game(gamma=0.0, mismatch=0.0, pack=2)[0].balance, model.balance)
    )
    torch.testing.assert_close(alone, told)


@pytest.mark.parametrize("values", [torch.tensor([torch.nan, 1, 2]), torch.tensor([[3, 4], [4, 3], [3, 4]])])
def test_marks_of_conditions_tell_them_apart(values: Tensor) -> None:
    kept = ~values.view(3, -1).float().isnan().any(1)
    batch = Batch(torch.zeros(3, 1), {"of": values}, {"of": kept})
    wanted = [
        [bool(kept[i] and kept[j] and (values[i] != values[j]).any()) for j in range(3)] for i in range(3)
    ]
    assert _differ(batch, 1).tolist() == wanted


def test_the_penalty_does_not_reach_mismatched_pairs() -> None:
    """Otherwise γ would weigh real items more often than made ones."""
    for mismatch in (0.0, 0.5):
        model, batch = game(gamma=1.0, mismatch=mismatch)
        loss = model.loss(batch, "critic", generator(3))
        if mismatch == 0:
            penalty = loss.parts["penalty"]
    torch.testing.assert_close(loss.parts["penalty"], penalty)


@pytest.mark.parametrize("adversary", ADVERSARIES)
def test_a_generator_is_asked_to_fit_as_well_as_real_items_from_a_third_of_the_run(adversary: str) -> None:
    each = {}
    for contrast in (0.0, 0.5):
        model, batch = game(adversary=adversary, contrast=contrast)
        for progress in (0.3, 0.4):
            model.progress = progress
            each[contrast, progress] = model.loss(batch, "generator", generator()).each
    assert torch.equal(each[0.0, 0.3], each[0.0, 0.4])
    torch.testing.assert_close(each[0.0, 0.3], each[0.5, 0.3])
    more = each[0.5, 0.4] - each[0.5, 0.3]
    made, real = model.made(batch, generator()).detach(), batch.x
    labels = batch.given["label"]
    wrong = labels.view(-1, 1) != labels
    less = [mistaken(model, replace(batch, x=x), wrong) for x in (made, real)]
    torch.testing.assert_close(more, 0.5 * (less[0] - less[1]).clamp(min=0), atol=1e-4, rtol=1e-4)
    assert bool((more > 0).any())


def test_a_negative_mismatch_is_refused() -> None:
    with pytest.raises(UsageError, match="mismatch is the weight of a loss, 0 or more, not -1"):
        game(mismatch=-1.0)
    with pytest.raises(UsageError, match="contrast is the weight of a loss, 0 or more, not -2"):
        game(contrast=-2.0)


def test_free_text_is_read_as_a_draw_on_request_alone() -> None:
    random = np.random.default_rng(0)
    pictures = random.integers(0, 256, (12, 6, 7), np.uint8)
    data = ec.read((pictures, {"caption": ["a dot", "two dots", "no dot"] * 4}), given="caption:words")
    plain, blurred = (
        ec.build("gan", data, latent=4, network="mlp", hidden=(16,), **options)
        for options in ({}, {"smoothing": 2.0})
    )
    assert plain.conditioner is not None and plain.conditioner.smoothing is None
    batch = data.batch(range(12))
    with_it = blurred.loss(batch, "generator", generator()).each
    blurred.smoothing = 0.0
    assert bool((with_it > blurred.loss(batch, "generator", generator()).each).all())
    with pytest.raises(UsageError, match="smoothing is the weight of a loss, 0 or more, not -1"):
        ec.build("gan", data, smoothing=-1.0)


def test_a_critic_reads_conditions_as_a_whole() -> None:
    """What it sees in an item is the same under all of them, and only its logit knows which is given."""
    model, batch = game()
    context = model.critic.condition(batch)
    assert context is not None
    other = context[torch.arange(12).roll(1)]
    assert torch.equal(model.critic.features(batch.x, context), model.critic.features(batch.x, other))
    fits = model.critic.fits(model.critic.features(batch.x, context), context)
    logits = model.critic(batch.x, context) - model.critic(batch.x)
    torch.testing.assert_close(fits.diagonal(), logits, atol=1e-4, rtol=1e-4)

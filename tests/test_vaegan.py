"""VAE-GAN: who gets which gradient, with which sign and how much of it; phases; both wrapped families."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from ectype.assembly import build
from ectype.data.batch import Batch
from ectype.data.data import Data
from ectype.data.store import Resident
from ectype.errors import UsageError
from ectype.kinds.image import Image
from ectype.kinds.vector import Vector
from ectype.models.vaegan import VAEGAN

N, B = 32, 12


def pictures() -> Data:
    generator = torch.Generator().manual_seed(0)
    stored = torch.randint(0, 256, (N, 1, 8, 8), generator=generator, dtype=torch.uint8)
    at = torch.arange(N)
    return Data(
        Image(1, (8, 8), bits=8), Resident(stored), {"train": at, "select": at, "test": at, "all": at}
    )


def made(**options: Any) -> tuple[VAEGAN, Batch]:
    """A model whose parts all do something, and a batch."""
    data = pictures()
    small = {"network": "mlp", "hidden": (24,), "latent": 4, "augment": 0.0}
    model = build("vaegan", data, **{**small, "likelihood": "normal", "prior": "normal", **options})
    assert isinstance(model, VAEGAN)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in model.parameters():
            p += 0.2 * torch.randn(p.shape, generator=generator)
    return model, data.batch(torch.arange(B))


def gradients(model: VAEGAN, batch: Batch, player: str = "autoencoder", part: str = "") -> dict[str, Tensor]:
    """Gradients by parameter name after a plain backward; what has none is left out."""
    model.zero_grad(set_to_none=True)
    model.loss(batch, player, torch.Generator().manual_seed(2)).total.backward()
    found = {k: p.grad.clone() for k, p in model.named_parameters() if p.grad is not None}
    return {k: g for k, g in found.items() if part in k}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.allclose(a[k], b[k], atol=1e-6) for k in a)


@pytest.mark.parametrize("player", ["critic", "autoencoder"])
@pytest.mark.parametrize("around", ["vae", "ae"])
def test_a_loss_reaches_its_own_player_and_no_other(player: str, around: str) -> None:
    model, batch = made(around=around, prior="fitted" if around == "ae" else "normal")
    names = {id(p): k for k, p in model.named_parameters()}
    own = {names[id(p)] for p in model.player(player)}
    reached = set(gradients(model, batch, player))
    assert reached <= own
    assert all(name.endswith(("fill", "head.bias")) for name in own - reached)  # what nothing depends on here


def test_the_players_share_nothing_and_leave_nothing_out() -> None:
    model, _ = made()
    critic, autoencoder = ({id(p) for p in model.player(n)} for n in ("critic", "autoencoder"))
    assert not critic & autoencoder
    assert critic | autoencoder == {id(p) for p in model.parameters()}


def test_the_encoder_gets_nothing_from_the_adversary() -> None:
    without, batch = made(adversarial_weight=0.0, feature_weight=0.0)
    with_, _ = made(adversarial_weight=3.0, feature_weight=0.0)
    assert same(gradients(without, batch, part=".encoder."), gradients(with_, batch, part=".encoder."))
    assert not same(gradients(without, batch, part=".decoder."), gradients(with_, batch, part=".decoder."))


def test_the_encoder_is_taught_by_the_critics_features() -> None:
    without, batch = made(adversarial_weight=0.0, feature_weight=0.0)
    with_, _ = made(adversarial_weight=0.0, feature_weight=2.0)
    name = "autoencoder.encoder.layers.linears.0.weight"
    assert not torch.allclose(gradients(without, batch)[name], gradients(with_, batch)[name])


def logit(model: VAEGAN) -> Tensor:
    """The critic's mean logit of what the decoder makes of fixed latents."""
    z = torch.randn(64, model.latent, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        return model.critic(model.decode(z).mean).mean()


@pytest.mark.parametrize("adversary", ["relativistic", "ns", "hinge", "wasserstein"])
def test_the_adversary_moves_the_decoder_towards_the_critics_approval(adversary: str) -> None:
    """A well-known library has this sign flipped: its decoder helps the critic."""
    settings = {"adversary": adversary, "feature_weight": 0.0}
    without, batch = made(adversarial_weight=0.0, **settings)
    model, _ = made(adversarial_weight=1.0, **settings)
    alone = gradients(without, batch, part=".decoder.")
    both = gradients(model, batch, part=".decoder.")
    before = logit(model)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in both:
                parameter -= 1e-4 * (both[name] - alone[name])
    assert logit(model) > before


@pytest.mark.parametrize("adversary", ["relativistic", "ns", "hinge", "wasserstein"])
def test_a_step_of_the_critic_tells_real_and_made_further_apart(adversary: str) -> None:
    model, batch = made(adversary=adversary, regularizer="none")
    found = gradients(model, batch, "critic")
    before = model.loss(batch, "critic", torch.Generator().manual_seed(2)).parts["gap"]
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in found:
                parameter -= 1e-3 * found[name]
    assert model.loss(batch, "critic", torch.Generator().manual_seed(2)).parts["gap"] > before


def test_the_features_of_a_reconstruction_come_nearer() -> None:
    model, batch = made(adversarial_weight=0.0, feature_weight=1.0)
    without, _ = made(adversarial_weight=0.0, feature_weight=0.0)
    both, alone = gradients(model, batch, part=".decoder."), gradients(without, batch, part=".decoder.")

    def distance() -> Tensor:
        return model.loss(batch, noise=torch.Generator().manual_seed(2)).parts["features"].mean()

    before = distance()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in both:
                parameter -= 1e-3 * (both[name] - alone[name])
    assert distance() < before


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_the_adversarys_share_does_not_depend_on_the_scale_of_its_logits(scale: float) -> None:
    # wasserstein: its gradient is the critic's own, times the scale
    settings = {"adversary": "wasserstein", "feature_weight": 0.0}
    without, batch = made(adversarial_weight=0.0, **settings)
    model, _ = made(adversarial_weight=1.0, **settings)
    reference = gradients(model, batch, part=".decoder.")
    with torch.no_grad():
        model.critic.head.weight *= scale
    found = gradients(model, batch, part=".decoder.")
    alone = gradients(without, batch, part=".decoder.")
    assert all(torch.allclose(found[k], reference[k], rtol=1e-3, atol=1e-4) for k in found)
    assert not same(found, alone)


def test_the_critic_pulls_as_hard_whatever_the_number_of_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths: list[Tensor] = []

    def noted(h: Tensor, slope: Tensor, length: Tensor, share: float) -> Tensor:
        lengths.append(length)
        return (h * slope).flatten(1).sum(1)

    monkeypatch.setattr(VAEGAN, "_share", staticmethod(noted))
    for samples in (1, 16):
        model, batch = made(samples=samples)
        model.progress = 1.0
        model.loss(batch, "autoencoder", torch.Generator().manual_seed(2))
    assert len(lengths) == 4 and lengths[0] == lengths[1] and lengths[2] == lengths[3]
    assert float(lengths[2] / lengths[0]) > 0.5  # of the first of sixteen alone it is a small part


def test_the_value_is_the_autoencoders_own() -> None:
    model, batch = made()
    loss = model.loss(batch, noise=torch.Generator().manual_seed(2))
    own = model.autoencoder.loss(batch, noise=torch.Generator().manual_seed(2))
    assert torch.allclose(loss.each, own.each)
    assert {"distortion", "kl", "adversary", "features"} == set(loss.parts)


def test_in_the_first_phase_the_autoencoder_is_alone() -> None:
    model, batch = made(phase=0.4, warmup=0.0)
    assert [s.players for s in model.stages] == [("autoencoder",), ("critic", "autoencoder")]
    assert [s.share for s in model.stages] == [0.4, 0.6]
    model.progress = 0.39
    early = gradients(model, batch)
    model.zero_grad(set_to_none=True)
    model.autoencoder.loss(batch, noise=torch.Generator().manual_seed(2)).total.backward()
    own = {k: p.grad for k, p in model.named_parameters() if p.grad is not None}
    assert same(early, own)
    model.progress = 0.41
    assert not same(gradients(model, batch), own)
    assert made(phase=0.0)[0].stages[0].players == ("critic", "autoencoder")


def test_a_fitted_prior_is_fitted_at_the_end() -> None:
    model, _ = made(around="ae", prior="fitted")
    assert model.stages[-1].players == ()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"phase": 1.0}, "phase is a share of training below 1"),
        ({"adversarial_weight": -1.0}, "not negative"),
        ({"gamma": -1.0}, "gamma is the weight of a penalty, 0 or more, not -1"),
        ({"around": "gan"}, "around='gan'"),
        ({"likelihood": "point"}, "fitted by a density, and point has none"),
    ],
)
def test_refusals(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        made(**options)


def test_vectors_too() -> None:
    rows = torch.randn(N, 3, generator=torch.Generator().manual_seed(0))
    at = torch.arange(N)
    data = Data(
        Vector([0.0] * 3, [1.0] * 3), Resident(rows), dict.fromkeys(("train", "select", "test", "all"), at)
    )
    model = build("vaegan", data, hidden=(16,), latent=2)
    assert torch.isfinite(model.loss(data.batch(at)).total)


def test_losses_can_be_compared_when_the_autoencoders_warm_up_is_over() -> None:
    model, batch = made(warmup=0.7, phase=0.3)
    for progress in (0.0, 0.5, 0.7, 1.0):
        model.progress = progress
        model.loss(batch)
        assert model.settled == (progress >= 0.7)

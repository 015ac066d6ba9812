"""Networks: any size, no neighbours, the stem's doors, the condition's way in, refusals."""

from __future__ import annotations

import itertools
from dataclasses import replace
from math import prod
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ectype.catalog import find
from ectype.context import Context, Ports
from ectype.errors import UsageError
from ectype.networks import conv, dcgan, mlp, parallel, recurrent
from ectype.networks.blocks import ACTIVATIONS, Conv2d, Entrance, Modulation, Stem, Waves, activation_called
from ectype.networks.conv import depth_to_space, levels, space_to_depth
from ectype.shapes import Grid, Row, Tokens

SIZES = [(1, 1), (1, 9), (5, 3), (8, 8), (9, 16), (15, 15), (16, 2), (17, 30), (33, 7), (64, 48)]
SMALL: dict[str, dict[str, Any]] = {
    "conv": {"width": 4, "depth": 1, "neck": 3, "activation": "silu"},
    "dcgan": {"width": 4},
    "mlp": {"hidden": (6, 7)},
}
PICTURES = list(SMALL)  # the others are for texts, series and records
WIDTH = 5


def ports(*grid: int) -> Ports:
    return Ports(WIDTH, tokens=True, aligned=2 if grid else 0, grid=(grid[0], grid[1]) if grid else (1, 1))


def context(n: int, *grid: int, seed: int = 0) -> Context:
    noise = torch.Generator().manual_seed(seed)
    vector = torch.randn(n, WIDTH, generator=noise)
    tokens = torch.randn(n, 3, WIDTH, generator=noise)
    mask = torch.tensor([True, True, False]).expand(n, 3)
    return Context(vector, tokens, mask, torch.rand(n, 2, *grid, generator=noise) if grid else None)


def awake(module: nn.Module) -> nn.Module:
    """Nothing starts at zero any more."""
    with torch.no_grad():
        for p in module.parameters():
            p += 0.2 * torch.randn_like(p)
    return module


@pytest.mark.parametrize(("name", "channels", "size"), list(itertools.product(PICTURES, (1, 3, 4), SIZES)))
def test_pictures_of_any_size(name: str, channels: int, size: tuple[int, int]) -> None:
    network = find("networks", name)
    shape = Grid(channels, size)
    encoder = awake(network.Encoder(shape, 6, context=ports(*size), **SMALL[name]))
    decoder = awake(network.Decoder(6, (2, *size), context=ports(*size), **SMALL[name]))
    x, c = torch.rand(3, *shape.form), context(3, *size)
    h, y = encoder(x, c), decoder(torch.randn(3, 6), c)
    assert h.shape == (3, 6) and y.shape == (3, 2, *size)
    y.square().sum().backward()
    # every corner is read and written
    for row, column in itertools.product((0, -1), (0, -1)):
        other = x.clone()
        other[..., row, column] = 1 - other[..., row, column] + 0.1
        assert not torch.allclose(encoder(other, c), h, atol=1e-7)
    assert y[..., -1, -1].unique().numel() > 1


@pytest.mark.parametrize("name", PICTURES)
def test_an_item_does_not_depend_on_its_neighbours(name: str) -> None:
    network = find("networks", name)
    encoder = awake(network.Encoder(Grid(1, (17, 30)), 6, context=ports(17, 30), **SMALL[name])).train()
    decoder = awake(network.Decoder(6, (1, 17, 30), context=ports(17, 30), **SMALL[name])).train()
    x, z, c = torch.rand(5, 1, 17, 30), torch.randn(5, 6), context(5, 17, 30)
    one = c[2:3]
    assert torch.allclose(encoder(x, c)[2:3], encoder(x[2:3], one), atol=1e-5)
    assert torch.allclose(decoder(z, c)[2:3], decoder(z[2:3], one), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", PICTURES)
def test_a_condition_starts_silent_and_is_then_heard(name: str) -> None:
    network = find("networks", name)
    encoder = network.Encoder(Grid(1, (5, 3)), 4, context=ports(), **SMALL[name])
    decoder = network.Decoder(4, (1, 5, 3), context=ports(), **SMALL[name])
    x, z = torch.rand(2, 1, 5, 3), torch.randn(2, 4)
    assert torch.equal(encoder(x, context(2)), encoder(x, context(2, seed=1)))
    awake(encoder), awake(decoder)
    assert not torch.allclose(encoder(x, context(2)), encoder(x, context(2, seed=1)), atol=1e-4)
    assert not torch.allclose(decoder(z, context(2)), decoder(z, context(2, seed=1)), atol=1e-4)


@pytest.mark.parametrize("way", ["vector", "tokens", "aligned"])
@pytest.mark.parametrize("name", PICTURES)
def test_every_way_in_is_heard_and_a_masked_token_is_not(name: str, way: str) -> None:
    network = find("networks", name)
    encoder = awake(network.Encoder(Grid(1, (17, 5)), 4, context=ports(17, 5), **SMALL[name]))
    decoder = awake(network.Decoder(4, (1, 17, 5), context=ports(17, 5), **SMALL[name]))
    x, z, c = torch.rand(2, 1, 17, 5), torch.randn(2, 4), context(2, 17, 5)
    other = replace(c, **{way: getattr(c, way) + 1})
    assert not torch.allclose(encoder(x, c), encoder(x, other), atol=1e-5)
    assert not torch.allclose(decoder(z, c), decoder(z, other), atol=1e-5)
    unseen = replace(c, tokens=torch.where(c.mask.unsqueeze(2), c.tokens, c.tokens + 9))
    assert torch.equal(encoder(x, c), encoder(x, unseen)) and torch.equal(decoder(z, c), decoder(z, unseen))


@pytest.mark.parametrize("name", PICTURES)
def test_every_pixel_on_the_grid_reaches_the_picture(name: str) -> None:
    decoder = awake(find("networks", name).Decoder(4, (1, 17, 9), context=ports(17, 9), **SMALL[name]))
    c = context(1, 17, 9)
    assert c.aligned is not None
    c.aligned.requires_grad_()
    decoder(torch.randn(1, 4), c).square().sum().backward()
    assert c.aligned.grad is not None and (c.aligned.grad != 0).all()


def test_without_hidden_layers_the_condition_enters_the_output() -> None:
    decoder = awake(mlp.Decoder(2, (3,), context=ports(), hidden=()))
    z = torch.randn(4, 2)
    assert not torch.allclose(decoder(z, context(4)), decoder(z, context(4, seed=1)), atol=1e-4)


@pytest.mark.parametrize("cell", recurrent.CELLS)
def test_padding_a_text_changes_nothing(cell: Any) -> None:
    encoder = awake(recurrent.Encoder(Tokens(9, (8,)), 4, units=6, layers=2, cell=cell))
    text = torch.tensor([[3, 4, 1, 0, 0, 0, 0, 0], [5, 6, 7, 8, 2, 3, 1, 0]])
    states, mask = encoder.states(text)
    alone, _ = encoder.states(text[:1, :3])
    assert torch.allclose(encoder(text)[:1], encoder(text[:1, :3]), atol=1e-6)
    assert states.shape == (2, 7, 12) and mask.sum(1).tolist() == [3, 7]
    assert torch.allclose(states[:1, :3], alone, atol=1e-6)
    soft = nn.functional.one_hot(text, 9).float()
    assert torch.allclose(encoder(text), encoder(soft), atol=1e-6)
    assert encoder(torch.zeros(2, 8, dtype=torch.int64)).isfinite().all()  # a text without symbols
    decoder = awake(parallel.Decoder(4, (8, 9), units=6, context=ports()))
    assert decoder(torch.randn(2, 4), context(2)).shape == (2, 8, 9)


def test_waves_tell_near_numbers_apart() -> None:
    waves = Waves(3)
    x = torch.tensor([[0.5, -2.0]])
    out = waves(x)
    assert out.shape == (1, 2 * waves.factor) and torch.equal(out[:, :2], x)
    rates = torch.tensor([1.0, 2.0, 4.0])
    assert torch.allclose(out[0, 2:5], (0.5 * rates).sin()) and torch.allclose(
        out[0, -3:], (-2 * rates).cos()
    )
    assert Waves(0)(x) is x
    with pytest.raises(UsageError, match="waves is a number of octaves, from 0 to 16, not 17"):
        mlp.Encoder(Row((1, 1)), 2, waves=17)
    grey = mlp.Encoder(Grid(1, (4, 4)), 2, waves=6)  # pictures have no use for them
    assert grey.layers.linears[0].in_features == 16


@pytest.mark.parametrize("size", SIZES)
def test_levels_halve_what_is_longer_than_eight(size: tuple[int, int]) -> None:
    sizes = levels(size)
    assert sizes[0] == size and max(sizes[-1]) <= 8
    for above, below in itertools.pairwise(sizes):
        assert below == tuple(-(-a // 2) if a > 8 else a for a in above)


@pytest.mark.parametrize("size", [*SIZES, (300, 17)])
def test_a_plain_stack_halves_what_is_longer_than_four_and_goes_back_the_same_way(size: Any) -> None:
    encoder, decoder = dcgan.Encoder(Grid(2, size), 3, width=2), dcgan.Decoder(3, (2, *size), width=2)
    down: list[Any] = [size]
    h = torch.zeros(1, 2, *size)
    for layer in encoder.downs:
        h = layer(h)
        down.append(tuple(h.shape[2:]))
        assert down[-1] == tuple(n // 2 if n > 4 else n for n in down[-2])
    assert max(down[-1]) <= 4 and h.shape[1] == min(2 ** len(encoder.downs), 16)
    h = torch.zeros(1, h.shape[1], *decoder.smallest)
    for layer, wanted in zip(decoder.ups, down[-2::-1], strict=True):
        h = layer(h)
        assert tuple(h.shape[2:]) == wanted
    assert h.shape[1] == 2


@pytest.mark.parametrize(
    ("size", "fit"), [((4, 6), (2, 3)), ((5, 3), (3, 2)), ((5, 7), (5, 4)), ((1, 1), (1, 1))]
)
def test_patches_and_back(size: tuple[int, int], fit: tuple[int, int]) -> None:
    r, s = -(-size[0] // fit[0]), -(-size[1] // fit[1])
    x = torch.arange(2.0 * 3 * prod(size)).view(2, 3, *size) + 1
    patches = space_to_depth(x, size, fit)
    assert patches.shape == (2, r * s * 3, *fit)
    assert patches.sum() == x.sum()  # padding adds nothing
    assert set(patches[0, :, 0, 0].tolist()) - {0.0} == set(x[0, :, :r, :s].reshape(-1).tolist())
    assert torch.equal(depth_to_space(patches, fit, size), x)


def test_the_article_network_is_mirrored() -> None:
    hidden = (128, 64, 32, 16, 8, 4)
    encoder = mlp.Encoder(Grid(1, (28, 28)), 2, hidden=hidden)
    decoder = mlp.Decoder(2, (1, 28, 28), hidden=hidden)

    def widths(module: nn.Module) -> list[int]:
        linears = [m for m in module.modules() if isinstance(m, nn.Linear)]
        return [linears[0].in_features, *(m.out_features for m in linears)]

    assert widths(encoder) == [784, 128, 64, 32, 16, 8, 4, 2]
    assert widths(decoder) == [2, 4, 8, 16, 32, 64, 128, 784]
    assert (awake(encoder)(torch.rand(200, 1, 28, 28)) < 0).any()  # the last layer is linear


@pytest.mark.parametrize(
    ("shape", "form"),
    [(Grid(2, (3, 2)), (2, 3, 2)), (Row((1, 1)), (2,)), (Tokens(4, (3,)), (3, 4)), (Tokens(4), (4,))],
)
def test_the_stem_fills_what_was_not_seen(shape: Any, form: tuple[int, ...]) -> None:
    stem = Stem(shape)
    with torch.no_grad():
        stem.fill += torch.arange(1, len(stem.fill) + 1) * 7
    x = torch.randint(0, 4, (5, *shape.form)) if isinstance(shape, Tokens) else torch.rand(5, *shape.form)
    seen = torch.rand(5, *shape.form) < 0.5
    seen[0], seen[1] = True, False
    out = stem(x, seen)
    assert out.shape == (5, *form) and torch.equal(out[0], stem(x)[0])
    expected = stem.fill.view(-1, *(1 for _ in form[1:])).expand(form)
    assert torch.equal(out[1], expected)
    if isinstance(shape, Grid):  # a joint-channel pixel is one site
        assert torch.equal(stem(x, seen[:, 0]), stem(x, seen[:, :1].expand_as(x)))
        assert torch.equal(stem(x), 2 * x - 1)


def test_hard_and_soft_tokens_enter_by_the_same_door() -> None:
    stem = Stem(Tokens(4, (3,)))
    x = torch.randint(0, 4, (5, 3))
    soft = nn.functional.one_hot(x, 4).float().requires_grad_()
    assert torch.equal(stem(x), stem(soft))
    stem(soft).sum().backward()
    assert soft.grad is not None and (soft.grad == 1).all()


def test_modulation_is_scale_and_shift() -> None:
    modulation = Modulation(WIDTH, 2)
    h, c = torch.randn(3, 2, 4, 5), context(3)
    assert torch.equal(modulation(h, c.vector), h)
    modulation.linear.bias.data = torch.tensor([1.0, -1.0, 0.5, 3.0])
    expected = torch.stack([2 * h[:, 0] + 0.5, torch.full_like(h[:, 1], 3.0)], 1)
    assert torch.allclose(modulation(h, c.vector), expected)


@pytest.mark.parametrize("name", PICTURES)
def test_dropout_is_for_training_only(name: str) -> None:
    encoder = find("networks", name).Encoder(Grid(1, (5, 3)), 4, dropout=0.5, **SMALL[name])
    x = torch.rand(20, 1, 5, 3)
    awake(encoder).train()
    assert not torch.equal(encoder(x), encoder(x))
    encoder.eval()
    assert torch.equal(encoder(x), encoder(x))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name: str) -> None:
    y = activation_called(name)(torch.tensor([-2.0, 0.0, 2.0]))
    assert y.isfinite().all() and y[2] > 0.9 and y[0] < 0.01 and y[1] == 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: activation_called("rellu"), "no activation called 'rellu'; did you mean 'relu'"),
        (lambda: conv.Encoder(Row((1, 1)), 2), "needs a picture and this data is a Row; use mlp"),
        (lambda: conv.Encoder(Grid(1, (9,)), 2), "needs a picture"),
        (lambda: conv.Decoder(2, (3,)), r"not items of form \(3,\); use mlp"),
        (lambda: conv.Encoder(Grid(1, (5, 5)), 2, width=0), "width in 1..4096"),
        (lambda: conv.Decoder(2, (1, 5, 5), depth=0), "depth in 1..64"),
        (lambda: conv.Decoder(2, (1, 5, 5), neck=0), "neck in 1..4096"),
        (lambda: conv.Encoder(Grid(1, (5, 5)), 2, growth=-1.0), "growth above 0"),
        (lambda: dcgan.Encoder(Row((1, 1)), 2), "needs a picture and this data is a Row; use mlp"),
        (lambda: dcgan.Encoder(Grid(1, (9,)), 2), "needs a picture"),
        (lambda: dcgan.Decoder(2, (3,)), r"not items of form \(3,\); use mlp"),
        (lambda: dcgan.Decoder(2, (1, 5, 5), width=0), "width in 1..4096, not 0"),
        (lambda: dcgan.Encoder(Grid(1, (5, 5)), 2, dropout=1.0), "dropout is a share"),
        (lambda: mlp.Encoder(Row((1,)), 2, hidden=(3, 0)), r"between 1 and 2\^20 units, not \[1, 3, 0, 2\]"),
        (lambda: mlp.Decoder(2, (1,), dropout=1.5), "dropout is a share"),
        (lambda: conv.Encoder(Grid(1, (5, 5)), 2, dropout=-0.1), "dropout is a share"),
    ],
)
def test_refusals(make: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make()


def test_conv_also_reads_what_is_anywhere() -> None:
    """With the places silenced, features are read the same wherever they lie; else they are not."""
    encoder = conv.Encoder(Grid(1, (16, 16)), 5, width=4)
    h = torch.randn(3, encoder.channels, 8, 8)
    moved = h.roll((2, 3), (2, 3))
    assert not torch.allclose(encoder.whole(h), encoder.whole(moved), atol=1e-2)
    with torch.no_grad():
        encoder.head.weight.zero_()
    torch.testing.assert_close(encoder.whole(h), encoder.whole(moved))
    assert encoder.whole(h).std() > 0


def test_conv_starts_as_a_chain_of_identities() -> None:
    block = conv.Block(3, Entrance(ports(), 3), torch.relu, 0.0)
    x: Tensor = torch.randn(2, 3, 4, 4)
    assert torch.equal(block(x, context(2)), x)


@pytest.mark.parametrize(
    ("size", "options"),
    [
        ((3, 3), {"kernel_size": 4, "stride": 2, "padding": 1}),
        ((4, 4), {"kernel_size": 4}),
        ((1, 1), {"kernel_size": 3, "padding": 1}),
        ((1, 2), {"kernel_size": (1, 3), "stride": 2, "padding": (0, 1)}),
        ((6, 5), {"kernel_size": 4, "stride": 3}),
        ((8, 8), {"kernel_size": 4, "stride": 2, "padding": 1}),
        ((3, 3), {"kernel_size": 3, "groups": 2}),
        ((3, 3), {"kernel_size": 3, "padding": "valid"}),
        ((3, 3), {"kernel_size": 3, "bias": False}),
    ],
)
def test_a_convolution_to_one_pixel_is_the_same_convolution(size: Any, options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    plain, ours = nn.Conv2d(8, 16, **options), Conv2d(8, 16, **options)
    ours.load_state_dict(plain.state_dict())
    x = torch.randn(5, 8, *size)
    torch.testing.assert_close(ours(x), plain(x))
    for net in (plain, ours):
        net(x).square().sum().backward()
    torch.testing.assert_close(ours.weight.grad, plain.weight.grad)


def test_a_latent_scales_what_a_decoder_of_pictures_draws() -> None:
    """With `style` what a latent says acts on all places at once; without it on the first features only."""
    z = torch.randn(3, 6, generator=torch.Generator().manual_seed(0))
    decoder = awake(find("networks", "conv").Decoder(6, (1, 12, 12), **SMALL["conv"]))
    plain = awake(find("networks", "conv").Decoder(6, (1, 12, 12), style=0, **SMALL["conv"]))
    out = decoder(z)
    out.square().sum().backward()
    parts = dict(decoder.named_parameters())
    scaled = [name for name in parts if ".style." in name]
    assert scaled and all(parts[name].grad is not None and bool(parts[name].grad.any()) for name in scaled)
    assert not any("style" in name or "mapping" in name for name, _ in plain.named_parameters())
    assert out.shape == plain(z).shape == (3, 1, 12, 12)
    with pytest.raises(UsageError, match="style is a number of units from 0 to 65536, not -1"):
        find("networks", "conv").Decoder(6, (1, 12, 12), style=-1)

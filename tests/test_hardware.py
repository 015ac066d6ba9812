"""Where and in which precision is computed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import ectype as ec
from ectype.errors import UsageError
from ectype.hardware import (
    channels_last,
    choose_device,
    choose_precision,
    computing,
    has_bf16,
    is_convolutional,
    laid_out,
)
from ectype.metrics.eye import descend
from ectype.shapes import Grid, Row, Series, Tokens

CPU = torch.device("cpu")
CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


class Mlp(nn.Module):
    """One linear layer."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(64, 64)

    def forward(self, x):
        return self.linear(x)


class Conv(nn.Module):
    """One convolution."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(8, 8, 3)

    def forward(self, x):
        return self.conv(x)


def test_cpu_and_auto():
    assert choose_device("cpu") == CPU
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("name", ["cuda:99", "xpu", "hpu", "privateuseone", "gpu", ""])
def test_a_device_that_is_not_there(name):
    with pytest.raises(UsageError, match=f"the device '{name}' is not there; use auto or cpu"):
        choose_device(name)


def test_a_device_that_computes_nothing():
    with pytest.raises(UsageError, match="'meta' computes nothing"):
        choose_device("meta")


def test_precision_is_chosen_by_shape_and_hardware(monkeypatch):
    shapes = {
        "grid": Grid(1, (8, 8)),
        "row": Row((1, 1)),
        "text": Tokens(5, (4,)),
        "label": Tokens(5),
        "series": Series(2, 9),
    }
    monkeypatch.setattr("ectype.hardware.has_bf16", lambda device: True)
    chosen = {name: choose_precision("auto", CPU, shape) for name, shape in shapes.items()}
    assert chosen == {"grid": "bf16", "row": "fp32", "text": "bf16", "label": "fp32", "series": "fp32"}
    monkeypatch.setattr("ectype.hardware.has_bf16", lambda device: False)
    assert choose_precision("auto", CPU, shapes["grid"]) == "fp32"
    assert choose_precision("bf16", CPU, shapes["row"]) == "bf16"
    with pytest.raises(UsageError, match="precision is auto, fp32 or bf16, not 'fp16'"):
        choose_precision("fp16", CPU, shapes["grid"])


def test_bf16_is_asked_of_the_device():
    assert has_bf16(CPU) in (True, False)
    assert not has_bf16(torch.device("meta"))


@pytest.mark.skipif(not has_bf16(CPU), reason="this processor multiplies no bf16")
@pytest.mark.parametrize(("model", "form"), [(Mlp(), (64, 64)), (Conv(), (4, 8, 9, 9))])
def test_bf16_rounds_inside_the_block_and_not_after(model, form):
    x = torch.randn(form, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        exact = model(x)
        with computing(is_convolutional(model), CPU, "bf16"):
            rounded = model(x).float()
        with computing(is_convolutional(model), CPU, "fp32"):
            assert torch.equal(model(x), exact)
        assert torch.equal(model(x), exact)
    error = (rounded - exact).abs().max()
    assert 1e-4 < error < 0.05  # far above what another order of summing does


@pytest.mark.parametrize("model", [Mlp(), Conv()])
def test_precision_is_put_back_after_an_error(model):
    before = torch.backends.mkldnn.matmul.fp32_precision
    with pytest.raises(KeyError), computing(is_convolutional(model), CPU, "bf16"):
        raise KeyError("inside")
    assert torch.backends.mkldnn.matmul.fp32_precision == before
    assert not torch.is_autocast_enabled("cpu")


def test_channels_last_changes_the_layout_and_nothing_else():
    model = Conv()
    before = model.conv.weight.detach().clone()
    channels_last(model)
    assert model.conv.weight.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(model.conv.weight, before)


@CUDA
@pytest.mark.parametrize(("model", "network"), [("vae", "conv"), ("ae", "mlp")])
def test_training_on_a_gpu_with_pictures_drawn_anew(model, network, tmp_path):
    items = np.random.default_rng(0).integers(0, 255, (120, 10, 10), np.uint8)
    data = ec.read((items, np.arange(120) % 3), binarise="dynamic", given="label")
    sizes = {"width": 4, "depth": 1} if network == "conv" else {"hidden": (8,)}
    built = ec.build(model, data, network=network, latent=3, **sizes)
    last = list(ec.fit(built, data, minutes=0.02, batch=32, device="cuda", state=tmp_path / "state"))[-1]
    assert last.number == last.total
    run = ec.Run.of(built, data).save(tmp_path)
    assert len(ec.sample(run, 3)) == len(ec.sample(ec.load(tmp_path), 3)) == 3


def test_a_judge_moves_by_its_gradient_however_it_lies_in_memory():
    weight = torch.randn(4, 3, 3, 3).contiguous(memory_format=torch.channels_last)
    gradient = torch.randn(4, 3, 3, 3)  # as a convolution's may lie: channels first
    memory = ([torch.zeros_like(weight)], [torch.zeros_like(weight)])
    wanted = weight * (1 - 1e-3 * 1e-2) - 1e-3 * gradient.sign()
    descend([weight], [gradient], memory, torch.zeros(()), 1e-3)
    assert torch.allclose(weight, wanted, atol=1e-6)
    assert laid_out(gradient, gradient) is gradient
    assert laid_out(gradient, gradient, shared=True).data_ptr() != gradient.data_ptr()

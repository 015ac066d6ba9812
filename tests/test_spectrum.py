"""The spectrum of made pictures: what it sees, and what it does not."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from ectype.metrics import REAL
from ectype.metrics.spectrum import power, spectrum
from ectype.shapes import Grid, Row

SHAPE = Grid(1, (24, 17))


def pictures(n: int, seed: int) -> Tensor:
    """Rough pictures of any brightness, (N, 1, 24, 17)."""
    x = torch.rand((n, 1, 26, 19), generator=torch.Generator().manual_seed(seed))
    return avg_pool2d(x, 3, 1) * 0.8 + 0.1


def apart(made: Tensor) -> float:
    (score,) = spectrum(SHAPE, made, pictures(300, 0), pictures(300, 1))
    assert score.floor_name == REAL
    assert score.floor is not None and score.floor < 0.05
    assert score.error is not None and 0 < score.error < 0.1
    return score.value


def test_other_real_pictures_are_as_near_as_the_floor() -> None:
    assert apart(pictures(300, 2)) < 0.05


def test_blur_a_checkerboard_and_single_pixels_are_seen() -> None:
    x = pictures(300, 2)
    board = (torch.arange(24)[:, None] + torch.arange(17)) % 2 - 0.5
    assert apart(avg_pool2d(x, 3, 1, padding=1)) > 0.5
    assert apart(x + 0.3 * board) > 0.1
    assert apart(x + 0.05 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))) > 0.1


def test_brightness_has_no_frequency_and_contrast_has_every_one() -> None:
    x = pictures(300, 2)
    assert apart(x + 0.1) < 0.05
    assert apart(2 * x) == pytest.approx(2 * math.log10(2), abs=0.05)


def test_a_wave_lies_in_its_ring() -> None:
    wave = torch.sin(2 * math.pi * 0.25 * torch.arange(32.0)).expand(1, 1, 32, 32)
    found = power(wave)[0]
    assert int(found.argmax()) == int(0.25 / math.sqrt(0.5) * 16)


def test_equal_pictures_have_a_spectrum_too() -> None:
    assert math.isfinite(apart(torch.zeros(300, 1, 24, 17)))


def test_what_is_no_picture_or_a_small_one_has_none() -> None:
    assert spectrum(Row((1, 1)), torch.zeros(9, 2), torch.zeros(9, 2)) == []
    assert spectrum(Grid(1, (7, 30)), torch.zeros(9, 1, 7, 30), torch.zeros(9, 1, 7, 30)) == []

"""Noise: seeds that spread, streams that belong to items, and moments."""

from __future__ import annotations

import math

import pytest
import torch

from ectype.noise import PerItem, mix, normal, uniform
from ectype.priors.flow import Flow
from ectype.priors.mixture import NormalMixture
from ectype.shapes import Row


def test_mix_is_splitmix64() -> None:
    # first outputs of the published generator for the states 0 and 1, one bit given up
    assert mix(0) == 0xE220A8397B1DCDAF >> 1
    assert mix(1) == 0x910A2DEC89025CC1 >> 1


def test_mixed_seeds_differ_and_spread() -> None:
    seeds = {mix(a, b) for a in range(60) for b in range(60)}
    assert len(seeds) == 3600 and all(0 <= s < 2**63 for s in seeds)
    assert mix(1, 2) != mix(2, 1) and mix(3) != mix(3, 0)
    ones = [sum(s >> bit & 1 for s in seeds) / 3600 for bit in range(63)]
    assert all(abs(share - 0.5) < 5 * 0.5 / 60 for share in ones)  # five standard errors
    assert mix(-1) == mix(2**64 - 1)


@pytest.mark.parametrize("draw", [normal, uniform])
@pytest.mark.parametrize("form", [(), (1,), (5,), (16,), (3, 7, 2)])
def test_an_item_has_its_own_stream(draw: object, form: tuple[int, ...]) -> None:
    assert callable(draw)
    many = draw((9, *form), PerItem(4, range(9)))
    assert many.shape == (9, *form) and many.dtype == torch.float32
    assert torch.equal(draw((4, *form), PerItem(4, range(4))), many[:4])
    assert torch.equal(draw((2, *form), PerItem(4, [7, 3])), many[[7, 3]])
    assert not (draw((9, *form), PerItem(5, range(9))) == many).any()
    assert len(torch.unique(many.reshape(9, -1)[:, 0])) == 9


def test_a_stream_goes_on() -> None:
    noise = PerItem(0, range(3))
    assert not torch.equal(normal((3, 2), noise), normal((3, 2), noise))


def test_a_generator_gives_one_stream_for_the_batch() -> None:
    for draw in (normal, uniform):
        one, two = (draw((4, 3), torch.Generator().manual_seed(1)) for _ in range(2))
        assert torch.equal(one, two)
        assert not torch.equal(one, draw((4, 3), torch.Generator().manual_seed(2)))
    torch.manual_seed(3)
    first = normal((4, 3), None)
    torch.manual_seed(3)
    assert torch.equal(first, normal((4, 3), None))


@pytest.mark.parametrize("draw", [normal, uniform])
def test_a_batch_of_another_size_is_refused(draw: object) -> None:
    assert callable(draw)
    with pytest.raises(ValueError, match="noise for 3 items asked for a batch of 4"):
        draw((4, 2), PerItem(0, range(3)))


def test_moments() -> None:
    items, each = 2000, 20
    n = items * each
    e = normal((items, each), PerItem(1, range(items)))
    assert abs(float(e.mean())) < 4 / math.sqrt(n)
    assert abs(float((e**2).mean()) - 1) < 4 * math.sqrt(2 / n)
    assert abs(float((e**4).mean()) - 3) < 4 * math.sqrt(96 / n)
    neighbours = (e[1:] * e[:-1]).mean()
    assert abs(float(neighbours)) < 4 / math.sqrt(n)
    u = uniform((items, each), PerItem(1, range(items)))
    assert 0 <= float(u.min()) and float(u.max()) < 1
    assert abs(float(u.mean()) - 0.5) < 4 / math.sqrt(12 * n)
    assert abs(float(u.var()) - 1 / 12) < 4 * math.sqrt(1 / 180 / n)


def test_temperature_multiplies_normal_numbers_and_leaves_choices() -> None:
    items = range(9)
    plain, half = normal((9, 5), PerItem(4, items)), normal((9, 5), PerItem(4, items, temperature=0.5))
    torch.testing.assert_close(half, 0.5 * plain, rtol=0, atol=0)
    assert not normal((9, 5), PerItem(4, items, temperature=0.0)).any()
    assert torch.equal(
        uniform((9, 5), PerItem(4, items, temperature=0.5)), uniform((9, 5), PerItem(4, items))
    )


def test_a_colder_draw_stays_where_a_bent_prior_is() -> None:
    # two modes far apart: the mean lies where there is nothing
    means = torch.tensor([[-10.0, 0.0], [10.0, 0.0]])
    p = NormalMixture(torch.zeros(200, 2), means, torch.zeros(2, 2))
    cold = p.draw(PerItem(0, range(200), temperature=0.1))
    assert (cold[:, 0].abs() > 9).all() and (cold[:, 0] > 0).any() and (cold[:, 0] < 0).any()
    with torch.no_grad():
        flow = Flow(2, Row((1, 1)))
        for coupling in flow.couplings:
            torch.nn.init.normal_(coupling.last.weight)
        bent = flow(200, None, lambda *_: None)
        e = normal((200, 2), PerItem(0, range(200)))
        torch.testing.assert_close(bent.draw(PerItem(0, range(200), temperature=0.5)), bent.of_noise(0.5 * e))

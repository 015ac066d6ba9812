"""Charts: points where they belong, to scale, with round ticks; well-formed SVG."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from ectype.jobs import charts


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 10, [0, 5, 10]), (-1, 1, [-1, -0.5, 0, 0.5, 1]), (0.013, 0.049, [0.02, 0.03, 0.04]), (5, 5, [5])],
)
def test_ticks_are_round_and_inside(low: float, high: float, expected: list[float]) -> None:
    assert charts.ticks(low, high) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (1e-15, "0"), (0.25, "0.25"), (1500.0, "1500"), (2000.0, "2k"), (25e3, "25k"), (3e6, "3M")],
)
def test_ticks_are_written_short(value: float, text: str) -> None:
    assert charts.written(value) == text


def test_curves_put_points_where_they_belong() -> None:
    points = [(float(s), float(s)) for s in range(0, 101, 10)]
    text, outside = charts.curves({"train": points, "select": [(50.0, 50.0)]}, "loss", "nats per item")
    ET.fromstring(text.split("<div")[0])  # noqa: S314
    drawn = re.search(r'class="train" d="M([^"]+)"', text)
    assert drawn is not None
    xs, ys = zip(*[tuple(map(float, p.split(","))) for p in drawn[1].split()], strict=True)
    wide, high = charts.WIDE - charts.LEFT - charts.RIGHT, charts.HIGH - charts.TOP - charts.BOTTOM
    assert (xs[0], xs[-1]) == (0.0, wide)
    assert xs == tuple(sorted(xs))
    assert ys == tuple(sorted(ys, reverse=True)), "larger values lie higher"
    assert 0 <= ys[-1] < high
    assert "<circle" in text, "a line of one point must be seen"
    assert outside, "step 0 lies below the frame of the later steps"


def test_curves_pass_over_what_is_not_finite() -> None:
    text, _ = charts.curves({"train": [(1.0, float("nan")), (2.0, 1.0), (3.0, float("inf"))]}, "t", "u")
    assert "nan" not in text
    assert "inf" not in text
    assert charts.curves({"train": [(1.0, float("nan"))]}, "t", "u") == ("", False)


def test_bars_are_sorted_and_to_scale() -> None:
    text = charts.bars([1.0, 4.0, 2.0], "KL", ("dimension", "nats"))
    heights = [float(h) for h in re.findall(r'class="bar"[^>]* height="([\d.]+)"', text)]
    assert heights == sorted(heights, reverse=True)
    assert heights[0] / heights[2] == pytest.approx(4, rel=0.01)
    assert charts.bars([], "KL", ("a", "b")) == ""


def test_scatter_draws_each_point_in_its_group() -> None:
    points = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 0.5]])
    text = charts.scatter(points, ["a", "b", "a"], "codes", ("x", "y"))
    dots = [len(re.findall("M", d)) for d in re.findall(r'<path style[^>]* d="([^"]+)"', text)]
    assert dots == [2, 1]
    assert text.count("<span>") == 2
    assert "<span>" not in charts.scatter(points, [], "codes", ("x", "y"))


def test_plane_is_the_codes_or_their_principal_components() -> None:
    noise = np.random.default_rng(0)
    codes = noise.standard_normal((300, 6)) * np.array([1, 1, 9, 1, 3, 1])
    shown, names = charts.plane(codes)
    from sklearn.decomposition import PCA

    expected = PCA(2).fit_transform(codes)
    np.testing.assert_allclose(np.abs(shown), np.abs(expected), atol=1e-8)
    assert names[0].startswith("component 1 (8")
    two, names = charts.plane(codes[:, :2])
    np.testing.assert_array_equal(two, codes[:, :2])
    assert names == ("z 1", "z 2")
    assert charts.plane(codes[:, :1])[0].shape == (300, 2)
    assert charts.plane(np.ones((4, 3)))[0] == pytest.approx(np.zeros((4, 2)))

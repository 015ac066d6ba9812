"""Rows of a report by condition: per class or tag, and per held-out item's own conditions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

import ectype as ec
from ectype.data.data import Condition, Data
from ectype.jobs import sections
from ectype.jobs.pictures import Pictures
from ectype.jobs.sheets import ITEMS, ROW, beside, by_item, by_value, given_of
from ectype.kinds.attributes import Attributes
from ectype.kinds.image import Image
from ectype.kinds.vector import Vector


def read(*names: str) -> Data:
    data = ec.read("digits", given=["label"])
    x = data.store.gather(torch.arange(len(data)))
    present = torch.arange(len(data)) % 2 == 0
    ink = x.float().mean((1, 2, 3)).unsqueeze(1)
    every = {
        "label": data.given["label"],
        "ink": Condition(Vector.fit(ink.numpy()), ink, torch.ones(len(data), dtype=torch.bool)),
        "tags": Condition(Attributes(["dark", "light"]), torch.cat([ink > 4, ink <= 4], 1).float(), present),
        "photo": Condition(data.kind, x, present),
    }
    data.given = {name: every[name] for name in names}
    return data


def run_of(data: Data) -> ec.Run:
    model = ec.build("vae", data, network="mlp", latent=2, hidden=(16,), prior="normal")
    for _ in ec.fit(model, data, steps=2):
        pass
    return ec.Run.of(model, data)


def test_classes_and_tags_have_a_row_each() -> None:
    run = run_of(read("label", "tags", "ink"))
    rows = by_value(run)
    assert list(rows) == [*(f"label={i}" for i in range(10)), "tags=dark", "tags=light"]
    assert list(by_value(run_of(read("tags")))) == ["dark", "light"]
    assert by_value(run_of(read("ink"))) == {}


def test_other_conditions_are_shown_beside_the_item_that_has_them() -> None:
    data = read("ink", "photo", "tags")
    run = run_of(data)
    rows = by_item(run, data)
    numbers = data.splits["test"][:ITEMS].tolist()
    assert len(rows) == len(numbers)
    for number, (words, picture) in zip(numbers, rows, strict=True):
        assert words.startswith(f"ink: {data.given['ink'].stored[number].item():.4g}")
        assert ("tags: " in words) == (number % 2 == 0)
        alone = run.kind.sheet(data.items([number]) * ROW, ROW)
        assert picture.height == alone.height
        assert (picture.width > alone.width) == (number % 2 == 0)  # the photo is there, and stands before it
    assert by_item(run_of(read("label", "tags")), read("label", "tags")) == []


def test_an_items_conditions_are_those_it_has() -> None:
    data = read("tags", "photo")
    run = run_of(data)
    found = given_of(run, data, 4)
    assert found["tags"] in (["dark"], ["light"])
    assert np.array_equal(np.asarray(found["photo"]), np.asarray(data.items([4])[0]))
    assert given_of(run, data, 5) == {}


def test_pictures_beside_each_other_have_the_height_of_the_last() -> None:
    whole = beside([Pillow.new("RGB", (10, 40), "red"), Pillow.new("L", (30, 20), 0)])
    assert whole.height == 20
    assert whole.width == 5 + 6 + 30
    assert whole.getpixel((2, 10)) == (255, 0, 0)


def test_the_page_says_what_the_rows_are() -> None:
    page = sections.samples(Pictures(by_item=[("a <b> & c", Pillow.new("L", (9, 9)))]))
    assert "Under the conditions of held-out items" in page
    assert "a &lt;b&gt; &amp; c" in page


@pytest.mark.parametrize("name", ["ink", "photo"])
def test_a_kind_reads_back_what_it_shows(name: str) -> None:
    data = read(name)
    raw = given_of(run_of(data), data, 0)[name]
    kind = data.given[name].kind
    assert isinstance(kind, Vector | Image)
    np.testing.assert_allclose(kind.pack(raw), data.given[name].stored[0].numpy())


@pytest.mark.parametrize("way", ["known", "low", "outline"])
def test_conditions_made_of_the_item_itself_stand_beside_what_is_made_of_them(way: str) -> None:
    """A report of such a run had no page once: their stored form is empty."""
    from ectype.data.reading import read as reading

    data = reading("digits", given=way)
    run = run_of(data)
    picture = given_of(run, data, 0)[way]
    assert isinstance(picture, Pillow.Image)
    assert np.array_equal(np.asarray(picture), np.asarray(given_of(run, data, 0)[way]))
    rows = by_item(run, data)
    assert rows and all(sheet.width > 0 for _, sheet in rows)

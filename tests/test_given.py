"""Saying conditions: on the command line, from Python, from a table; and what cannot be said."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

import ectype as ec
from ectype.data.fitted import read_with
from ectype.errors import DataError, UsageError
from ectype.jobs import decoding
from ectype.jobs.encode import encode
from ectype.jobs.inputs import conditions_of, context_of, items_of, tensors_of
from ectype.jobs.outputs import tell_kinds
from ectype.jobs.reconstruct import reconstruct
from ectype.jobs.sample import sample
from ectype.kinds.label import Label
from ectype.runs import Run
from ectype.surfaces.cli import main
from ectype.surfaces.forms import form, parse
from ectype.surfaces.values import Wanted

N = 24
ALL = "caption:words,tags,age,style,point,outline/"
FULL = {
    "caption": "a small, red circle",
    "tags": "red|small",
    "age": "7.5",
    "style": "bold",
    "point": "1.5,2",
}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of 24 pictures with a condition of every kind, and their outlines beside it."""
    root = tmp_path_factory.mktemp("given") / "data"
    random = np.random.default_rng(0)
    rows = []
    for i in range(N):
        for folder in (root, root / "outline"):
            folder.mkdir(parents=True, exist_ok=True)
            Pillow.fromarray(random.integers(0, 256, (8, 8), np.uint8)).save(folder / f"p{i:02d}.png")
        rows.append(
            {
                "file": f"p{i:02d}.png",
                "caption": f"a {'small' if i % 2 else 'large'}, {'red' if i % 3 else 'blue'} circle",
                "tags": ["red" if i % 3 else "blue", "small" if i % 2 else "large"],
                "age": i + 0.5,
                "style": "bold" if i % 2 else "fine",
                "point": [i, 2.5 * i],
            }
        )
    (root / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return root / "items.jsonl"


@pytest.fixture(scope="module")
def run(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A model of random weights with six conditions."""
    data = ec.read(source, given=ALL)
    built = ec.build("vae", data, network="mlp", latent=3, hidden=(16,), prior="normal")
    generator = torch.Generator().manual_seed(0)
    for parameter in built.parameters():  # zero-initialised heads would hide a condition that is lost
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    return Run.of(built, data).save(tmp_path_factory.mktemp("runs") / "run")


def pixels(items: list[Any]) -> np.ndarray:
    return np.stack([np.asarray(item, np.float32) for item in items])


def test_every_kind_of_condition_is_read_and_saved(run: Run, source: Path) -> None:
    kinds = {name: kind.name for name, kind in run.conditions.items()}
    assert kinds == {
        "caption": "text",
        "tags": "attributes",
        "age": "vector",
        "style": "label",
        "point": "vector",
        "outline": "image",
    }
    assert run.folder is not None
    again = ec.load(run.folder)
    given = {**FULL, "outline": source.parent / "outline" / "p03.png"}
    np.testing.assert_array_equal(pixels(sample(again, 3, given=given)), pixels(sample(run, 3, given=given)))


@pytest.mark.parametrize("name", [*FULL, "outline"])
def test_every_condition_decides_what_is_made(run: Run, source: Path, name: str) -> None:
    other = {
        "caption": "a large, blue circle",
        "tags": ["blue"],
        "age": 20,
        "style": "fine",
        "point": [20, 1],
        "outline": Pillow.new("L", (8, 8)),
    }
    given = {**FULL, "outline": str(source.parent / "outline" / "p03.png")}
    made = [
        pixels(sample(run, 2, given=g)) for g in (given, {**given, name: other[name]}, {**given, name: None})
    ]
    assert not np.array_equal(made[0], made[1]) and not np.array_equal(made[0], made[2])
    left = {key: value for key, value in given.items() if key != name}
    np.testing.assert_array_equal(made[2], pixels(sample(run, 2, given=left)))


def test_a_picture_of_another_size_is_scaled(run: Run) -> None:
    large = Pillow.fromarray(np.kron(np.eye(8, dtype=np.uint8) * 200, np.ones((4, 4), np.uint8)))
    given = conditions_of(run, {"outline": large}, 2)[0]["outline"]
    assert given.shape == (2, 1, 8, 8)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"stile": "bold"}, UsageError, "this model cannot be given 'stile'; did you mean 'style'?"),
        (
            {"style": "bolt"},
            UsageError,
            "style: there is no label 'bolt'; did you mean 'bold'? (there are: bold, fine)",
        ),
        ({"style": "qqq"}, UsageError, "style: there is no label 'qqq'; known: bold, fine"),
        (
            {"tags": "red|smal"},
            UsageError,
            "tags: there is no tag 'smal'; did you mean 'small'? (there are: blue,",
        ),
        ({"caption": "a tiny red cirle"}, UsageError, "caption: the words 'cirle', 'tiny' were in no text"),
        ({"caption": " "}, UsageError, "caption: the text is empty: say something, or leave it out"),
        (
            {"caption": "red " * 20},
            UsageError,
            "caption: a text of 20 words, and there is room for 7: shorten it",
        ),
        ({"age": "old"}, UsageError, "age: 'old' is not a number"),
        ({"age": "1,2"}, UsageError, "age: a row of 2 numbers, where the kind has 1"),
        (
            {"point": [1.0, float("nan")]},
            UsageError,
            "point: a row with numbers that are missing or infinite",
        ),
        ({"outline": "gone.png"}, DataError, "outline: gone.png: there is no such file; give the path"),
        (
            {"outline": np.zeros((8, 12), np.uint8)},
            DataError,
            "outline: a picture of 8x12 (height x width), where",
        ),
        (
            {"outline": Pillow.new("L", (8, 12))},
            DataError,
            "a picture of 12x8 (height x width), where the model",
        ),
        ({"outline": np.zeros((12, 8, 3), np.uint8)}, DataError, "a picture of 12x8"),
        ({"outline": np.zeros(3)}, DataError, "outline: form (3,) is no picture's"),
        ([{"style": "bold"}, {"style": "bolt"}], UsageError, "style: there is no label 'bolt'"),
        ([], UsageError, "a list of conditions without any"),
        (["style=bold"], UsageError, "'style=bold' names no conditions: give a mapping"),
    ],
)
def test_what_cannot_be_said(run: Run, given: Any, error: type, message: str) -> None:
    with pytest.raises(error) as caught:
        sample(run, 2, given=given)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_damaged_picture_is_no_condition(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"nothing")
    with pytest.raises(DataError, match="outline: .*a.png: no readable picture"):
        sample(run, 1, given={"outline": tmp_path / "a.png"})


# many at once


def test_each_item_may_have_its_own(run: Run) -> None:
    rows = [{"style": "bold", "age": 3}, {"style": "fine"}, {}, {"age": 3, "tags": None}]
    tensors, kept = conditions_of(run, rows, 4)
    assert set(tensors) == set(kept) == {"style", "age"}
    assert kept["style"].tolist() == [True, True, False, False] and kept["age"].tolist() == [
        True,
        False,
        False,
        True,
    ]
    assert tensors["style"].tolist() == [0, 1, 0, 0]
    many, alone = context_of(run, rows, 4), [context_of(run, row, 1) for row in rows]
    assert many is not None
    for i, one in enumerate(alone):
        assert one is not None and torch.allclose(many.vector[i], one.vector[0], atol=1e-4)
    assert torch.equal(tensors_of(run, {"style": "fine"}, 3)["style"], torch.tensor([1, 1, 1]))
    with pytest.raises(
        UsageError, match="conditions for 4 items, and there are 5: give each its own, or all one"
    ):
        context_of(run, rows, 5)
    with pytest.raises(UsageError, match="conditions for 4 items, and there are 3"):
        decoding.latents(run, 3, given=rows)


def test_a_class_is_called_by_its_name_in_any_form() -> None:
    years = Label.fit([1, 2, 3])
    for two in (2, "2", 2.0, np.int64(2), torch.tensor(2), np.float32(2)):
        assert years.pack(two) == 1
    for none in (0, torch.tensor(0), 2.5, "0"):
        with pytest.raises(DataError, match="there is no label"):
            years.pack(none)  # of 1, 2 and 3, 0 is none and not the first
    assert Label(["a", "b"]).pack(1) == 1


def test_arrays_of_pictures_are_pictures_and_negative_numbers_are_numbers() -> None:
    random = np.random.default_rng(0)
    pictures = random.integers(0, 256, (N, 3, 12, 12)).astype(np.uint8)
    items = torch.from_numpy(random.random((N, 1, 12, 12)).astype(np.float32))
    half = torch.from_numpy(pictures / np.float32(255))
    half[3] = np.nan
    more = {"photo": pictures, "half": half, "rows": random.normal(size=(N, 2, 2)), "cold": np.arange(N) - 12}
    data = ec.read((items, more), given=["photo", "half", "rows", "cold:number"])
    assert [c.kind.name for c in data.given.values()] == ["image", "image", "vector", "vector"]
    for name in ("photo", "half"):
        at = data.given[name].present
        assert torch.equal(data.given[name].stored[at], torch.from_numpy(pictures)[at])
        assert at.sum() == N - (name == "half")
    assert bool(data.given["cold"].present.all())
    assert data.given["cold"].stored.flatten().tolist() == list(range(-12, 12))
    assert ec.read((items, {"label": np.arange(N) % 3 - 1}), given="label").given["label"].present.sum() == 16


def test_a_list_makes_one_item_each_and_a_longer_one_begins_alike(run: Run) -> None:
    rows = [{"style": "bold" if i % 2 else "fine", "age": i} for i in range(decoding.CHUNK + 3)]
    before = copy.deepcopy(rows)
    made = pixels(sample(run, given=rows))
    assert len(made) == len(rows) and rows == before
    np.testing.assert_array_equal(made[:5], pixels(sample(run, given=rows[:5])))
    assert len(sample(run, 3, given=rows[:2])) == 6
    same = pixels(sample(run, given=[rows[1]] * 4))
    np.testing.assert_allclose(same, pixels(sample(run, 4, given=rows[1])), atol=1)
    assert not np.array_equal(same[0], same[1])  # each has its own noise


def test_the_callers_values_are_never_modified(run: Run) -> None:
    picture = np.arange(64, dtype=np.uint8).reshape(8, 8)
    given = {"tags": ["red"], "point": [1, 2], "outline": picture}
    before = copy.deepcopy(given)
    sample(run, 2, given=given)
    sample(run, given=[given, {}])
    assert given.keys() == before.keys() and given["tags"] == ["red"] and given["point"] == [1, 2]
    np.testing.assert_array_equal(picture, before["outline"])


def test_a_table_of_conditions(
    run: Run, source: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = tmp_path / "c.csv"
    Pillow.open(source.parent / "outline" / "p03.png").save(tmp_path / "o.png")
    table.write_text(
        "name,style,caption,outline,age,extra\n"
        "one,bold,a small circle,o.png,3,x\ntwo,fine,,,,y\nthree/3,,,,2.5,z\n"
    )
    with caplog.at_level("INFO", "ectype"):
        made = sample(run, given_from=table, out=tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").glob("*.png")) == [
        "3.png",
        "contact-sheet.png",
        "one.png",
        "two.png",
    ]
    assert "note: no conditions of this model, so left out: extra" in caplog.text
    rows = [
        {"style": "bold", "caption": "a small circle", "outline": tmp_path / "o.png", "age": 3},
        {"style": "fine"},
        {"age": 2.5},
    ]
    np.testing.assert_array_equal(pixels(made), pixels(sample(run, given=rows)))
    with_tags = sample(run, given_from=table, given={"tags": "red"})
    np.testing.assert_array_equal(
        pixels(with_tags), pixels(sample(run, given=[{**r, "tags": "red"} for r in rows]))
    )
    assert len(sample(run, 2, given_from=table, out=tmp_path / "two")) == 6
    assert (tmp_path / "two" / "one-0001.png").exists()


@pytest.mark.parametrize(
    ("text", "options", "error", "message"),
    [
        ("stile\nbold\n", {}, UsageError, "no column is a condition of this model; did you mean 'style'?"),
        ("style\nbolt\n", {}, UsageError, "style: there is no label 'bolt'"),
        (
            "style,outline\nbold,../x.png\n",
            {},
            DataError,
            "names '../x.png', which may lie outside of its folder",
        ),
        ("style,outline\nbold,x.png\n", {}, DataError, "x.png: there is no such file"),
        (
            "style\nbold\n",
            {"given": {"style": "fine"}},
            UsageError,
            "has a column style, and it is given for all",
        ),
        ("style\nbold\n", {"given": [{"age": 1}]}, UsageError, "use one of given and given_from"),
        ("style\nbold\n", {"each": "style"}, UsageError, "use one of each and given_from"),
        ("style\n", {}, DataError, "holds no rows"),
        (
            "style\nbold\nbald\n",
            {},
            UsageError,
            "c.csv, row 2 of its rows of conditions: style: there is no label 'bald'",
        ),
    ],
)
def test_a_table_that_is_none_of_conditions(
    run: Run, tmp_path: Path, text: str, options: dict[str, Any], error: type, message: str
) -> None:
    (tmp_path / "c.csv").write_text(text)
    with pytest.raises(error) as caught:
        sample(run, given_from=tmp_path / "c.csv", **options)
    assert message in str(caught.value)


def test_conditions_come_from_tables_only(run: Run, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="conditions are read from .csv, .tsv, .jsonl or .json"):
        sample(run, given_from=tmp_path / "c.txt")
    with pytest.raises(DataError, match="c.csv: cannot be read"):
        sample(run, given_from=tmp_path / "c.csv")


# on the command line


@pytest.mark.parametrize(
    ("words", "value"),
    [
        (["text=a small, red circle"], {"text": "a small, red circle"}),
        (["text=a small, red circle,style=bold"], {"text": "a small, red circle", "style": "bold"}),
        (["label=7,style=bold"], {"label": "7", "style": "bold"}),
        (["label=7, style=bold"], {"label": "7", "style": "bold"}),
        (["label=7", "style=bold"], {"label": "7", "style": "bold"}),
        (["point=1.5,2,-3"], {"point": "1.5,2,-3"}),
        (["tags=red|small"], {"tags": "red|small"}),
        (['text="a=b, c=d",style=bold'], {"text": "a=b, c=d", "style": "bold"}),
        (['text="a, b"'], {"text": "a, b"}),
        (["text=it's 5, or"], {"text": "it's 5, or"}),
        (["text=x=y"], {"text": "x=y"}),
        (["text="], {"text": ""}),
        (["字=床前明月光，疑是地上霜"], {"字": "床前明月光，疑是地上霜"}),
    ],
)
def test_words_become_conditions(words: list[str], value: dict[str, str]) -> None:
    assert Wanted("Mapping[str, Any] | Sequence[Mapping[str, Any]] | None").value(words) == value


def test_a_condition_is_given_once() -> None:
    with pytest.raises(UsageError, match="'label' is given twice; once is enough"):
        Wanted("Mapping[str, str]").value(["label=1", "label=2"])


def test_train_takes_several_conditions() -> None:
    for words in (["--given", "label,a.csv:x"], ["--given", "label", "--given", "a.csv:x"]):
        assert list(parse(form("train"), ["digits", *words])["given"]) == ["label", "a.csv:x"]


def test_the_command_line(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(run.folder)
    said = [
        "--given",
        "caption=a small, red circle,style=bold",
        "--given",
        "point=1.5,2",
        "--given",
        "tags=red|small",
    ]
    assert main(["sample", folder, "--count", "2", *said, "--out", str(tmp_path / "a.npz")]) == 0
    expected = sample(
        run,
        2,
        given={
            "caption": "a small, red circle",
            "style": "bold",
            "point": [1.5, 2],
            "tags": ["red", "small"],
        },
    )
    np.testing.assert_array_equal(np.load(tmp_path / "a.npz")["items"], pixels(expected))
    (tmp_path / "c.jsonl").write_text('{"id": 5, "tags": ["red"]}\n{"id": 6, "tags": {"small": true}}\n')
    assert (
        main(["sample", folder, "--given-from", str(tmp_path / "c.jsonl"), "--out", str(tmp_path / "b")]) == 0
    )
    assert {path.stem for path in (tmp_path / "b").iterdir()} == {"5", "6", "contact-sheet"}
    capsys.readouterr()
    for words, code, message in (
        (["--given", "stile=bold"], 2, "did you mean 'style'?"),
        (["--given", "style=bolt"], 2, "did you mean 'bold'?"),
        (["--given", "outline=gone.png"], 3, "there is no such file"),
        (["--given-from", "gone.csv"], 3, "gone.csv: cannot be read"),
        (["--given", "style=bold", "--given", "style=fine"], 2, "given twice"),
    ):
        assert main(["sample", folder, *words, "--out", str(tmp_path / "c")]) == code
        told = capsys.readouterr().err
        assert message in told and told.count("\n") == 1


# the user's own items


def test_a_users_items_bring_their_conditions(run: Run, source: Path, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in source.read_text().splitlines()[:3]]
    (tmp_path / "outline").mkdir()
    for row in rows:
        for folder in ("", "outline"):
            picture = Pillow.open(source.parent / folder / row["file"])
            picture.save(tmp_path / folder / row["file"])
    (tmp_path / "mine.csv").write_text(
        "file,caption,style\n" + "".join(f'{r["file"]},"{r["caption"]}",{r["style"]}\n' for r in rows[:2])
    )
    items = items_of(run, tmp_path / "mine.csv")
    (batch,) = items.batches()
    assert set(batch.given) == {"caption", "style", "outline"} and all(
        kept.all() for kept in batch.kept.values()
    )
    own = items_of(run, split="all").data
    for name in batch.given:
        at = [own.names.index(n) for n in items.names]
        assert torch.equal(batch.given[name], own.batch(at).given[name])
    back = reconstruct(run, tmp_path / "mine.csv")
    bare = reconstruct(run, [Pillow.open(tmp_path / row["file"]) for row in rows[:2]])  # type: ignore[arg-type]
    assert len(back) == 2 and not np.array_equal(pixels(back), pixels(bare))
    assert encode(run, tmp_path / "mine.csv").z.shape == (2, 3)


def test_a_run_is_evaluated_on_a_users_items(run: Run, source: Path) -> None:
    scores = ec.evaluate(run, source, samples=2, judge=False)
    own = ec.evaluate(run, split="all", samples=2, judge=False)
    assert scores[0].name == own[0].name and scores[0].value == pytest.approx(own[0].value)


def test_new_pictures_that_a_table_of_the_old_ones_does_not_name_are_read_without_it(tmp_path: Path) -> None:
    for folder, names in {"old/a": "pqrs", "old/b": "tuvw", "new/a": "xy", "new/zebra": "z"}.items():
        (tmp_path / folder).mkdir(parents=True)
        for i, name in enumerate(names):
            Pillow.new("L", (8, 8), 20 * i).save(tmp_path / folder / f"{name}.png")
    (tmp_path / "style.csv").write_text("file,style\n" + "".join(f"{n},{n > 's'}\n" for n in "pqrstuvw"))
    data = ec.read(tmp_path / "old", given="label,style.csv:style")
    kinds = {name: condition.kind for name, condition in data.given.items()}
    new = read_with(tmp_path / "new", data.kind, conditions=kinds, trained=data.source)
    assert list(new.given) == ["label"] and new.given["label"].present.tolist() == [True, True, False]
    said = "\n".join(new.notes)
    assert "style.csv: no row belongs to any item" in said and "has no column for style: read without" in said
    assert "1 of 3 items have no label (unknown: zebra)" in said
    with pytest.raises(DataError, match="no row belongs to any item"):
        read_with(tmp_path / "new", data.kind, conditions=kinds, trained=data.source, strict=True)


def test_a_table_with_several_rows_for_one_picture_gives_the_first_and_says_so(tmp_path: Path) -> None:
    for i in range(4):
        Pillow.new("L", (8, 8), 50 * i).save(tmp_path / f"{i}.png")
    rows = [f"{i // 2}.png,caption {i}\n" for i in range(8)] + ["9.png,caption of nothing\n"]
    (tmp_path / "rows.csv").write_text("file,cap\n" + "".join(rows))
    data = ec.read(tmp_path, given="rows.csv:cap:text")
    kind, stored = data.given["cap"].kind, data.given["cap"].stored
    assert [kind.unpack(row.numpy()) for row in stored] == [f"caption {i}" for i in (0, 2, 4, 6)]
    assert "4 of 9 rows of rows.csv name an item once more: its first row is taken" in data.notes
    assert "1 of 9 rows of rows.csv belong to no item" in data.notes


def test_an_empty_condition_is_none_that_was_meant(source: Path) -> None:
    for nothing in ("", [""], " , "):
        with pytest.raises(UsageError, match="names no column: leave the option out instead"):
            ec.read(str(source), given=nothing)
    assert ec.read(str(source), given=[]).conditions == {}


def test_it_is_said_as_what_a_column_was_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows, words = (
        np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32),
        ["a red dot", "a blue dot"],
    )
    told = (rows, {"caption": words * 30, "sort": ["a"] * 60})
    data = ec.read(told, given=["caption", "sort"])
    assert (
        sum(
            "caption was read as a label of 2 classes; with :words or :text behind it" in n
            for n in data.notes
        )
        == 1
    )
    with caplog.at_level("INFO", logger="ectype"):
        tell_kinds(data)
    assert "given: caption (label, 2 classes)" in caplog.messages
    assert (
        "given: sort (label, 1 class: it is the same for all, so there is nothing to tell apart)"
        in caplog.messages
    )
    assert not any("was read as" in note for note in ec.read(told, given=["caption:label"]).notes)
    both = ec.read((rows, {"caption": words * 30}), joint="caption")
    assert any("caption was read as a label of 2 classes" in note for note in both.notes)
    caplog.clear()
    with caplog.at_level("INFO", logger="ectype"):
        tell_kinds(both)
    assert caplog.messages == ["made with it: caption (label, 2 classes)"]

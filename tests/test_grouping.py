"""Splits by a column: what belongs together stays together, whatever order it comes in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import ectype as ec
from ectype.data.reading import read, reread
from ectype.data.splits import bound, digests
from ectype.errors import DataError, UsageError

PARTS = ("train", "select", "test")


def noise(n: int) -> np.ndarray:
    """Different pictures of levels 0 to 255."""
    return np.random.default_rng(n).integers(0, 256, (n, 6, 6)).astype(np.uint8)


def table(path: Path, bases: list[Any]) -> Path:
    """An array and the table of its rows beside it."""
    np.save(path / "pictures.npy", noise(len(bases)))
    rows = [json.dumps({"name": f"picture {i}", "base": base}) for i, base in enumerate(bases)]
    (path / "rows.jsonl").write_text("\n".join(rows))
    return path / "pictures.npy"


@given(st.lists(st.one_of(st.none(), st.integers(0, 40)), min_size=60, max_size=200), st.integers(0, 5))
def test_groups_stay_whole(values: list[int | None], seed: int) -> None:
    source = (noise(len(values)), {"base": [None if v is None else f"b{v}" for v in values]})
    if len(set(values)) < 4:
        return
    data = read(source, split_by="base", seed=seed)
    joined = torch.cat([data.splits[name] for name in PARTS])
    assert sorted(joined.tolist()) == list(range(len(values)))
    sets = [{values[i] for i in data.splits[name].tolist()} - {None} for name in PARTS]
    assert not (sets[0] & sets[1] or sets[0] & sets[2] or sets[1] & sets[2])
    assert all(len(data.splits[name]) for name in PARTS)
    backwards = read((source[0][::-1].copy(), {"base": source[1]["base"][::-1]}), split_by="base", seed=seed)
    for name in PARTS:
        assert set(data.splits[name].tolist()) == set((len(values) - 1 - backwards.splits[name]).tolist())


@pytest.mark.parametrize("size", [1, 2, 7, 9, 10])
def test_the_shares_are_missed_by_half_a_group_at_most(size: int) -> None:
    n = 20 * size
    data = read((noise(n), {"base": [f"b{i // size}" for i in range(n)]}), split_by="base")
    assert all(abs(len(data.splits[name]) - n / 10) <= size / 2 for name in ("select", "test"))


def test_equal_items_tie_their_groups_together() -> None:
    hashes = digests([np.array([[1], [2], [2], [3], [4], [4]])], 0)
    keys = bound(hashes, ["a", "a", "b", "b", None, "c"], 0)
    assert len(set(keys[:4].tolist())) == 1 and keys[4] == keys[5] != keys[0]


def test_another_seed_is_another_split_and_a_missing_value_a_group_of_its_own() -> None:
    source = (noise(90), {"base": [f"b{i // 3}" if i < 60 else None for i in range(90)]})
    one, other = (read(source, split_by="base", seed=seed) for seed in (0, 1))
    assert not torch.equal(one.splits["test"], other.splits["test"])
    assert len(one.splits["test"]) == len(one.splits["select"]) == 9


@pytest.mark.parametrize(
    "options",
    [
        {"given": "rows.jsonl:name", "split_by": "base"},
        {"given": "base=rows.jsonl:name", "split_by": "rows.jsonl:base"},
        {"split_by": "rows.jsonl:base"},
        {"joint": "rows.jsonl:name", "split_by": "base"},
    ],
)
def test_the_column_may_lie_beside_the_data(tmp_path: Path, options: dict[str, str]) -> None:
    bases = [f"b{i % 12}" for i in range(60)]
    data = read(table(tmp_path, bases), **options)  # type: ignore[arg-type]
    sets = [{bases[i] for i in data.splits[name].tolist()} for name in PARTS]
    assert sum(map(len, sets)) == 12 and all(sets)
    assert "base" not in data.factors, "a column is not read for more than it was asked for"
    again = reread(json.loads(json.dumps(data.source)))
    assert all(torch.equal(again.splits[name], data.splits[name]) for name in PARTS)


def test_other_groups_are_noticed(tmp_path: Path) -> None:
    source = table(tmp_path, [f"b{i % 12}" for i in range(60)])
    data = read(source, split_by="rows.jsonl:base")
    table(tmp_path, [f"b{i % 11}" for i in range(60)])
    with pytest.raises(DataError, match="its splits are others"):
        reread(data.source)


@pytest.mark.parametrize(
    ("bases", "by", "error", "message"),
    [
        ("ab" * 10, "base", DataError, r"too few groups to hold any back \(2 values"),
        ("abcd" * 5, "bass", DataError, "no column 'bass' to split by; did you mean 'base'"),
        ("abcd" * 5, "base,name", UsageError, "split_by='base,name': name one column"),
        ("abcd" * 5, "rows.jsonl:bas", UsageError, "rows.jsonl: has no column 'bas'; did you mean 'base'"),
        ([None] * 20, "base", DataError, "'base' holds no values"),
    ],
)
def test_what_cannot_be_split_by(
    tmp_path: Path, bases: Any, by: str, error: type[Exception], message: str
) -> None:
    source = table(tmp_path, list(bases))
    with pytest.raises(error, match=message):
        read(source, given="rows.jsonl:name", split_by=by)


def test_without_any_column_it_is_said_where_one_could_be() -> None:
    with pytest.raises(DataError, match="no column 'base' to split by; name a table beside the data"):
        read(noise(20), split_by="base")


def test_official_splits_are_kept_and_may_not_part_a_group(tmp_path: Path) -> None:
    values = noise(40)
    np.savez(tmp_path / "a.npz", x_train=values[:30], x_test=values[30:])
    bases = [f"b{i // 3}" for i in range(40)]
    (tmp_path / "rows.jsonl").write_text("\n".join(json.dumps({"base": base}) for base in bases))
    data = read(tmp_path / "a.npz", split_by="rows.jsonl:base")
    assert sorted(data.splits["test"].tolist()) == list(range(30, 40)) and len(data.splits["select"]) == 3
    (tmp_path / "rows.jsonl").write_text("\n".join(json.dumps({"base": base}) for base in bases[::-1]))
    with pytest.raises(DataError, match="has splits of its own, and they part 1 groups, such as 'b3'"):
        read(tmp_path / "a.npz", split_by="rows.jsonl:base")


def test_a_run_knows_its_groups(tmp_path: Path) -> None:
    bases = [f"b{i % 12}" for i in range(60)]
    options: dict[str, Any] = {"steps": 2, "batch": 8, "network": "mlp", "hidden": [8], "latent": 2}
    source = table(tmp_path, bases)
    ec.train(str(source), out=tmp_path / "run", split_by="rows.jsonl:base", **options)
    record = json.loads((tmp_path / "run" / "record.json").read_text())
    assert record["data"]["options"]["split_by"] == f"{tmp_path / 'rows.jsonl'}:base"
    expected = len(read(source, split_by="rows.jsonl:base").splits["test"])
    scores = ec.evaluate(tmp_path / "run", samples=2)
    assert {s.n for s in scores if s.split == "test"} >= {expected}
    assert ec.train(resume=tmp_path / "run").record["training"]["steps"] == 2


@pytest.mark.parametrize(("channels", "mode"), [(None, "RGBA"), (3, "RGB")])
def test_cut_out_pictures_with_a_table_in_their_order(
    tmp_path: Path, channels: int | None, mode: str
) -> None:
    values = np.random.default_rng(0).integers(0, 256, (60, 16, 16, 4), np.uint8)
    values[:, :, 8:, 3] = 0
    np.savez(tmp_path / "emoji.npz", rgba=values)
    rows = [{"name": f"a {'red' if i % 2 else 'green'} thing {i}", "base": f"b{i // 3}"} for i in range(60)]
    (tmp_path / "captions.jsonl").write_text("\n".join(map(json.dumps, rows)))
    reading: dict[str, Any] = {"given": ["captions.jsonl:name"], "split_by": "base", "size": 8}
    small: dict[str, Any] = {"network": "mlp", "hidden": [8], "latent": 2, "steps": 2, "batch": 8}
    run = ec.train(str(tmp_path / "emoji.npz"), out=tmp_path / "run", channels=channels, **reading, **small)
    (made,) = ec.sample(run, 1, given={"name": "a red thing 1"})
    assert made.mode == mode and made.size == (8, 8)
    data = read(tmp_path / "emoji.npz", channels=channels, **reading)
    blank = np.asarray(data.items([0])[0])[:, 7:]
    assert (blank == 255).all() if channels else (blank[..., 3] == 0).all()
    kind = data.conditions["name"]
    assert [kind.unpack(row) for row in data.given["name"].stored.numpy()] == [row["name"] for row in rows]

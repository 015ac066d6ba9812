"""The report page: every piece, what it warns of, and that nothing from the data becomes markup."""

from __future__ import annotations

import base64
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from ectype.errors import ModelFileError, OutputError
from ectype.jobs import page, sections
from ectype.jobs.pictures import Pictures, paired
from ectype.jobs.report import compose, read_metrics, report, warnings_of
from ectype.kinds.image import Image
from ectype.kinds.vector import Vector
from ectype.metrics import Score
from ectype.runs import Run

EVIL = "<script>alert('x')</script>\"&"
VOID = {"meta", "img", "br"}


class Checked(HTMLParser):
    """Collects tags and text, and whether every opened element is closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def grey(value: int, side: int = 4) -> Pillow.Image:
    return Pillow.new("L", (side, side), value)


def counts(**splits: int) -> dict[str, int]:
    return {**splits, "all": sum(splits.values())}


def record(**changes: Any) -> dict[str, Any]:
    scores = [Score("psnr", 20.0, "dB", "higher", 500, "test", error=0.1, floor=12.0, least=100).state()]
    told = {
        "command": "ectype train digits",
        "data": {
            "path": "digits",
            "options": {"seed": 0, "size": None},
            "counts": counts(train=1437, test=180),
        },
        "model": {"model": "vae", "network": "conv", "latent": 8},
        "training": {"steps": 500, "planned": 1000, "seconds": 123.0, "precision": "fp32", "seed": 0},
        "scores": scores,
    }
    return {**told, **changes}


def full(evil: str = "cat") -> str:
    pictures = Pictures(
        samples=grey(3, 32),
        by_label={evil: grey(1, 16), "b": grey(2, 16)},
        pairs=[("each original above its reconstruction", grey(9, 16))],
        codes=np.random.default_rng(0).standard_normal((40, 5)),
        labels=[evil, "b"] * 20,
        split="test",
        notes=[f"skipped {evil}.png"],
        problems=[f"a {evil} problem"],
    )
    kl = Score("kl", 3.0, "nats", "neither", 40, "test", error=0.1, parts=(2.0, 1.0), note=evil)
    told = record(
        command=evil, notes=[f"skipped {evil}.png"], warnings=[evil], kind=evil, machine={"cpu": evil}
    )
    told["scores"] += [
        kl.state(),
        Score(evil, 1.0, evil, "higher", 3, evil, floor=0.0, floor_name=evil).state(),
    ]
    told["data"] = {"source": evil}
    told["training"][evil] = evil
    lines = [
        {"step": s, "split": split, "loss": 100 / s, "parts": {"kl": s / 10, evil: 1.0}}
        for s in range(1, 50)
        for split in ("train", "select")
    ]
    return compose(evil, told, lines, pictures)


def test_the_page_is_whole_and_loads_nothing() -> None:
    found = Checked(full())
    assert found.open == []
    assert found.links
    assert all(link.startswith("data:image/png;base64,") for link in found.links)
    assert not {"script", "link", "iframe", "object"} & set(found.tags)
    assert found.tags.count("svg") >= 4
    assert "url(" not in page.STYLE
    assert "@import" not in page.STYLE
    headings = [
        w for w in found.words if w in ("Samples", "Reconstructions", "Numbers", "Latent space", "Data")
    ]
    assert headings == ["Samples", "Reconstructions", "Numbers", "Latent space", "Data"]


def test_nothing_from_the_data_becomes_markup() -> None:
    text = full(EVIL)
    found = Checked(text)
    assert "script" not in found.tags
    assert "<script" not in text
    assert found.open == []
    assert sum(EVIL in word for word in found.words) >= 10, "the words themselves must still be shown"
    tame = Checked(full())
    assert sorted(found.tags) == sorted(tame.tags)


def test_the_embedded_picture_is_the_picture() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (8, 10), np.uint8)
    html = page.embed(Pillow.fromarray(noise), 'say "x"', wide=35)
    code = re.search(r"base64,([^\"]+)", html)
    assert code is not None
    back = np.asarray(Pillow.open(io.BytesIO(base64.b64decode(code[1]))))
    np.testing.assert_array_equal(back, noise)
    assert 'width="40"' in html
    assert "say &quot;x&quot;" in html


def test_an_empty_record_makes_a_page_that_says_so() -> None:
    found = Checked(compose("run", {}, [], Pictures()))
    assert found.open == []
    assert any("not evaluated yet" in word for word in found.words)
    assert "Samples" not in found.words


# ---- warnings ----


def warned(told: dict[str, Any], pictures: Pictures | None = None) -> str:
    scores = [Score.restore(s) for s in told.get("scores", [])]
    return "\n".join(warnings_of(told, scores, pictures or Pictures()))


def test_a_good_run_has_no_warning() -> None:
    assert warned(record()) == ""


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data": {"counts": counts(train=10, test=0)}}, "no held-out data"),
        ({"data": {"counts": counts(train=10, test=12)}}, "only 12 test items: "),
        ({"data": {"counts": counts(train=10, test=1)}}, "only 1 test item: "),
        ({"training": {"steps": 1200, "planned": 5000, "stopped": True}}, "after 1,200 of 5,000 steps"),
        ({"training": {"skipped": 7}}, "7 training steps had no finite gradient"),
        ({"scores": []}, "not evaluated yet"),
        ({"warnings": ["the moon is full"]}, "the moon is full"),
    ],
)
def test_warnings(changes: dict[str, Any], words: str) -> None:
    assert words in warned(record(**changes))


@pytest.mark.parametrize(
    ("active", "of", "bad"), [(2, 32, True), (0, 2, True), (4, 32, False), (1, 2, False)]
)
def test_posterior_collapse(active: int, of: int, bad: bool) -> None:
    units = Score("active units", float(active), f"of {of}", "higher", 500, "test", floor=0.0)
    text = warned(record(scores=[units.state()]))
    assert (f"posterior collapse: {active} of {of} latent dimensions are active" in text) is bad


def test_a_score_below_its_floor_and_a_problem_are_told() -> None:
    low = Score("psnr", 11.0, "dB", "higher", 500, "test", floor=12.0, floor_name="mean image")
    text = warned(record(scores=[low.state()]), Pictures(problems=["no samples: the file is gone"]))
    assert "psnr is no better than the mean image" in text
    assert "the file is gone" in text


def test_scores_of_the_record_win_over_those_made_for_the_page() -> None:
    made = [Score("psnr", 99.0, "dB", "higher", 9, "test"), Score("kl", 3.0, "nats", "neither", 9, "test")]
    text = compose("run", record(), [], Pictures(scores=made))
    assert "99" not in re.sub(r"<style>.*?</style>", "", text, flags=re.S)
    assert "3 nats" in text


# ---- numbers and pieces ----


def test_every_number_is_shown_with_what_judges_it() -> None:
    told = Score("psnr", 21.34, "dB", "higher", 12, "test", 4, 0.03, 12.1, "mean image", least=100)
    html = page.score_table([told])
    for words in ("21.34 ± 0.03 dB", "higher ↑", "12.1 (mean image)", "test, N=12, seed 4", "100 are needed"):
        assert words in html
    assert page.score_table([]) == ""


@pytest.mark.parametrize(
    ("seconds", "text"), [(4.25, "4.2 s"), (123.0, "2 min 3 s"), (59.99, "60.0 s"), (7260.0, "2 h 1 min")]
)
def test_spoken_time(seconds: float, text: str) -> None:
    assert sections.spoken_time(seconds) == text


def test_facts_leave_out_what_is_empty() -> None:
    assert page.facts({"a": "", "b": "x"}) == "<dl><dt>b</dt><dd>x</dd></dl>"
    assert page.bullets([str(i) for i in range(60)]).count("<li>") == 51
    assert sections.said({"a": None, "b": [1, 2.5], "c": True, "d": 12345}) == "b 1, 2.5, c yes, d 12,345"


def test_originals_stand_above_their_reconstructions() -> None:
    kind = Image(1, (4, 4))
    items, back = [grey(i) for i in range(10)], [grey(100 + i) for i in range(10)]
    ((_, sheet),) = paired(kind, items, back)
    # the last, broken row is left out: its reconstructions would not stand below their originals
    np.testing.assert_array_equal(np.asarray(sheet), np.asarray(kind.sheet([*items[:8], *back[:8]], 8)))
    few = paired(kind, items[:3], back[:3])[0][1]
    np.testing.assert_array_equal(np.asarray(few), np.asarray(kind.sheet([*items[:3], *back[:3]], 3)))


def test_rows_of_numbers_get_a_sheet_each() -> None:
    kind = Vector([0.0, 0.0], [1.0, 1.0])
    rows = list(np.random.default_rng(0).standard_normal((20, 2)).astype(np.float32))
    (first, sheet), (second, _) = paired(kind, rows, [row + 1 for row in rows])
    assert (first, second) == ("originals", "reconstructions")
    np.testing.assert_array_equal(np.asarray(sheet), np.asarray(kind.sheet(rows, 8)))


# ---- files ----


def test_a_torn_line_is_passed_over(tmp_path: Path) -> None:
    good = json.dumps({"step": 1, "split": "train", "loss": 2.0})
    (tmp_path / "metrics.jsonl").write_text(good + "\n[1]\n" + good[:-5])
    assert [line["step"] for line in read_metrics(tmp_path)] == [1]
    assert read_metrics(tmp_path / "no") == []


def test_quantities_are_thinned_and_keep_the_last_point() -> None:
    lines = [{"step": s, "split": "train", "loss": float(s), "parts": {"kl": 1.0}} for s in range(1, 1003)]
    lines.append({"step": 1000, "split": "select", "loss": None, "parts": None})
    found = sections.quantities(lines)
    assert set(found) == {"loss", "kl"}
    points = found["loss"]["train"]
    assert 300 < len(points) <= sections.MOST
    assert points[-1] == (1002.0, 1002.0)
    assert "select" not in found["loss"]


# ---- a whole run ----


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import ectype as ec

    folder = tmp_path_factory.mktemp("run") / "digits"
    data = ec.read("digits", given=["label"], limit=300)
    model = ec.build("vae", data, network="mlp", likelihood="normal", latent=3)
    for _ in ec.fit(model, data, steps=20):
        pass
    run: Run = ec.Run.of(model, data).save(folder)
    assert run.folder == folder
    return folder


def test_report_of_a_run(trained: Path) -> None:
    path = report(trained)
    assert path == trained / "report.html"
    text = path.read_text("utf-8")
    found = Checked(text)
    for words in ("Samples", "Reconstructions", "Latent space", "active units", "kl", "Asked for each value"):
        assert any(words in w for w in found.words), words
    assert not any("no samples" in w or "no reconstructions" in w for w in found.words)
    assert sum(f"samples of {n}" in text for n in range(10)) == 10
    assert len(text) < 1_000_000
    again = report(trained)
    assert again.read_text("utf-8") == text, "the same run, the same page"


def test_report_elsewhere_is_never_overwritten_silently(trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    out.write_text("mine")
    with pytest.raises(OutputError, match="page.html already exists.*--overwrite"):
        report(trained, out=out)
    assert out.read_text() == "mine"
    report(trained, out=out, overwrite=True)
    assert out.read_text().startswith("<!doctype html>")


def test_report_without_its_data_still_appears(trained: Path, tmp_path: Path) -> None:
    import shutil

    moved = tmp_path / "moved"
    shutil.copytree(trained, moved)
    told = json.loads((moved / "record.json").read_text())
    told["data"] |= {"path": str(tmp_path / "gone"), "absolute": str(tmp_path / "gone")}
    (moved / "record.json").write_text(json.dumps(told))
    found = Checked(report(moved).read_text("utf-8"))
    assert any("no reconstructions and no codes" in w and "gone" in w for w in found.words)
    assert "Samples" in found.words


def test_report_of_no_run_says_so(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="no model at"):
        report(tmp_path)

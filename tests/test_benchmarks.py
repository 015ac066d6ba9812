"""The benchmarks' bookkeeping: what is kept, what is measured anew, and the table made of it. No timings."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from ectype.kinds.text import Text

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

import _nets  # noqa: E402
import _record  # noqa: E402
import _sides  # noqa: E402
import _sources  # noqa: E402
import coco  # noqa: E402
import quatrains  # noqa: E402
import resume  # noqa: E402
import table  # noqa: E402


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty results folder."""
    monkeypatch.setattr(_record, "RESULTS", tmp_path)
    return tmp_path


def counted() -> tuple[list[int], Any]:
    """A measurement that tells how often it was done."""
    calls: list[int] = []

    def work() -> dict[str, int]:
        calls.append(len(calls))
        return {"figure": len(calls)}

    return calls, work


def test_a_measurement_is_kept_and_not_repeated(results: Path) -> None:
    calls, work = counted()
    first = _record.measure("some", {"seed": 0}, "as agreed", work)
    second = _record.measure("some", {"seed": 0}, "as agreed", work)
    assert calls == [0], "what the file holds was measured again"
    assert first == second
    assert {"key", "figures", "protocol", "date", "commit", "machine", "versions"} == set(first)
    assert first["machine"]["cores"] >= 1 and first["machine"]["cpu"], "the machine is not in the record"


@pytest.mark.parametrize(
    ("key", "protocol", "again"),
    [({"seed": 1}, "as agreed", False), ({"seed": 0}, "otherwise", False), ({"seed": 0}, "as agreed", True)],
    ids=["another seed", "another protocol", "again"],
)
def test_what_differs_is_measured(results: Path, key: dict[str, int], protocol: str, again: bool) -> None:
    calls, work = counted()
    _record.measure("some", {"seed": 0}, "as agreed", work)
    _record.measure("some", key, protocol, work, again=again)
    assert len(calls) == 2
    assert len((results / "some.jsonl").read_text().splitlines()) == 2, "old lines must stay in the file"


def test_the_newest_line_of_a_key_counts(results: Path) -> None:
    _, work = counted()
    for _ in range(3):
        _record.measure("some", {"seed": 0}, "as agreed", work, again=True)
    assert [line["figures"]["figure"] for line in _record.newest("some")] == [3]


def test_seeds_of_two_protocols_are_not_pooled(results: Path) -> None:
    calls, work = counted()
    asked = (
        ({"seed": 0, "of": "a"}, "old"),
        ({"seed": 0, "of": "b"}, "old"),
        ({"seed": 1, "of": "a"}, "new"),
    )
    for key, protocol in asked:
        _record.measure("some", key, protocol, work)
    assert [line["key"] for line in _record.newest("some")] == [asked[1][0], asked[2][0]]
    _record.measure("some", *asked[0], work)
    assert len(calls) == 3, "left out of the table, and measured all the same"
    _record.measure("some", asked[0][0], "new", work)
    assert [line["key"]["seed"] for line in _record.newest("some")] == [0, 0, 1]


def test_a_failed_measurement_leaves_no_line(results: Path) -> None:
    def work() -> dict[str, int]:
        raise RuntimeError("interrupted")

    with pytest.raises(RuntimeError, match="interrupted"):
        _record.measure("some", {}, "as agreed", work)
    assert _record.lines("some") == []


def test_missing_data_says_where_it_can_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECTYPE_DATA", str(tmp_path))
    with pytest.raises(SystemExit, match=r"(?s)larocheh.*ECTYPE_DATA"):
        _sources.static_mnist()
    (tmp_path / "binarized_mnist").mkdir()
    with pytest.raises(SystemExit, match="lacks binarized_mnist_train.amat"):
        _sources.static_mnist()


def test_amat_files_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "binarized_mnist"
    folder.mkdir()
    bits = np.random.default_rng(0).integers(0, 2, (3, 784), dtype=np.uint8)
    for part in _sources.PARTS:
        np.savetxt(folder / f"binarized_mnist_{part}.amat", bits, fmt="%d")
    monkeypatch.setenv("ECTYPE_DATA", str(tmp_path))
    found = _sources.static_mnist()
    assert set(found) == set(_sources.PARTS)
    assert (found["test"] == bits.reshape(3, 1, 28, 28)).all()
    (folder / "binarized_mnist_test.amat").write_text("0 1 1\n")
    with pytest.raises(SystemExit, match="holds 3 digits"):
        _sources.static_mnist()


def test_a_missing_peer_says_how_to_make_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECTYPE_PEER_PYTHON", "/nowhere/python")
    with pytest.raises(SystemExit, match=r"(?s)/nowhere/python.*pip install torch==\S+ pythae==0.1.2"):
        _sides.python_of("pythae")
    assert _sides.python_of("ectype") == sys.executable


@pytest.mark.parametrize("case", ["mlp", "conv"])
def test_networks_have_the_sizes_of_the_peer(case: str) -> None:
    with torch.device("meta"):
        encoder, decoder, latent = _nets.CASES[case]
        nets = nn.ModuleList([encoder(), decoder()])
    count = sum(p.numel() for p in nets.parameters())
    # as Pythae 0.1.2 counts them: its log variance and mean are two layers, ours one of twice the width
    assert count == {"mlp": 676_864, "conv": 17_232_033}[case]
    assert latent == {"mlp": 40, "conv": 16}[case]


def line(key: dict[str, Any], **figures: Any) -> dict[str, Any]:
    """A line of a results file."""
    machine = {"cpu": "some cpu", "cores": 2, "memory": 8, "system": "Linux"}
    return {"key": key, "figures": figures, "protocol": "p", "machine": machine, "versions": {"torch": "2"}}


def put(folder: Path, name: str, *some: dict[str, Any]) -> None:
    """Write a results file."""
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(one) + "\n" for one in some))


def test_the_table_says_the_ratio_of_medians(results: Path) -> None:
    times = {"pythae": (8.0, 9.0, 20.0), "ectype": (3.0, 2.0, 1.0)}
    put(
        results,
        "throughput",
        *(
            line({"case": "mlp", "side": side, "threads": 2, "round": i}, ms_per_step=ms)
            for side, all_ms in times.items()
            for i, ms in enumerate(all_ms)
        ),
    )
    text = table.table()
    assert "**4.50 ×**: 2.00 (1.00–3.00) against 9.00 (8.00–20.00) ms" in text
    assert "`./dev bench throughput`" in text and "some cpu, 2 cores, 8 GB, torch 2" in text


def test_the_table_says_when_weights_differ(results: Path) -> None:
    put(results, "resume", line({"seed": 0}, identical=False, killed_after=[1, 2]))
    assert "**different**" in table.table()
    put(results, "resume", line({"seed": 0}, identical=True, killed_after=[1, 2]))
    assert "identical, bit for bit" in table.table()


def test_precisions_are_compared_with_fp32(results: Path) -> None:
    put(
        results,
        "scoring",
        *(
            line({"side": side, "threads": 2, "round": 0}, seconds=seconds, nll=nll, items=10_000)
            for side, seconds, nll in (
                ("pythae", 90.0, 88.0),
                ("ectype fp32", 30.0, 88.0),
                ("ectype bf16", 10.0, 88.004),
            )
        ),
    )
    text = table.table()
    assert "**3.00 ×**: 30.0 against 90.0 s |" in text
    assert "**9.00 ×**: 10.0 against 90.0 s; mean moved by +0.0040 nat" in text


def test_rows_of_conditions_say_the_figures(results: Path) -> None:
    put(
        results,
        "text_emoji",
        *(
            line(
                {"family": "vae", "captions": "name", "seed": seed},
                **{"found": 0.3 + seed / 10, "error": 0.02, "real": 0.5, "shuffled": 0.1, "seconds": 480},
            )
            for seed in (0, 1)
        ),
    )
    put(
        results,
        "dynamic_mnist",
        line({"threads": 1}, nll=83.0, error=0.2, samples=5000, items=10_000, train_seconds=600),
    )
    text = table.table()
    assert "**35.0 (30.0–40.0) %** ± 2.0; of real held-out pictures 50.0 (50.0–50.0) %" in text
    assert "8.0 min on one thread | `./dev bench text_emoji --families vae --captions name`" in text
    assert "**83.00** ± 0.20 nats; 10.0 min on 1 thread(s) |" in text


@pytest.mark.parametrize(
    ("name", "key", "figures", "again"),
    [
        (
            "label_mnist",
            {"family": "vae", "halved": True, "chosen": "likelihood normal, share 0.3"},
            ("agreement", "least", "diversity", "judge"),
            " --families vae --halved --options likelihood=normal,share=0.3",
        ),
        (
            "caption_shapes",
            {"family": "gan", "unit": "words", "chosen": "batch 50, gamma 0.05"},
            ("all", "seen", "real"),
            " --families gan --batch 50 --options gamma=0.05",
        ),
        ("joint_shapes", {"seed": 0}, ("all", "cold", "from caption", "from picture", "real"), ""),
    ],
)
def test_every_benchmark_of_conditions_has_a_row(
    results: Path, name: str, key: dict[str, Any], figures: tuple[str, ...], again: str
) -> None:
    put(results, name, line(key, seconds=60, **dict.fromkeys(figures, 0.875)))
    text = table.table()
    assert "**87.5 %**" in text and f"1.0 min on one thread | `./dev bench {name}{again}`" in text


def test_rows_of_captions_and_poems_say_the_figures(results: Path) -> None:
    scores = {"bleu": [0.75, 0.5, 0.3, 0.2], "self": [0.9, 0.8, 0.6, 0.4]}
    figures = {"temperature": 0.85, "at": {"0.85": scores}, "real": scores, "steps": 800, "cpu": 120}
    put(results, "coco", line({"seed": 0}, **figures))
    sides = {"whole": 0.0, "stretch": 6.0, "longest": 22}
    poems = {
        "well-formed": 0.98,
        "made": sides,
        "held out": sides,
        "per symbol": 4.5,
        "steps": 600,
        "cpu": 90,
    }
    put(results, "quatrains", line({"case": "lm", "seed": 0}, **poems))
    text = table.table()
    assert "**.750/.500/.300/.200 at .900/.800/.600/.400** (real: .750" in text
    assert "**98.0 %**; copied **0.0 %** (held-out poems 0.0 %), longest stretch 22 symbols (22)" in text


def test_captions_are_scored_by_their_words() -> None:
    known: dict[str, int] = {}
    first, second, third = coco.numbered(["a cat sits.", "a dog sits.", "a cat sits ."], known)
    assert first == third and len(known) == 5
    assert coco.alone([first, third]) == pytest.approx([1, 1, 1, 0.1**0.2])  # of four symbols no run is five
    assert coco.bleu([first], coco.References([second], 5))[0] == pytest.approx((3 / 4 * 1 / 3) ** 0.5)
    assert coco.margin(list(coco.BLEU), [0.0] * 4) == 0
    assert coco.margin([1.0] * 4, [0.95, 0.8, 0.7, 0.4]) == pytest.approx(-0.03)


def test_the_form_of_a_quatrain_is_its_lines_and_marks() -> None:
    poem = "塞外悲风切，交河冰已结。瀚海百重波，阴山千里雪。"
    assert quatrains.well_formed([poem, " ".join(poem)]) == 1
    broken = ["", poem[:-1], poem + poem, poem.replace("切", ""), poem.replace("。", "，")]
    assert quatrains.well_formed(broken) == 0
    spaced = " ".join(poem)
    kind = Text.fit([spaced], "words")
    empty, same = quatrains.stored(kind, ["", spaced])
    assert not kind.unpack(empty) and kind.unpack(same) == spaced
    found = quatrains.copies(np.stack([empty, same]), same[None])
    assert found == {"whole": 0.5, "stretch": 12, "longest": 24}


def test_a_page_is_filled_between_its_markers(results: Path) -> None:
    put(results, "startup", line({}, seconds=0.05, torch=False))
    page = "before\n<!-- results -->\nold\n<!-- /results -->\nafter\n"
    filled = table.filled(page)
    assert filled.startswith("before\n<!-- results -->\n| what |") and filled.endswith(
        "<!-- /results -->\nafter\n"
    )
    assert "old" not in filled and "**0.050 s**, torch not imported" in filled
    assert table.filled(filled) == filled, "filling twice changes the page"
    with pytest.raises(ValueError, match="<!-- results -->"):
        table.filled("a page without markers")


def test_the_readme_holds_the_measured_results() -> None:
    if not table.README.is_file():
        pytest.skip("there is no README yet")
    if not table.table():
        pytest.skip("there are no results yet")
    page = table.README.read_text(encoding="utf-8")
    assert table.filled(page) == page, "the README's table is old: run ./dev bench table"


def test_states_are_compared_by_every_byte(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    numbers = np.arange(4, dtype=np.float32)
    header = {"ectype_state": json.dumps({"step": 7, "resumed": 3})}
    one, same, other = (tmp_path / f"{name}.safetensors" for name in ("one", "same", "other"))
    save_file({"a": numbers}, one, header)
    save_file({"a": numbers}, same, {"ectype_state": json.dumps({"step": 9, "resumed": 0})})
    save_file({"a": np.nextafter(numbers, np.float32(9))}, other, header)
    assert resume.step_of(one) == 7
    assert resume.digest(one) == resume.digest(same)
    assert resume.digest(one) != resume.digest(other)

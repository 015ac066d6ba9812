"""Bad and odd input of the GANs through the command line: it works, or one line says why not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

import ectype as ec
from ectype.surfaces.cli import main

FAMILIES = ("gan", "vaegan")
QUICK = ["--network", "conv", "--width", "8", "--steps", "3"]


def pictures(folder: Path, count: int, *form: int, equal: bool = False) -> str:
    """A folder of that many pictures, arrays of a form."""
    random = np.random.default_rng(0)
    folder.mkdir()
    for i in range(count):
        values = np.full(form, 100) if equal else random.integers(0, 256, form)
        Pillow.fromarray(values.astype(np.uint8)).save(folder / f"{i}.png")
    return str(folder)


def run(model: str, source: str, out: Path, *options: str) -> int:
    """The exit code of a short training."""
    return main(["train", source, "--model", model, "--out", str(out), *QUICK, *options])


@pytest.mark.parametrize("model", FAMILIES)
@pytest.mark.parametrize(
    ("count", "form", "equal", "options"),
    [
        pytest.param(1, (16, 16), False, [], id="one image"),
        pytest.param(10, (16, 16), False, [], id="ten images"),
        pytest.param(20, (16, 16), True, [], id="all equal"),
        pytest.param(20, (8, 8, 4), False, [], id="four channels"),
        pytest.param(20, (1, 1), False, [], id="1x1"),
        pytest.param(12, (17, 300), False, ["--size", "17x300"], id="300x17"),
        pytest.param(20, (8, 8), False, ["--batch", "1000"], id="batch larger than the data"),
        pytest.param(20, (8, 8), False, ["--batch", "7", "--pack", "4"], id="pack does not divide the batch"),
    ],
)
def test_it_trains_and_makes_items(
    model: str, count: int, form: tuple[int, ...], equal: bool, options: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    assert run(model, pictures(tmp_path / "in", count, *form, equal=equal), out, *options) == 0
    for name in ("model.safetensors", "samples.png", "report.html"):
        assert (out / name).stat().st_size > 0
    assert "NaN" not in (out / "record.json").read_text() + (out / "metrics.jsonl").read_text()
    made = np.stack([np.asarray(item) for item in ec.sample(out, 2)])
    assert made.shape == (2, *form) and made.dtype == np.uint8


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        ("gan", ["--gamma", "-1"], "gamma is the weight of a penalty, 0 or more, not -1.0"),
        ("vaegan", ["--gamma", "-1"], "gamma is the weight of a penalty, 0 or more, not -1.0"),
        ("gan", ["--gamma", "nan"], "--gamma: 'nan' is not a number or none"),
        ("gan", ["--rate", "-0.1"], "out of range: rate=-0.1"),
        ("vaegan", ["--rate", "-0.1"], "out of range: rate=-0.1"),
        ("gan", ["--beta", "-1"], "--beta belongs to vae, and this is gan"),
        ("vaegan", ["--beta", "-1"], "beta and free_bits are not negative"),
        ("vaegan", ["--around", "ae", "--penalty", "-1"], "corruption and penalty are not negative"),
        ("vaegan", ["--phase", "1"], "phase is a share of training below 1"),
        ("gan", ["--betas", "0,1"], "there is no option --betas; did you mean --beta?"),
        ("gan", ["--batch", "0"], "out of range: batch=0"),
        ("gan", ["--batch", "3", "--pack", "4"], "a batch of 3 items cannot be judged 4 at a time"),
        ("vaegan", ["--batch", "3", "--pack", "4"], "a batch of 3 items cannot be judged 4 at a time"),
        ("gan", ["--pack", "0"], "pack is the number of items judged together, from 1 to 64, not 0"),
        ("gan", ["--augment", "2"], "augment is a probability, not 2.0"),
        ("gan", ["--prior", "flow"], "a gan draws its latent from the prior normal"),
        ("gan", ["--likelihood", "logistic"], "use the likelihood point"),
    ],
)
def test_what_cannot_be_trained_is_said_in_one_line(
    model: str, options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(model, pictures(tmp_path / "in", 20, 8, 8), tmp_path / "run", *options) == 2
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("ectype:")]
    assert len(said) == 1 and message in said[0]
    assert not (tmp_path / "run" / "model.safetensors").exists()


@pytest.mark.parametrize("model", FAMILIES)
def test_a_folder_without_pictures(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(model, pictures(tmp_path / "in", 0), tmp_path / "run") == 3
    assert "the folder is empty" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_the_prior_suits_the_autoencoder_inside(tmp_path: Path) -> None:
    source = pictures(tmp_path / "in", 20, 8, 8)
    assert run("vaegan", source, tmp_path / "run", "--around", "ae") == 0
    assert ec.load(tmp_path / "run").spec["prior"] == "fitted"

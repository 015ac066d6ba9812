"""Reading with a GAN: the encoder's loss, refined codes, the file beside the model, the jobs that use it."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import pickle
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from safetensors import safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

import ectype as ec
from ectype.data.batch import Batch
from ectype.errors import ModelFileError, OutputError, UsageError
from ectype.jobs import decoding, inversions
from ectype.jobs.inputs import context_of, items_of, reader
from ectype.jobs.invert import invert
from ectype.jobs.reconstruct import there_and_back
from ectype.jobs.report import report
from ectype.likelihoods.point import PointDistribution
from ectype.models.gan import GAN
from ectype.models.inversion import Inverted, distance, misfit, refined
from ectype.runs import MODEL_FILE, Run, load
from ectype.surfaces.cli import main

D = 3


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(folder: Path, n: int = 120) -> Path:
    """Pictures of 8 by 8 pixels in the folders "up" and "down", bright in that half."""
    levels = np.random.default_rng(0).integers(0, 120, (n, 8, 8), np.uint8)
    for i, picture in enumerate(levels):
        half = slice(0, 4) if i % 2 else slice(4, 8)
        picture[half] += 120
        place = folder / ("up" if i % 2 else "down")
        place.mkdir(parents=True, exist_ok=True)
        Pillow.fromarray(picture).save(place / f"{i:03d}.png")
    return folder


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pictures(tmp_path_factory.mktemp("data") / "pictures")


def make(
    source: Path, folder: Path, *, model: str = "gan", given: str | None = "label", **options: Any
) -> Run:
    """A small run none of whose layers is zero, also not those of the conditions."""
    data = ec.read(source, given=given)
    sizes = options if "network" in options else {"network": "mlp", "hidden": (16,), **options}
    built = ec.build(model, data, latent=D, **sizes)
    with torch.no_grad():
        for parameter in built.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=generator())
    return Run.of(built, data).save(folder)


@pytest.fixture
def run(source: Path, tmp_path: Path) -> Run:
    return make(source, tmp_path / "run")


@pytest.fixture(scope="module")
def read(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run with an encoder; nothing may be written into it."""
    run = make(source, tmp_path_factory.mktemp("runs") / "gan")
    invert(run, steps=60, batch=32)
    return run


def weights(run: Run) -> dict[str, Tensor]:
    return {k: v.clone() for k, v in run.model.state_dict().items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def pixels(items: list[Any]) -> np.ndarray[Any, Any]:
    return np.stack([np.asarray(item) for item in items])


# ---- a generator that can be inverted by hand ----


class Linear(nn.Module):
    """x = z A, as the generator's numbers; `Point` halves and shifts them."""

    def __init__(self, a: Tensor) -> None:
        super().__init__()
        self.a = nn.Parameter(a)

    def forward(self, z: Tensor, context: object = None) -> Tensor:
        return (z @ self.a).view(len(z), 1, 8, 8)


class Inverse(nn.Module):
    """The code in standard units that a linear generator made x of, times a factor."""

    def __init__(self, model: GAN, factor: float) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor))
        self.back = torch.linalg.pinv(model.decoder.a.detach())  # type: ignore[union-attr, arg-type]
        self.standard = Inverted(model, nn.Identity()).standard

    def forward(self, x: Tensor, context: Any = None, seen: object = None) -> Tensor:
        z = (2 * x - 1).flatten(1) @ self.back
        return self.factor * self.standard(z, context)


def by_hand(run: Run, factor: float = 1.0) -> Inverted:
    """The run's model with a linear generator, and its inverse times a factor for an encoder."""
    model = copy.deepcopy(run.model)
    assert isinstance(model, GAN)
    # so faint that nothing is cut off
    model.decoder = Linear(0.02 * torch.randn(D, 64, generator=generator(1)))
    return Inverted(model, Inverse(model, factor)).eval()


def some(run: Run, n: int = 2000) -> Batch:
    """Made items under every condition and under none, as a batch of real ones."""
    data = items_of(run, split="all").data
    batch = data.batch(torch.arange(n) % len(data))
    return replace(batch, kept={"label": torch.arange(n) % 3 > 0})


def test_the_exact_inverse_has_no_loss_on_made_items_and_silence_has_one_of_each(run: Run) -> None:
    batch = some(run)
    exact, silent = by_hand(run), by_hand(run, 0.0)
    for model in (exact, silent):
        context = model.condition(batch)
        made = model.decode(model.latents(len(batch), context).draw(generator(2)), context).mean
        centre = model.decode(model.latents(len(batch), context).mean, context).mean
        # the variance around what each condition's mean code makes: the best that silence can do
        model.get_buffer("spread").copy_((made - centre).square().mean())
    parts = exact.loss(batch, noise=generator(3)).parts
    assert float(parts["code"].max()) < 1e-4
    assert float(parts["made"].max()) < 1e-4
    assert float(parts["real"].mean()) > 0.01  # real items are not of this generator
    parts = silent.loss(batch, noise=generator(3)).parts
    assert float(parts["code"].mean()) == pytest.approx(1, abs=0.05)
    assert float(parts["made"].mean()) == pytest.approx(1, abs=0.05)


def test_codes_of_the_exact_inverse_are_those_items_were_made_of(run: Run) -> None:
    model, batch = by_hand(run), some(run, 30)
    context = model.condition(batch)
    z = model.latents(30, context).draw(generator())
    q = model.posterior(model.decode(z, context).mean, context)
    torch.testing.assert_close(q.mean, z, atol=1e-4, rtol=1e-4)
    e = model.standard(z, context)
    assert not torch.allclose(e, z, atol=0.05)  # the prior under a condition is no standard normal


def test_gradients_reach_the_encoder_alone(run: Run) -> None:
    model = reader_of_nothing(run)
    own = {id(p) for p in model.player("encoder")}
    assert own == {id(p) for p in model.encoder.parameters()}
    with model.alone():
        model.loss(some(run, 12), noise=generator()).total.backward()
    moved = {id(p) for p in model.parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert moved
    assert moved <= own
    assert all(p.requires_grad for p in run.model.decoder.parameters())


def reader_of_nothing(run: Run) -> Inverted:
    """The run's model with an encoder that has learned nothing."""
    return Inverted(run.model, inversions.made(run, inversions.described(run)))


def test_the_generator_never_trains(run: Run) -> None:
    model = reader_of_nothing(run).train()
    assert model.training
    assert model.encoder.training
    assert not any(part.training for part in run.model.modules())


def test_unseen_sites_count_for_nothing() -> None:
    x, y = torch.rand(2, 4, 2, 3, 3, generator=generator())
    seen = torch.rand(4, 3, 3, generator=generator(1)) < 0.5
    seen[:, 0, 0] = True
    hidden = torch.where(seen.unsqueeze(1), x, torch.full_like(x, torch.nan))
    wanted = torch.stack([(a - b)[:, s].square().mean() for a, b, s in zip(x, y, seen, strict=True)])
    torch.testing.assert_close(distance(hidden, y, seen), wanted)
    torch.testing.assert_close(distance(x, y), (x - y).square().flatten(1).mean(1))


# ---- reading as an autoencoder does ----


def test_it_reads_as_an_autoencoder_does(read: Run) -> None:
    model, batch = reader(read), some(read, 10)
    with torch.no_grad():
        context = model.condition(batch)
        q = model.posterior(batch.x, context)
        found = model.infer(batch.x, context, k=4)
        p, own = model.latents(10, context), read.model.latents(10, context)
    assert isinstance(q, PointDistribution)
    assert q.mean.shape == (10, D)
    assert torch.equal(found.z, q.mean.repeat(4, 1))
    assert torch.equal(p.mean, own.mean)
    with torch.no_grad():
        assert torch.equal(model.decode(q.mean, context).mean, read.model.decode(q.mean, context).mean)


# ---- refined codes ----


@pytest.mark.parametrize("steps", [0, 1, 7, 100])
@pytest.mark.parametrize("model", ["gan", "vae", "ae"])
def test_refining_never_makes_an_item_worse(
    source: Path, tmp_path: Path, read: Run, model: str, steps: int
) -> None:
    conditioned = model != "ae"
    run = read
    if model != "gan":
        run = make(source, tmp_path / model, model=model, given="label" if conditioned else None)
    able, items = reader(run), items_of(run, split="all")
    plain, better = (
        torch.cat([distance(x, y) for x, y in there_and_back(run, able, items, refine=n)]) for n in (0, steps)
    )
    assert (better <= plain).all()
    if steps == 0:
        assert torch.equal(better, plain)
    if steps == 100:
        assert (better < plain).float().mean() > 0.8


def test_refined_codes_of_a_linear_generator_are_the_least_squares(run: Run) -> None:
    model, batch = by_hand(run), some(run, 8)
    wanted = (2 * batch.x - 1).flatten(1) @ torch.linalg.pinv(model.model.decoder.a.detach())  # type: ignore[union-attr, arg-type]
    start = wanted + 0.5 * torch.randn(wanted.shape, generator=generator())
    found = refined(model, misfit(batch.x), start, model.condition(batch), steps=400)
    torch.testing.assert_close(found, wanted, atol=1e-2, rtol=0)


def test_refining_an_item_does_not_depend_on_the_others(read: Run) -> None:
    model, batch = reader(read), some(read, 6)
    with torch.inference_mode():  # as the jobs do, where nothing has a gradient
        context = model.condition(batch)
        z = model.posterior(batch.x, context).mean
    whole = refined(model, misfit(batch.x), z, context, steps=20)
    one = Batch(
        batch.x[:1], {k: v[:1] for k, v in batch.given.items()}, {k: v[:1] for k, v in batch.kept.items()}
    )
    alone = refined(model, misfit(one.x), z[:1], model.condition(one), steps=20)
    torch.testing.assert_close(whole[:1], alone, atol=1e-3, rtol=1e-3)
    assert not any(p.grad is not None for p in model.parameters())


def test_a_code_is_kept_where_nothing_is_finite(run: Run) -> None:
    model, batch = by_hand(run), some(run, 4)
    z = torch.randn(4, D, generator=generator())
    x = batch.x.clone()
    x[1] = torch.nan
    found = refined(model, misfit(x), z, model.condition(batch), steps=10)
    assert torch.equal(found[1], z[1])
    assert found.isfinite().all()
    assert not torch.equal(found[0], z[0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"refine": -1}, "refine is a number of steps, 0 or more, not -1"),
        ({"refine": 3, "noise": True}, "refine looks for the best code and noise draws another"),
    ],
)
def test_what_refining_refuses(read: Run, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ec.reconstruct(read, **options)


def test_the_error_is_said_before_and_after_refining(
    read: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ectype.jobs.outputs.tell", print)
    ec.reconstruct(read, refine=50)
    said = capsys.readouterr().out
    before = float(said.split("before refining: mse ")[1].split()[0])
    after = float(said.split("\nmse ")[1].split()[0])
    assert after < before


# ---- training ----


def test_inverting_leaves_the_model_as_it_is(run: Run) -> None:
    before, file = weights(run), (run.folder / MODEL_FILE).read_bytes()  # type: ignore[operator]
    learning = [p.requires_grad for p in run.model.parameters()]
    sample = pixels(ec.sample(run, 8))
    invert(run, steps=20, batch=16, rate=0.01)
    assert same(before, weights(run))
    assert [p.requires_grad for p in run.model.parameters()] == learning
    assert (run.folder / MODEL_FILE).read_bytes() == file  # type: ignore[operator]
    assert np.array_equal(sample, pixels(ec.sample(run, 8)))
    assert same(before, weights(load(run.folder)))  # type: ignore[arg-type]


@pytest.mark.parametrize("network", ["mlp", "conv"])
def test_what_the_generator_makes_comes_back(source: Path, tmp_path: Path, network: str) -> None:
    """Real items of which each has a code: far better than the mean item and the mean code."""
    sizes = {"network": "conv", "width": 8, "depth": 1} if network == "conv" else {}
    run = make(source, tmp_path / network, given=None, **sizes)
    data = ec.read(pixels(ec.sample(run, 400, seed=9)))
    scores = {s.name: s for s in invert(run, data, steps=400, rate=3e-3)}  # type: ignore[arg-type]
    assert {"mse", "psnr", "ssim", "code mse"} == set(scores)
    assert scores["code mse"].floor == pytest.approx(1, abs=0.4)
    for name in ("mse", "code mse"):
        score = scores[name]
        assert score.floor is not None
        assert score.value < 0.4 * score.floor, score
    kept = json.loads((run.folder / "record.json").read_text())["inversion"]  # type: ignore[operator]
    assert kept["steps"] == 400
    assert [s["name"] for s in kept["scores"]] == list(scores)


def test_the_same_seed_gives_the_same_file_and_another_another(run: Run) -> None:
    found = []
    for seed in (0, 0, 1):
        invert(run, steps=10, batch=16, seed=seed, overwrite=True)
        found.append(hashlib.sha256((run.folder / inversions.FILE).read_bytes()).digest())  # type: ignore[operator]
    assert found[0] == found[1] != found[2]


def test_what_inverting_refuses(source: Path, tmp_path: Path, read: Run) -> None:
    with pytest.raises(OutputError, match="has an encoder already: replace it with --overwrite"):
        invert(read, steps=5)
    with pytest.raises(UsageError, match="count is at least 1, not 0"):
        invert(read, count=0)
    with pytest.raises(UsageError, match="minutes has to be above 0"):
        invert(read, minutes=0, overwrite=True)
    with pytest.raises(UsageError, match="out of range: rate=-1"):
        invert(read, steps=5, rate=-1, overwrite=True)
    with pytest.raises(UsageError, match="the device 'abacus' is not there"):
        invert(read, steps=5, device="abacus", overwrite=True)
    with pytest.raises(UsageError, match=r"this run has none: use run.save\(\) first"):
        invert(replace(read, folder=None), steps=5)
    with pytest.raises(UsageError, match="this vae has an encoder of its own"):
        invert(make(source, tmp_path / "vae", model="vae"), steps=5)
    with pytest.raises(UsageError, match="was not read for this model"):
        invert(read, ec.read(np.zeros((30, 3)) + np.arange(30)[:, None]), steps=5, overwrite=True)  # type: ignore[arg-type]
    assert all(p.requires_grad for p in read.model.decoder.parameters())


# ---- the file ----


def codes(run: Run) -> np.ndarray[Any, Any]:
    found: np.ndarray[Any, Any] = ec.encode(run, split="test").z
    return found


def test_codes_are_the_same_after_saving_and_loading(read: Run) -> None:
    folder = read.folder
    assert folder is not None
    there = load(folder)
    assert np.array_equal(codes(read), codes(there))
    before = (folder / inversions.FILE).read_bytes()
    able = reader(there)
    assert isinstance(able, Inverted)
    assert not able.training
    assert len(np.unique(codes(read), axis=0)) > 1
    inversions.save(there, able.encoder, folder)
    assert (folder / inversions.FILE).read_bytes() == before


def test_loading_draws_nothing_from_the_process_generator(read: Run) -> None:
    before = torch.get_rng_state()
    reader(read)
    assert torch.equal(before, torch.get_rng_state())


def test_jobs_that_read_say_what_to_do_where_there_is_no_encoder(run: Run, source: Path) -> None:
    item = next((source / "up").iterdir())
    for job in (
        lambda: ec.encode(run),
        lambda: ec.reconstruct(run),
        lambda: ec.interpolate(run, item, item),
        lambda: ec.edit(run, towards={"label": "up"}),
    ):
        with pytest.raises(UsageError) as caught:
            job()
        assert str(caught.value) == f"this model cannot read: run `ectype invert {run.folder}` first"
    assert len(ec.interpolate(run, steps=3)) == 3  # between samples nothing is read
    unsaved = replace(run, folder=None)
    with pytest.raises(UsageError, match="run `ectype invert RUN` first"):
        ec.encode(unsaved)


def test_jobs_that_read_work_with_an_encoder(
    read: Run, source: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ectype.jobs.outputs.tell", print)
    one, two = sorted((source / "up").iterdir())[:2]
    way = pixels(ec.interpolate(read, one, two, steps=4, given={"label": "up"}, refine=30))
    assert "there and back" in capsys.readouterr().out
    model = reader(read)
    x = torch.cat([next(items_of(read, p).batches()).x for p in (one, two)])
    with torch.no_grad():
        context = context_of(read, {"label": "up"}, 2)
        start = model.posterior(x, context).mean
    z = refined(model, misfit(x), start, context, steps=30)
    ends = pixels(decoding.items(read, z, given={"label": "up"}))
    assert np.abs(way[[0, -1]].astype(int) - ends.astype(int)).max() <= 1
    assert len(ec.reconstruct(read, source, count=5)) == 5


def test_an_encoder_of_other_weights_is_refused(run: Run) -> None:
    invert(run, steps=5, batch=16)
    with torch.no_grad():
        next(iter(run.model.decoder.parameters())).add_(1e-6)
    with pytest.raises(
        ModelFileError, match=r"belongs to other weights .* run `ectype invert .* --overwrite`"
    ):
        ec.encode(run)
    invert(run, steps=5, batch=16, overwrite=True)
    ec.encode(run)


@pytest.fixture
def parts(read: Run) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and description of a good file."""
    assert read.folder is not None
    path = read.folder / inversions.FILE
    with safe_open(path, "pt") as file:
        return load_file(path), json.loads(file.metadata()["ectype"])


def beside(read: Run, tmp_path: Path, raw: bytes) -> Run:
    """The same run in a folder of its own, with these bytes for an encoder."""
    (tmp_path / inversions.FILE).write_bytes(raw)
    return replace(read, folder=tmp_path)


def refused(run: Run, match: str) -> None:
    """One error, one short line that names the file, quickly."""
    began = time.perf_counter()
    with pytest.raises(ModelFileError, match=match) as error:
        reader(run)
    assert time.perf_counter() - began < 5
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 1000
    assert inversions.FILE in str(error.value)


def test_the_file_the_others_are_made_from_is_good(read: Run, parts: Any, tmp_path: Path) -> None:
    there = beside(read, tmp_path, save(parts[0], {"ectype": json.dumps(parts[1])}))
    assert np.array_equal(codes(there), codes(read))


@pytest.mark.parametrize("keep", [0, 7, 60, -1])
def test_truncated(read: Run, tmp_path: Path, keep: int) -> None:
    raw = (read.folder / inversions.FILE).read_bytes()  # type: ignore[operator]
    refused(beside(read, tmp_path, raw[:keep]), "is damaged or not a model file")


class Trap:
    """Leaves a trace where it is unpickled."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> Any:
        return (os.mkdir, (str(self.place),))


def test_a_pickle_is_not_executed(read: Run, tmp_path: Path) -> None:
    refused(
        beside(read, tmp_path, pickle.dumps(Trap(tmp_path / "executed"))), "is damaged or not a model file"
    )
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"network": "subprocess"}, "is not an encoder of this model"),
        ({"network": "../../evil"}, "is not an encoder of this model"),
        ({"network": "conv"}, "is not an encoder of this model"),
        ({"network": None}, "is not an encoder of this model"),
        ({"options": None}, "is not an encoder of this model"),
        ({"options": {"unknown": 1}}, "is not an encoder of this model"),
        ({"options": {"context": 5}}, "is not an encoder of this model"),
        ({"options": {"hidden": [10**9]}}, "is not an encoder of this model"),
        ({"options": {"hidden": [1] * 1_000_000}}, "more layers than it holds"),
        ({"options": {"hidden": [16, 16]}}, "does not hold the weights its own description asks for"),
        ({"options": {"x" * 1_000_000: 1}}, "is not an encoder of this model"),
        ({"format": inversions.FORMAT + 1}, "pip install -U ectype"),
        ({"format": "x"}, "the description in .* is damaged"),
        ({"model": "0" * 64}, "belongs to other weights"),
        ({"model": None}, "belongs to other weights"),
    ],
    ids=lambda v: str(v)[:40],
)
def test_hostile_descriptions(
    read: Run, parts: Any, tmp_path: Path, change: dict[str, Any], match: str
) -> None:
    refused(beside(read, tmp_path, save(parts[0], {"ectype": json.dumps(parts[1] | change)})), match)


def test_hostile_tensors(read: Run, parts: Any, tmp_path: Path) -> None:
    tensors, description = parts
    name, value = next((k, v) for k, v in tensors.items() if v.dim() == 2)
    for changed, match in (
        ({k: v for k, v in tensors.items() if k != name}, "does not hold the weights"),
        (tensors | {"more": torch.zeros(1)}, "does not hold the weights"),
        (tensors | {name: value.T.contiguous()}, "does not hold the weights"),
        (tensors | {name: torch.full_like(value, torch.nan)}, "NaN or infinite"),
    ):
        refused(beside(read, tmp_path, save(changed, {"ectype": json.dumps(description)})), match)


# ---- the command line ----


def test_from_the_command_line(run: Run, source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(run.folder)
    assert main(["reconstruct", folder]) == 2
    assert f"run `ectype invert {folder}` first" in capsys.readouterr().err
    assert main(["invert", folder, "--steps", "20"]) == 0
    out = capsys.readouterr().out
    assert "mean image" in out
    assert "mean code" in out
    assert f"wrote {folder}/{inversions.FILE}" in out
    assert main(["invert", folder, "--steps", "20"]) == 5
    assert main(["reconstruct", folder, "--refine", "5"]) == 0
    assert main(["encode", folder]) == 0
    assert main(["edit", folder, "--given", "label=up"]) == 0
    assert (run.folder / "edited" / "comparison.png").exists()  # type: ignore[operator]
    err = capsys.readouterr().err
    assert "Traceback" not in err


def test_the_report_shows_the_round_trip(run: Run) -> None:
    assert "Round trip" not in report(run).read_text()
    scores = invert(run, steps=20, batch=16)
    page = report(run).read_text()
    assert "An encoder trained for it afterwards, 20 steps, lets it read." in page
    section = page[page.index("Round trip") : page.index("How it was made")]
    for score in scores:
        assert f"<td>{score.name}" in section and score.figures in section
    assert "each original above its reconstruction" in page and "Codes of" in page


def test_a_new_training_in_the_same_folder_leaves_no_old_encoder(source: Path, tmp_path: Path) -> None:
    run = make(source, tmp_path / "run")
    invert(run, steps=5, batch=16)
    assert run.folder is not None
    ec.train(str(source), model="ae", network="mlp", hidden=(8,), steps=2, out=run.folder, overwrite=True)
    assert not (run.folder / inversions.FILE).exists()

"""The jobs on tiny models: what they return, write, refuse, and that seeds mean what they say."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

import ectype as ec
from ectype.errors import DataError, OutputError, UsageError
from ectype.jobs import decoding, outputs
from ectype.jobs.codes import Codes
from ectype.jobs.codes import load as load_codes
from ectype.jobs.codes import save as save_codes
from ectype.jobs.decode import decode
from ectype.jobs.encode import encode
from ectype.jobs.evaluate import bound_scores, evaluate
from ectype.jobs.inputs import items_of
from ectype.jobs.interpolate import interpolate, path
from ectype.jobs.listing import listing
from ectype.jobs.reconstruct import reconstruct, there_and_back
from ectype.jobs.sample import sample
from ectype.likelihoods.normal import NormalDistribution
from ectype.models import Model
from ectype.runs import Run
from ectype.surfaces.cli import main


def pictures(folder: Path, n: int = 60) -> Path:
    """Grey pictures, bright above (label up) or below (label down), in sub-folders."""
    levels = np.random.default_rng(0).integers(0, 100, (n, 8, 8), np.uint8)
    for i, picture in enumerate(levels):
        label = "up" if i % 2 else "down"
        picture[: 4 if i % 2 else 8] += 50
        if i % 2:
            picture[:4] += 100
        (folder / label).mkdir(parents=True, exist_ok=True)
        Pillow.fromarray(picture).save(folder / label / f"{i:03d}.png")
    return folder


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return pictures(tmp_path_factory.mktemp("data") / "pictures")


def make(source, folder, model="vae", given="label", **options):
    data = ec.read(source, given=given)
    built = ec.build(model, data, network="mlp", latent=3, hidden=(16,), **options)
    generator = torch.Generator().manual_seed(0)
    for parameter in built.parameters():  # zero-initialised heads would hide a condition that is lost
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    return Run.of(built, data).save(folder)


@pytest.fixture(scope="module")
def trained(source, tmp_path_factory):
    """A run with a label condition; jobs that write into it must not be used on this one."""
    return make(source, tmp_path_factory.mktemp("runs") / "vae")


@pytest.fixture
def run(source, tmp_path):
    """A run of its own for a test that writes into it."""
    return make(source, tmp_path / "run")


def pixels(items):
    return np.stack([np.asarray(item) for item in items])


# sampling


@pytest.mark.parametrize("noise", [False, True])
@pytest.mark.parametrize("counts", [(1, 4), (4, 16), (16, 65), (64, 130)])
@pytest.mark.parametrize("prior", ["normal", "vamp"])
def test_fewer_samples_are_the_first_of_more(source, tmp_path, counts, noise, prior):
    run = make(source, tmp_path / "run", prior=prior)
    few, many = (pixels(sample(run, n, seed=3, noise=noise)) for n in counts)
    assert np.array_equal(few, many[: counts[0]])
    assert len(many) == counts[1]
    assert len(np.unique(many, axis=0)) > 1


def test_latents_of_fewer_are_bit_for_bit_those_of_more(trained):
    assert torch.equal(decoding.latents(trained, 4, seed=1), decoding.latents(trained, 100, seed=1)[:4])


def test_seed_given_noise_and_temperature_change_samples(trained):
    plain = pixels(sample(trained, 8))
    assert np.array_equal(plain, pixels(sample(trained, 8)))
    others = [
        sample(trained, 8, seed=1),
        sample(trained, 8, noise=True),
        sample(trained, 8, temperature=0.5),
        sample(trained, 8, given={"label": "up"}),
        sample(trained, 8, given={"label": "down"}),
    ]
    for i, items in enumerate(others):
        assert not np.array_equal(plain, pixels(items)), i
    assert not np.array_equal(pixels(others[3]), pixels(others[4]))


def test_a_colder_latent_is_more_typical_and_a_hotter_one_less(trained):
    with decoding.evaluating(trained):
        p = trained.model.latents(16, decoding.context_of(trained, None, 16))
    zero, half, one, twice = (decoding.latents(trained, 16, temperature=t) for t in (0, 0.5, 1, 2))
    assert torch.allclose(zero, p.mean)
    order = [p.log_prob(z).mean() for z in (zero, half, one, twice)]
    assert order == sorted(order, reverse=True)


def test_a_sample_is_the_mean_unless_the_likelihood_has_none(trained, monkeypatch):
    """Tokens are drawn: their mean is no token."""
    z = decoding.latents(trained, 4)
    mean, drawn = (pixels(decoding.items(trained, z, noise=n)) for n in (False, True))
    tokens = type(trained.model.decode(z))
    monkeypatch.setattr(tokens, "show", tokens.draw)
    assert np.array_equal(pixels(decoding.items(trained, z)), drawn)
    assert not np.array_equal(mean, drawn)


def test_decoding_does_not_depend_on_how_many(trained):
    z = torch.randn(70, trained.model.latent, generator=torch.Generator().manual_seed(0))
    whole = pixels(decoding.items(trained, z))
    for n in (1, 3, 64, 65):
        assert np.array_equal(whole[:n], pixels(decoding.items(trained, z[:n])))


def test_jobs_leave_the_mode_of_the_model(trained):
    trained.model.train()
    sample(trained, 1)
    assert trained.model.training
    trained.model.eval()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"given": {"lable": "up"}}, UsageError, "cannot be given 'lable'; did you mean 'label'?"),
        ({"given": {"label": "upp"}}, UsageError, "there is no label 'upp'; did you mean 'up'?"),
        ({"count": 0}, UsageError, "count is at least 1, not 0"),
        ({"temperature": -1.0}, UsageError, "temperature is 0 or more, not -1"),
        ({"temperature": float("nan")}, UsageError, "temperature is 0 or more, not nan"),
    ],
)
def test_what_sampling_refuses(trained, options, error, message):
    with pytest.raises(error) as caught:
        sample(trained, **options)
    assert message in str(caught.value)


def test_a_model_without_conditions_says_so(source, tmp_path):
    run = make(source, tmp_path / "run", given=None)
    with pytest.raises(UsageError, match="trained without conditions"):
        sample(run, 1, given={"label": "up"})


def test_samples_are_written_whole_and_never_over_others(trained, tmp_path):
    out = tmp_path / "new" / "samples"
    items = sample(trained, 3, out=out)
    assert sorted(p.name for p in out.iterdir()) == ["0000.png", "0001.png", "0002.png", "contact-sheet.png"]
    assert np.array_equal(np.asarray(Pillow.open(out / "0001.png")), np.asarray(items[1]))
    assert [p.name for p in out.parent.iterdir()] == ["samples"]
    (out / "mine.txt").write_text("kept")
    with pytest.raises(OutputError, match="samples already exists: choose another --out"):
        sample(trained, 2, seed=5, out=out)
    sample(trained, 2, seed=5, out=out, overwrite=True)
    assert (out / "mine.txt").read_text() == "kept"
    assert not np.array_equal(np.asarray(Pillow.open(out / "0001.png")), np.asarray(items[1]))


def test_samples_as_one_sheet_and_as_arrays(trained, tmp_path):
    sample(trained, 3, out=tmp_path / "sheet.png")
    assert np.asarray(Pillow.open(tmp_path / "sheet.png")).shape[1] > 3 * 8
    items = sample(trained, 3, out=tmp_path / "items.npz")
    with np.load(tmp_path / "items.npz") as found:
        assert np.array_equal(found["items"], pixels(items))


# truncation


@pytest.fixture
def plain(source, tmp_path):
    """A run whose prior is normal, and under a condition not the standard one."""
    return make(source, tmp_path / "plain", prior="normal")


def standard(run, z, given):
    """Latents (N, D) in the prior's standard deviations around its mean."""
    with torch.no_grad():
        p = run.model.latents(len(z), decoding.context_of(run, given, len(z)))
    return (z - p.mean) / torch.exp(p.log_scale)


@pytest.mark.parametrize("bound", [1e-3, 0.1, 0.7, 2.0])
@pytest.mark.parametrize("given", [None, {"label": "up"}])
def test_no_number_lies_beyond_the_truncation(plain, bound, given):
    e = standard(plain, decoding.latents(plain, 500, given=given, truncation=bound), given)
    assert float(e.abs().max()) <= bound * (1 + 1e-4)
    assert float(e.abs().max()) > 0.98 * bound  # up to it there is something
    assert not torch.equal(e, standard(plain, decoding.latents(plain, 500, given=given), given))


@pytest.mark.parametrize("bound", [0.5, 1.5])
def test_truncated_latents_have_the_truncated_normal_distribution(plain, bound):
    from scipy.stats import kstest, truncnorm

    e = standard(plain, decoding.latents(plain, 3000, truncation=bound), None).flatten().double()
    assert kstest(e.numpy(), truncnorm(-bound, bound).cdf).pvalue > 1e-3
    assert kstest(e.numpy(), truncnorm(-1.1 * bound, 1.1 * bound).cdf).pvalue < 1e-3


def test_truncation_keeps_the_order_and_far_away_changes_nothing(plain):
    free = decoding.latents(plain, 200)
    assert torch.allclose(decoding.latents(plain, 200, truncation=30.0), free, atol=1e-5)
    assert torch.allclose(decoding.latents(plain, 200, truncation=float("inf")), free, atol=1e-5)
    near = standard(plain, decoding.latents(plain, 200, truncation=1.0), None)
    wide = standard(plain, free, None)
    assert torch.equal(near.sign(), wide.sign())
    assert (near.abs() <= wide.abs() * (1 + 1e-4) + 1e-6).all()


@pytest.mark.parametrize("counts", [(1, 4), (4, 65), (64, 130)])
def test_fewer_truncated_samples_are_the_first_of_more(plain, counts):
    few, many = (pixels(sample(plain, n, seed=3, truncation=0.7)) for n in counts)
    assert np.array_equal(few, many[: counts[0]])
    assert len(np.unique(many, axis=0)) > 1


def test_numbers_far_out_in_the_tail_stay_inside():
    p = NormalDistribution(torch.zeros(2, 4), torch.zeros(1))
    z = torch.tensor([[-40.0, -9.0, -6.0, 0.0], [40.0, 9.0, 6.0, 1e-30]])
    found = decoding.truncated(p, z, 2.0)
    assert torch.allclose(found[0], -found[1], atol=1e-6)
    assert torch.allclose(found[1], torch.tensor([2.0, 2.0, 2.0, 0.0]), atol=1e-4)


@pytest.mark.parametrize("bound", [0.0, -1.0, float("nan")])
def test_truncations_that_are_none(plain, bound):
    with pytest.raises(UsageError, match=f"truncation is above 0, not {bound}"):
        sample(plain, 2, truncation=bound)


@pytest.mark.parametrize("prior", ["flow", "mixture", "vamp"])
def test_truncation_of_another_prior_points_to_the_temperature(source, tmp_path, prior):
    run = make(source, tmp_path / prior, prior=prior)
    with pytest.raises(UsageError, match="truncation needs a normal prior, .* use --temperature"):
        sample(run, 2, truncation=1.0)


# items of each class


def test_items_of_each_class_are_those_asked_for_one_by_one(trained, tmp_path):
    rows = pixels(sample(trained, 3, each="label", seed=2, out=tmp_path / "each"))
    kind = trained.conditions["label"]
    for row, name in enumerate(kind.classes):
        alone = pixels(sample(trained, 3, given={"label": name}, seed=2))
        assert np.array_equal(rows[3 * row : 3 * row + 3], alone)
    assert len(rows) == 3 * len(kind.classes)
    names = {f"{c}-{i:04d}.png" for c in kind.classes for i in range(3)} | {"contact-sheet.png"}
    assert {p.name for p in (tmp_path / "each").iterdir()} == names


def test_the_sheet_has_one_row_for_each_class(trained, tmp_path):
    count, classes = 40, len(trained.conditions["label"].classes)
    sample(trained, count, each="label", out=tmp_path / "each.png")
    sample(trained, count, each="label", out=tmp_path / "each")
    for file in (tmp_path / "each.png", tmp_path / "each" / "contact-sheet.png"):
        with Pillow.open(file) as sheet:
            assert sheet.size == (count * 66 + 2, classes * 66 + 2), file


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"each": "lable"}, "this model has no classes called 'lable'; did you mean 'label'?"),
        ({"each": "label", "given": {"label": "up"}}, "either every label or the one that is given"),
        ({"each": "label", "count": 0}, "count is at least 1, not 0"),
    ],
)
def test_what_sampling_each_class_refuses(trained, options, message):
    with pytest.raises(UsageError) as caught:
        sample(trained, **options)
    assert message in str(caught.value)


def test_each_of_a_model_without_classes(source, tmp_path):
    run = make(source, tmp_path / "run", given=None)
    with pytest.raises(
        UsageError, match=r"no classes called 'label': it was trained without one \(train --given"
    ):
        sample(run, 1, each="label")


# codes


def test_encode_writes_codes_that_decode_reads(trained, tmp_path):
    codes = encode(trained, out=tmp_path / "codes.npz")
    items = items_of(trained)
    assert codes.z.shape == (len(items.indices), 3)
    assert codes.names == [items.data.names[i] for i in items.indices.tolist()]
    assert set(codes.labels) == {"up", "down"}
    back = decode(trained, tmp_path / "codes.npz", out=tmp_path / "decoded")
    encode(trained, out=tmp_path / "codes.csv")
    assert np.array_equal(pixels(decode(trained, tmp_path / "codes.csv")), pixels(back))


def test_codes_are_decoded_under_the_labels_of_their_file(trained, tmp_path, capsys):
    z = np.random.default_rng(0).normal(size=(70, 3)).astype(np.float32)
    labels = ["up" if i % 3 == 0 else "" if i % 3 == 1 else "down" for i in range(70)]
    for name in ("c.npz", "c.csv"):
        save_codes(Codes(z, [f"{i}" for i in range(70)], labels), tmp_path / name)
        capsys.readouterr()
        found = pixels(decode(trained, tmp_path / name))
        assert "decoded without" not in capsys.readouterr().out
        for label in ("up", "down", ""):
            given = {"label": label} if label else None
            alike = pixels(decode(trained, z, given=given)) == found
            assert alike.all((1, 2)).tolist() == [one == label for one in labels]
        # what is given counts
        assert np.array_equal(
            pixels(decode(trained, tmp_path / name, given={"label": "up"})),
            pixels(decode(trained, z, given={"label": "up"})),
        )
    save_codes(Codes(z[:2], ["a", "b"], ["up", "sideways"]), tmp_path / "c.npz")
    with pytest.raises(DataError, match="there is no label 'sideways'"):
        decode(trained, tmp_path / "c.npz")
    np.savez(tmp_path / "c.npz", codes=z[:2], labels=np.array(["up"]))
    with pytest.raises(DataError, match="there are 2 codes and 1 labels: repair the file"):
        decode(trained, tmp_path / "c.npz")


def test_codes_do_not_change_in_a_file(tmp_path):
    z = np.random.default_rng(0).normal(size=(3, 2)).astype(np.float32)
    codes = Codes(z, ["a", "b, c", 'd"'], ["x", "", "y"])
    for name in ("c.npz", "c.csv"):
        save_codes(codes, tmp_path / name)
        found = load_codes(tmp_path / name)
        assert np.array_equal(found.z.astype(np.float32), z)
        assert found.names == codes.names
        assert found.labels == codes.labels


def test_probes_say_what_they_were_fitted_on(source, trained, capsys, monkeypatch):
    monkeypatch.setattr("ectype.jobs.outputs.tell", print)
    monkeypatch.setattr("ectype.metrics.probes.FEWEST", 2)
    own = encode(trained)
    assert "probes: fitted on the train split of the run's own data\n" in capsys.readouterr().out
    assert {s.split for s in own.scores} == {"test"}
    encode(trained, source)
    assert "train split of the run's own data (items that are in both" in capsys.readouterr().out
    record, trained.record = trained.record, {}
    given = encode(trained, source)
    trained.record = record
    assert "fitted on one half of the items and scored on the other" in capsys.readouterr().out
    assert {(s.split, s.n) for s in given.scores} == {("given items", 30)}
    assert all(s.value > 0.8 for s in given.scores)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"nonsense", "cannot be read as codes"),
        (b"", "cannot be read as codes"),
        (None, "ectype encode makes one"),
    ],
)
@pytest.mark.parametrize("name", ["c.npz", "c.npy"])
def test_damaged_codes(trained, tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        decode(trained, tmp_path / name)


def test_codes_of_python_objects_are_not_executed(trained, tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "sprung"),)

    np.save(tmp_path / "trap.npy", np.array([Trap()], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="damaged, or no file of numbers"):
        decode(trained, tmp_path / "trap.npy")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,a\nx,1\n", "has no columns z0, z1"),
        ("name,z0,z1,z2\nx,1,2\n", "line 2: a number is missing"),
        ("name,z0,z1,z2\nx,1,2,3\ny,1,b,3\n", "line 3: a number is missing or is none"),
        ("name,z0\nx,1\n", r"form \(1, 1\), and the model needs \(N, 3\)"),
        ("name,z0,z1,z2\n", r"form \(0, 3\), and the model needs"),
        ("name,z0,z1,z2\nx,1,2,3\nx,1,nan,3\n", "code number 1 holds NaN"),
    ],
)
def test_wrong_tables_of_codes(trained, tmp_path, text, message):
    (tmp_path / "c.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        decode(trained, tmp_path / "c.csv")


def test_codes_go_to_files_that_can_hold_them(trained, tmp_path):
    with pytest.raises(UsageError, match="codes are written to .npz or .csv, not to c.txt"):
        encode(trained, out=tmp_path / "c.txt")


# there and back


def test_reconstructions_have_no_hidden_noise(trained):
    one, two = (pixels(reconstruct(trained, count=5)) for _ in range(2))
    assert np.array_equal(one, two)
    noisy = pixels(reconstruct(trained, count=5, noise=True))
    assert not np.array_equal(one, noisy)
    assert np.array_equal(noisy, pixels(reconstruct(trained, count=5, noise=True)))


def test_reconstructions_are_decoded_codes(trained):
    """Mean of p(x | z) at the mean of q(z | x), with the item's own condition both ways."""
    items = items_of(trained, count=5)
    batch = items.data.batch(items.indices)
    with torch.no_grad():
        context = trained.model.condition(batch)
        x = trained.model.decode(trained.model.posterior(batch.x, context).mean, context).mean
    back = torch.cat([y for _, y in there_and_back(trained, trained.model, items)])
    assert torch.allclose(back, x, atol=1e-6)


def test_reconstructions_keep_the_names_of_the_items(source, trained, tmp_path):
    reconstruct(trained, source / "up", out=tmp_path / "back")
    names = {p.name for p in (tmp_path / "back").iterdir()}
    assert names == {p.name for p in (source / "up").iterdir()} | {"contact-sheet.png", "comparison.png"}


def test_interpolation_begins_and_ends_at_its_ends(trained, source):
    for mode in ("spherical", "linear"):
        way = pixels(interpolate(trained, steps=5, mode=mode, seed=2))
        ends = pixels(sample(trained, 2, seed=2))
        assert np.array_equal(way[[0, -1]], ends)
    one, two = sorted((source / "up").iterdir())[:2]
    way = pixels(interpolate(trained, one, two, steps=3))
    assert np.array_equal(way, pixels(interpolate(trained, source / "up", steps=3)))


def test_a_spherical_path_keeps_the_radius():
    ends = torch.tensor([[3.0, 0.0], [0.0, 3.0]])
    assert torch.allclose(path(ends, 7, "spherical").norm(dim=1), torch.full((7,), 3.0))
    assert torch.allclose(path(ends, 3, "linear")[1], torch.tensor([1.5, 1.5]))
    along = torch.tensor([[1.0, 0.0], [3.0, 0.0]])
    assert torch.allclose(path(along, 3, "spherical")[1], torch.tensor([2.0, 0.0]))
    assert torch.isfinite(path(torch.zeros(2, 2), 3, "spherical")).all()


def test_what_interpolation_refuses(trained, source):
    with pytest.raises(UsageError, match="steps is at least 2, the two ends, not 1"):
        interpolate(trained, steps=1)
    with pytest.raises(UsageError, match="mode is spherical or linear, not 'cubic'"):
        interpolate(trained, mode="cubic")
    with pytest.raises(DataError, match="holds one item, and a way has two ends"):
        interpolate(trained, next((source / "up").iterdir()))


class Sampler(Model):
    """A model that cannot read."""

    def __init__(self, inner):
        super().__init__()
        self.inner, self.likelihood, self.conditioner = inner, inner.likelihood, inner.conditioner
        self.latent = inner.latent

    def loss(self, batch, player="model", noise=None):
        return self.inner.loss(batch, player, noise)

    def decode(self, z, context=None):
        return self.inner.decode(z, context)

    def latents(self, n, context=None):
        return self.inner.latents(n, context)


@pytest.mark.parametrize("job", [encode, reconstruct])
def test_a_model_that_cannot_read_is_refused(trained, job):
    run = Run(Sampler(trained.model), trained.kind, trained.conditions, {"model": "gan"}, trained.record)
    with pytest.raises(UsageError, match="this model cannot read: run `ectype invert RUN` first"):
        job(run)
    assert np.array_equal(pixels(sample(run, 2)), pixels(sample(trained, 2)))


# evaluation


def test_evaluation_is_kept_in_the_run(source, tmp_path):
    run = make(source, tmp_path / "run", prior="normal")
    scores = evaluate(run, samples=5, count=4)
    names = [s.name for s in scores]
    expected = [
        "elbo",
        "iwae-5",
        "distortion",
        "bits/dim",
        "kl",
        "active units",
        "mutual information",
        "shuffle gap of z",
        "mse",
        "psnr",
        "ssim",
        "energy",
        "frechet",
        "judge right",
        "classes made",
        "class shares",
        "confidence",
        "agreement",
    ]
    assert [name for name in names if name in expected] == expected and "gap: label" in names
    assert all((s.n, s.split) == (4, "test") for s in scores if s.name != "judge right")
    value = {s.name: s.value for s in scores}
    assert value["iwae-5"] >= value["elbo"]
    assert value["bits/dim"] == pytest.approx(-value["iwae-5"] / 64 / np.log(2))
    assert [s["name"] for s in json.loads((run.folder / "evaluation.json").read_text())] == names
    evaluate(run, samples=5, count=4, split="train")
    evaluate(run, samples=5, count=3)
    kept = json.loads((run.folder / "record.json").read_text())["scores"]
    assert [(s["split"], s["n"]) for s in kept if s["name"] == "elbo"] == [("train", 4), ("test", 3)]


def test_evaluation_of_a_density_and_of_a_code_without_one(tmp_path):
    flat = np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32)
    np.save(tmp_path / "points.npy", flat)
    names = {}
    for model in ("vae", "ae"):
        run = make(tmp_path / "points.npy", tmp_path / model, model=model, given=None)
        names[model] = [s.name for s in evaluate(run, samples=2)]
    made = ["energy", "frechet"]
    code = ["active units", "mutual information", "shuffle gap of z"]
    assert names == {
        "vae": ["elbo", "iwae-2", "distortion", "kl", *code, "mse", *made],
        "ae": ["mse", *made],
    }


def test_bounds_become_scores_with_error_bars():
    from ectype.metrics.bounds import Bounds

    each = torch.tensor([-2.0, -4.0])
    found = Bounds(*[each] * (len(Bounds.__dataclass_fields__) - 1), samples=7)
    scores = {s.name: s for s in bound_scores(found, "test", seed=1, sites=3, discrete=True)}
    assert (scores["iwae-7"].value, scores["iwae-7"].error) == (-3.0, pytest.approx(1.0))
    assert scores["bits/dim"].value == pytest.approx(3 / 3 / np.log(2))
    assert "bits/dim" not in [s.name for s in bound_scores(found, "test", seed=1, sites=3, discrete=False)]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"split": "tset"}, UsageError, "there is no split 'tset'; did you mean 'test'?"),
        ({"samples": 0}, UsageError, "samples is at least 1, not 0"),
        ({"count": 0}, UsageError, "count is at least 1, not 0"),
        ({"device": "abacus"}, UsageError, "the device 'abacus' is not there"),
        ({"source": "no/such/folder"}, DataError, "no/such/folder"),
    ],
)
def test_what_evaluation_refuses(trained, options, error, message):
    with pytest.raises(error) as caught:
        evaluate(trained, **options)
    assert message in str(caught.value)


def test_a_model_file_alone_needs_items(trained, tmp_path):
    (tmp_path / "m.safetensors").write_bytes((trained.folder / "model.safetensors").read_bytes())
    with pytest.raises(UsageError, match="does not say what it was trained on .* name the items to use"):
        evaluate(tmp_path / "m.safetensors")
    assert np.array_equal(pixels(sample(tmp_path / "m.safetensors", 2)), pixels(sample(trained, 2)))


# writing


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.ENOSPC, "the disk is full; free some space"),
        (errno.EACCES, "you have no right to write there"),
        (errno.EROFS, "that disk is read-only"),
        (errno.EIO, "Input/output error"),
    ],
)
@pytest.mark.parametrize("place", [outputs.file, outputs.folder])
def test_a_write_that_fails_leaves_nothing(place, number, reason, tmp_path):
    def put() -> None:
        with place(tmp_path / "out.png") as path:
            (path / "a.png" if place is outputs.folder else path).write_text("half")
            raise OSError(number, os.strerror(number))

    with pytest.raises(OutputError, match=f"cannot write {tmp_path}/out.png: {reason}"):
        put()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_inside_a_kinds_writer(trained, tmp_path, monkeypatch):
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Pillow.Image, "save", full)
    with pytest.raises(OutputError, match=f"cannot write {tmp_path}/out: the disk is full"):
        sample(trained, 2, out=tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_leaves_what_was_there(tmp_path):
    out = tmp_path / "out.txt"
    out.write_text("before")

    def put() -> None:
        with outputs.file(out, overwrite=True) as path:
            path.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        put()
    assert [p.name for p in tmp_path.iterdir()] == ["out.txt"]
    assert out.read_text() == "before"


def test_places_that_cannot_be_written(trained, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="a file stands where a folder is needed"):
        sample(trained, 1, out=tmp_path / "file" / "samples")
    (tmp_path / "sheet.png").mkdir()
    with pytest.raises(OutputError, match="a folder of that name is there"):
        sample(trained, 1, out=tmp_path / "sheet.png")


def test_free_names(tmp_path):
    assert outputs.free(tmp_path / "a.npz") == tmp_path / "a.npz"
    (tmp_path / "a.npz").touch()
    (tmp_path / "a-2.npz").symlink_to(tmp_path / "nowhere")
    assert outputs.free(tmp_path / "a.npz") == tmp_path / "a-3.npz"


# all of it from the command line


def test_from_the_command_line(run, source, capsys):
    folder = str(run.folder)
    lines = [
        (["sample", folder, "--count", "2", "--given", "label=up"], "samples"),
        (["encode", folder, "--split", "train"], "codes.npz"),
        (["decode", folder, f"{folder}/codes.npz"], "decoded"),
        (["reconstruct", folder, str(source)], "reconstructions"),
        (["interpolate", folder], "interpolation.png"),
        (["evaluate", folder, "--samples", "2"], "evaluation.json"),
    ]
    for words, written in lines:
        assert main(words) == 0, words
        out, err = capsys.readouterr()
        assert err == ""
        assert (run.folder / written).exists()
        assert "elbo" in out if words[0] == "evaluate" else f"{folder}/{written}" in out
    assert main(["sample", folder, "--out", f"{folder}/samples"]) == 5
    assert main(["sample", folder, "--given", "label=left"]) == 2
    assert main(["sample", f"{folder}/samples"]) == 4
    assert main(["evaluate", folder, "--split", "nothing"]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_listing_has_every_name():
    from ectype import catalog

    text = listing()
    for table, names in catalog.TABLES.items():
        lines = listing(table).splitlines()
        assert lines[0] == table
        assert "\n".join(lines) in text
        assert [line.split()[0] for line in lines[1:]] == sorted(names)
        assert all(len(line.split()) > 1 for line in lines[1:]), f"{table}: an entry without a docstring"


def test_data_that_was_read_before_can_be_used(trained, source):
    data = ec.read(source, given="label")
    scores = evaluate(trained, data, samples=2)
    assert {score.split for score in scores if score.name != "judge right"} == {"test"}
    other = ec.read(np.random.default_rng(0).normal(size=(30, 3)))
    with pytest.raises(UsageError, match="was not read for this model"):
        evaluate(trained, other)


def test_codes_are_the_means_of_the_posteriors(trained, source):
    data = ec.read(source, given="label")
    batch = data.batch(data.splits["test"])
    with torch.no_grad():
        q = trained.model.posterior(batch.x, trained.model.condition(batch))
    assert np.allclose(encode(trained, data).z, q.mean.numpy(), atol=1e-5)


def test_files_that_cannot_be_written_are_refused(trained, tmp_path):
    with pytest.raises(UsageError, match=r"a folder, a \.png"):
        sample(trained, 2, out=tmp_path / "s.jpg")
    assert not (tmp_path / "s.jpg").exists()

"""Run files: what comes back, and that a damaged or hostile one is refused fast, in one line, harmlessly."""

from __future__ import annotations

import copy
import json
import os
import pickle
import resource
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save

import ectype as ec
from ectype.errors import ModelFileError, OutputError, UsageError
from ectype.models import Model
from ectype.runs import FORMAT, MODEL_FILE, RECORD_FILE, Run, load, machine, versions

FULL = "No space left on device"


def make(folder, *, given=None, network="conv", model="vae", **options):
    """A run of pictures of 12 by 10 pixels whose weights are all different from their start."""
    generator = np.random.default_rng(0)
    items = generator.integers(0, 255, (60, 12, 10), np.uint8)
    data = ec.read((items, ["yes", "no"] * 30), given=given)
    sizes = {"width": 4, "depth": 1} if network == "conv" else {"hidden": (8,)}
    built = ec.build(model, data, network=network, latent=3, **sizes, **options)
    for _ in ec.fit(built, data, steps=3, batch=16, device="cpu"):
        pass
    return Run.of(built, data).save(folder)


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return make(tmp_path_factory.mktemp("good"))


@pytest.fixture(scope="module")
def parts(good):
    """Tensors and description of a good file."""
    path = good.folder / MODEL_FILE
    with safe_open(path, "pt") as file:
        return load_file(path), json.loads(file.metadata()["ectype"])


def pixels(run, count=5, **options):
    return np.stack([np.asarray(item) for item in ec.sample(run, count, seed=7, **options)])


# there and back


@pytest.mark.parametrize(
    "options",
    [
        {"network": "conv"},
        {"network": "conv", "given": "label"},
        {"network": "mlp", "given": "label", "prior": "vamp", "components": 3},
        {"network": "mlp", "model": "ae"},
        {"network": "mlp", "likelihood": "normal", "prior": "flow", "layers": 2},
    ],
)
def test_samples_are_the_same_after_saving_and_loading(options, tmp_path):
    run = make(tmp_path / "run", **options)
    there = load(tmp_path / "run")
    given = {"label": "yes"} if "given" in options else None
    assert np.array_equal(pixels(run, given=given), pixels(there, given=given))
    assert there.spec == json.loads(json.dumps(run.spec))
    assert there.record["data"] == json.loads(json.dumps(run.record["data"]))
    assert there.kind.state() == run.kind.state()
    assert list(there.conditions) == list(run.conditions)
    assert not there.model.training


def test_a_model_file_alone_is_enough(good, tmp_path):
    (tmp_path / "other.safetensors").write_bytes((good.folder / MODEL_FILE).read_bytes())
    alone = load(tmp_path / "other.safetensors")
    assert np.array_equal(pixels(alone), pixels(good))
    assert alone.record == {}


def test_loading_draws_nothing_from_the_process_generator(good):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    load(good.folder)
    assert torch.equal(before, torch.get_rng_state())


def test_saving_twice_writes_the_same_bytes(good, tmp_path):
    load(good.folder).save(tmp_path)
    assert (tmp_path / MODEL_FILE).read_bytes() == (good.folder / MODEL_FILE).read_bytes()
    assert not list(tmp_path.glob("*.part"))


def test_only_built_models_are_runs():
    class Bare(Model):
        def loss(self, batch, player="model", noise=None):
            raise NotImplementedError

        def decode(self, z, context=None):
            raise NotImplementedError

        def latents(self, n, context=None):
            raise NotImplementedError

    data = ec.read(np.zeros((30, 2), np.float32) + np.arange(30, dtype=np.float32)[:, None])
    with pytest.raises(UsageError, match="only a model made by build"):
        Run.of(Bare(), data)


def test_machine_and_versions_are_json():
    facts = json.loads(json.dumps({"machine": machine(), "versions": versions()}))
    assert facts["machine"]["cores"] >= 1
    assert facts["versions"]["torch"] == torch.__version__


# what is refused


def refused(path, match):
    """Load a bad file: one error, one short line, quickly, with little memory, and nothing else."""
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ModelFileError, match=match) as error:
        load(path)
    assert time.perf_counter() - began < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400 * 1024  # KiB
    message = str(error.value)
    assert "\n" not in message
    assert len(message) < 1000
    assert str(path) in message or path.name in message


def write(tmp_path, tensors, description):
    text = description if isinstance(description, str) else json.dumps(description)
    path = tmp_path / MODEL_FILE
    path.write_bytes(save(tensors, {"ectype": text}))
    return path


def changed(description, place, value):
    """A copy of the description with another value at a place such as kind.state.size."""
    out = copy.deepcopy(description)
    *path, last = place.split(".")
    at = out
    for name in path:
        at = at[name]
    at[last] = value
    return out


def test_the_file_the_others_are_made_from_is_good(parts, tmp_path):
    assert load(write(tmp_path, *parts)).spec["model"] == "vae"


@pytest.mark.parametrize("keep", [0, 1, 7, 8, 60, 0.5, -1])
def test_truncated(keep, good, tmp_path):
    raw = (good.folder / MODEL_FILE).read_bytes()
    path = tmp_path / "short.safetensors"
    path.write_bytes(raw[: int(len(raw) * keep) if isinstance(keep, float) else keep])
    refused(path, "is damaged or not a model file")


@pytest.mark.parametrize(
    "raw",
    [
        np.random.default_rng(0).bytes(5000),
        (2**62).to_bytes(8, "little") + b"{}",
        (100_000).to_bytes(8, "little") + b"[" * 100_000,
        (2).to_bytes(8, "little") + b"{}",
    ],
    ids=["random", "huge header", "deep header", "empty header"],
)
def test_other_bytes(raw, tmp_path):
    path = tmp_path / "bytes.safetensors"
    path.write_bytes(raw)
    refused(path, "is damaged or not a model file|not one that ectype wrote")


class Trap:
    """Leaves a trace where it is unpickled."""

    def __init__(self, place):
        self.place = place

    def __reduce__(self):
        return (os.mkdir, (str(self.place),))


def test_a_pickle_is_not_executed(tmp_path):
    path, trace = tmp_path / MODEL_FILE, tmp_path / "executed"
    path.write_bytes(pickle.dumps(Trap(trace)))
    refused(path, "is damaged or not a model file")
    torch.save({"x": Trap(trace)}, path)
    refused(path, "is damaged or not a model file")
    assert not trace.exists()
    pickle.loads(pickle.dumps(Trap(trace)))  # noqa: S301 - the trap works
    assert trace.exists()


def test_not_there(tmp_path):
    refused(tmp_path, "there is no model at .*model.safetensors; ectype train makes one")
    refused(tmp_path / "nothing", "there is no model at")


def test_of_another_program(parts, tmp_path):
    path = tmp_path / MODEL_FILE
    path.write_bytes(save(parts[0]))
    refused(path, "not one that ectype wrote")


def test_newer_format(parts, tmp_path):
    path = write(tmp_path, parts[0], changed(parts[1], "format", FORMAT + 1))
    refused(path, rf"has format {FORMAT + 1} and this ectype reads up to {FORMAT}: pip install -U ectype")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "7",
        "[" * 100_000,
        '{"format": []}',
        '{"format": 1e999}',
        '{"format": "x"}',
        "{}",
    ],
    ids=lambda text: text[:20] or "empty",
)
def test_damaged_description(text, parts, tmp_path):
    refused(write(tmp_path, parts[0], text), "the description in .* is damaged")


HOSTILE = [
    ("spec", None),
    ("spec", {}),
    ("spec.model", "os:system"),
    ("spec.model", "../../evil"),
    ("spec.model", ["vae"]),
    ("spec.network", "subprocess"),
    ("spec.prior", "builtins:eval"),
    ("spec.latent", "8"),
    ("spec.latent", 2.5),
    ("spec.latent", -3),
    ("spec.latent", 65536),
    ("spec.latent", 10**12),
    ("spec.options", None),
    ("spec.options", []),
    ("spec.options", {"unknown": 1}),
    ("spec.options", {"context": 5}),
    ("spec.options", {"x" * 1_000_000: 1}),
    ("spec.options", {"width": "9" * 4000}),
    ("spec.options", {"width": 10**9}),
    ("spec.options", {"width": 4096, "depth": 64}),
    ("spec.options", {"width": 4, "depth": 10**9}),
    ("spec.options", {"width": 4, "depth": 1, "neck": 10**12}),
    ("spec.options", {"width": 4, "depth": 1, "growth": 1e308}),
    ("spec.options", {"width": 4, "depth": 1, "growth": float("nan")}),
    ("kind", None),
    ("kind.name", "pathlib:Path"),
    ("kind.name", "label"),
    ("kind.state", None),
    ("kind.state.size", [10**9, 10**9]),
    ("kind.state.size", [10**30, 10**30]),
    ("kind.state.size", [10**400, 1]),
    ("kind.state.size", [float("inf"), 1]),
    ("kind.state.size", [-1, 5]),
    ("kind.state.size", [5]),
    ("kind.state.channels", float("inf")),
    ("kind.state.bits", float("nan")),
    ("kind.state.bits", 10**9),
    ("conditions", [1]),
    ("conditions", {"label": {"name": "label", "state": {"classes": []}}}),
    ("conditions", {"a.b": {"name": "label", "state": {"classes": ["1"]}}}),
    ("conditions", {"label": {"name": "label", "state": {"classes": [str(i) for i in range(100_000)]}}}),
]


@pytest.mark.parametrize(("place", "value"), HOSTILE, ids=lambda v: str(v)[:30])
def test_hostile_description(place, value, parts, tmp_path):
    path = write(tmp_path, parts[0], changed(parts[1], place, value))
    refused(path, "is not a model ectype can build")


@pytest.mark.parametrize(
    ("options", "changes"),
    [
        ({"hidden": [1] * 1_000_000}, {}),
        ({"hidden": [10**9]}, {}),
        ({"hidden": [8, 8]}, {}),
        ({"hidden": "88"}, {}),
        ({}, {"kind.state.size": [10**9, 10**9]}),
        ({}, {"kind.state.size": [10**6, 10**6]}),
        ({"hidden": [1 << 20, 1 << 20, 1 << 20]}, {}),
    ],
    ids=lambda v: str(v)[:30],
)
def test_hostile_description_of_an_mlp(options, changes, parts, tmp_path):
    description = changed(changed(parts[1], "spec.network", "mlp"), "spec.options", options)
    for place, value in changes.items():
        description = changed(description, place, value)
    refused(write(tmp_path, parts[0], description), "is not a model ectype can build")


@pytest.mark.parametrize("prior", ["vamp", "mixture", "fitted"])
def test_priors_of_huge_size(prior, parts, tmp_path):
    options = {**parts[1]["spec"]["options"], "components": 10**12}
    description = changed(changed(parts[1], "spec.prior", prior), "spec.options", options)
    refused(write(tmp_path, parts[0], description), "is not a model ectype can build")


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 10**400, "x", None, 0.0])
def test_a_vector_kind_with_numbers_that_are_none(bad, parts, tmp_path):
    kind = {"name": "vector", "state": {"mean": [0.0, 0.0], "std": [1.0, bad]}}
    refused(write(tmp_path, parts[0], changed(parts[1], "kind", kind)), "is not a model ectype can build")


def one_missing(tensors):
    tensors.pop("encoder.head.bias")


def one_more(tensors):
    tensors["evil"] = torch.zeros(3)


def one_reshaped(tensors):
    tensors["encoder.head.bias"] = tensors["encoder.head.bias"][None]


@pytest.mark.parametrize("spoil", [one_missing, one_more, one_reshaped])
def test_other_tensors_than_described(spoil, parts, tmp_path):
    tensors = dict(parts[0])
    spoil(tensors)
    refused(write(tmp_path, tensors, parts[1]), "does not hold the weights its own description asks for")


@pytest.mark.parametrize("text", ["{", "[" * 100_000, "7", '"text"'])
def test_a_damaged_record(text, good, tmp_path):
    (tmp_path / MODEL_FILE).write_bytes((good.folder / MODEL_FILE).read_bytes())
    (tmp_path / RECORD_FILE).write_text(text)
    with pytest.raises(ModelFileError, match=r"record.json is damaged"):
        load(tmp_path)


def test_the_command_line_says_it_in_one_line(tmp_path, capsys):
    from ectype.surfaces.cli import main

    (tmp_path / MODEL_FILE).write_bytes(b"nonsense")
    assert main(["sample", str(tmp_path), "4"]) == ModelFileError.exit_code
    captured = capsys.readouterr()
    assert captured.err.startswith(f"ectype: {tmp_path / MODEL_FILE} is damaged")
    assert captured.err.count("\n") == 1
    assert captured.out == ""


# what cannot be written


def test_a_full_disk_leaves_the_old_file(good, tmp_path, monkeypatch):
    run = load(good.folder).save(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def no_room(number):
        raise OSError(28, FULL)

    monkeypatch.setattr(os, "fsync", no_room)
    with pytest.raises(OutputError, match=f"cannot write .*{MODEL_FILE}: {FULL}; free some space"):
        run.save(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_file_that_may_not_grow(good, tmp_path):
    """A real limit of the kernel in the middle of a write, in a process of its own."""
    load(good.folder).save(tmp_path)
    before = (tmp_path / MODEL_FILE).read_bytes()
    code = (
        "import resource, sys\nfrom ectype.errors import OutputError\nfrom ectype.runs import load\n"
        "run = load(sys.argv[1])\nresource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try:\n    run.save(sys.argv[1])\nexcept OutputError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.startswith(f"cannot write {tmp_path / MODEL_FILE}: File too large"), done.stderr
    assert (tmp_path / MODEL_FILE).read_bytes() == before
    assert not list(tmp_path.glob("*.part"))


def test_a_folder_that_cannot_be_made(good, tmp_path):
    (tmp_path / "file").write_text("in the way")
    run = load(good.folder)
    with pytest.raises(OutputError, match="cannot make the folder"):
        run.save(tmp_path / "file")
    with pytest.raises(OutputError, match="cannot make the folder"):
        run.save(tmp_path / "file" / "below")


def test_a_folder_that_was_removed_meanwhile(good, tmp_path):
    from ectype.training.state import write_atomically

    (tmp_path / "file").write_text("in the way")
    for path in (tmp_path / "gone" / "x", tmp_path / "file" / "x", tmp_path / ("x" * 300)):
        with pytest.raises(OutputError, match="cannot write"):
            write_atomically(path, b"data")

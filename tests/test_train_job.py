"""The job `train`: what lies in a run's folder, how it is interrupted, resumed, refused and replaced."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import ectype as ec
from ectype.errors import (
    DataError,
    ModelFileError,
    OutputError,
    Stopped,
    TrainingError,
    UsageError,
)
from ectype.jobs import events
from ectype.jobs import train as job
from ectype.jobs.curves import Curves
from ectype.jobs.report import read_metrics
from ectype.surfaces.cli import main
from ectype.training import loop
from ectype.training.state import load_state, write_atomically
from ectype.training.step import Step

SMALL = {
    "network": "mlp",
    "hidden": (8,),
    "latent": 2,
    "steps": 24,
    "batch": 25,
    "precision": "fp32",
    "patience": 0,
}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "pictures.npz"
    items = np.random.default_rng(0).integers(0, 255, (150, 6, 7), np.uint8)
    np.savez(path, images=items, labels=np.arange(150) % 3)
    return path


@pytest.fixture(scope="module")
def finished(source, tmp_path_factory):
    """A run with options of every sort; tests only look at it."""
    out = tmp_path_factory.mktemp("runs") / "finished"
    options = {**SMALL, "binarise": "dynamic", "beta": 0.5, "rate": 0.01, "seed": 4, "dropout": 0.2}
    run = ec.train(source, **options, given="label", out=out)
    return run, out


def points(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def same_weights(a, b):
    first, second = load_file(a / "model.safetensors"), load_file(b / "model.safetensors")
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


def stop_at(monkeypatch, number, sort=signal.SIGINT):
    """Send a signal to this process when the sheet of a step is drawn."""
    draw = job._Training._sheet

    def drawn(self, step, data):
        draw(self, step, data)
        if step.number == number:
            os.kill(os.getpid(), sort)

    monkeypatch.setattr(job._Training, "_sheet", drawn)


def in_order(folder):
    """Whether no split has two points of one step, and none comes before an earlier one."""
    for split in ("train", "select"):
        steps = [point["step"] for point in points(folder) if point.get("split") == split]
        if steps != sorted(set(steps)):
            return False
    return True


# what a finished run leaves


def test_a_run_s_folder(finished):
    _, out = finished
    there = {path.name for path in out.iterdir()}
    assert there >= {
        "model.safetensors", "state.safetensors", "metrics.jsonl", "record.json", "sheets", "samples.png",
        "report.html",
    }  # fmt: skip
    assert not [path for path in out.rglob("*") if "part" in path.suffix]
    assert len(list((out / "sheets").glob("step-*.png"))) == 24
    assert in_order(out)
    assert [p["step"] for p in points(out) if p.get("split") == "select"] == list(range(1, 25))
    assert all(np.isfinite(p["loss"]) for p in points(out))


def test_the_record(finished):
    run, out = finished
    record = json.loads((out / "record.json").read_text())
    options = record["request"]["options"]
    assert options == {
        "hidden": [8], "steps": 24, "batch": 25, "precision": "fp32", "patience": 0,
        "binarise": "dynamic", "beta": 0.5, "rate": 0.01, "dropout": 0.2,
    }  # fmt: skip
    training = record["training"]
    assert {k: training[k] for k in ("steps", "planned", "rate", "batch", "seed", "precision")} == {
        "steps": 24, "planned": 24, "rate": 0.01, "batch": 25, "seed": 4, "precision": "fp32",
    }  # fmt: skip
    assert not training["stopped"]
    assert training["best_step"] >= 1
    assert record["data"]["options"]["binarise"] == "dynamic"
    assert record["data"]["options"]["seed"] == 4
    assert record["data"]["options"]["given"] in ("label", ["label"])
    assert record["scores"]
    assert {**run.spec["options"], "hidden": [8]} == {"hidden": [8], "beta": 0.5, "dropout": 0.2}


def test_it_is_the_training_that_python_does(finished, source):
    """Options reach reading, building and training, and the seed all three."""
    _, out = finished
    data = ec.read(source, binarise="dynamic", given="label", seed=4)
    model = ec.build("vae", data, network="mlp", hidden=(8,), latent=2, beta=0.5, dropout=0.2, seed=4)
    for _ in ec.fit(model, data, steps=24, patience=0, batch=25, precision="fp32", rate=0.01, seed=4):
        pass
    ours = load_file(out / "model.safetensors")
    assert all(torch.equal(ours[k], v) for k, v in model.state_dict().items())
    assert ec.load(out).conditions.keys() == {"label"}


def test_the_seed_changes_the_training(source, tmp_path):
    for seed in (0, 1):
        ec.train(source, **{**SMALL, "steps": 2}, seed=seed, out=tmp_path / str(seed))
    assert not same_weights(tmp_path / "0", tmp_path / "1")


def test_the_default_folder_is_free(source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folders = [ec.train(source, **{**SMALL, "steps": 1}).folder for _ in range(2)]
    assert folders == [Path("runs/pictures"), Path("runs/pictures-2")]


# what is refused, and that it leaves nothing behind


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"hiden": (8,)}, UsageError, "no part of this model takes 'hiden'; did you mean 'hidden'?"),
        ({"beta": "much"}, UsageError, "beta='much'"),
        ({"rate": -1.0}, UsageError, "out of range: rate=-1.0"),
        ({"epochs": 2.0}, UsageError, "give one of steps, epochs and minutes, not steps and epochs"),
        ({"device": "gpu"}, UsageError, "the device 'gpu' is not there"),
        ({"state": "elsewhere"}, UsageError, "no part of this model takes 'state'"),
        ({"given": "colour"}, (UsageError, DataError), "colour"),
        ({"binarise": "sometimes"}, UsageError, "binarise='sometimes'"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_refused_options_leave_nothing(options, error, message, source, tmp_path):
    with pytest.raises(error) as raised:
        ec.train(source, **{**SMALL, **options}, out=tmp_path / "run")
    assert message in str(raised.value)
    assert not (tmp_path / "run").exists()


def test_refused_options_leave_an_overwritten_run_as_it_was(source, tmp_path):
    out = tmp_path / "run"
    ec.train(source, **{**SMALL, "steps": 1}, out=out)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with pytest.raises(UsageError, match="out of range"):
        ec.train(source, **SMALL, rate=-1.0, out=out, overwrite=True)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_no_source():
    with pytest.raises(UsageError, match="SOURCE is missing"):
        ec.train()


def test_a_source_that_is_not_there(tmp_path):
    with pytest.raises((DataError, UsageError)):
        ec.train(tmp_path / "nothing", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_existing_folder_is_not_replaced_silently(finished, source):
    _, out = finished
    before = (out / "model.safetensors").read_bytes()
    with pytest.raises(
        OutputError, match="already exists: choose another --out, or replace it with --overwrite"
    ):
        ec.train(source, **SMALL, out=out)
    assert (out / "model.safetensors").read_bytes() == before


def test_overwriting_leaves_nothing_of_the_old_run(source, tmp_path, monkeypatch):
    """The new run is stopped at its second step: whatever is there must be its own."""
    out = tmp_path / "run"
    ec.train(source, **SMALL, out=out)
    (out / "notes.txt").write_text("a person's own")
    stop_at(monkeypatch, 2)
    with pytest.raises(Stopped):
        ec.train(source, **{**SMALL, "latent": 3}, out=out, overwrite=True)
    assert sorted(path.name for path in out.iterdir()) == [
        "metrics.jsonl", "model.safetensors", "notes.txt", "record.json", "sheets", "state.safetensors",
    ]  # fmt: skip
    assert {path.name for path in (out / "sheets").iterdir()} == {"step-0000001.png", "step-0000002.png"}
    assert ec.load(out).model.latent == 3
    assert max(point["step"] for point in points(out)) == 2


# interrupted and resumed


@pytest.mark.parametrize(("sort", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_and_resumed(finished, source, tmp_path, monkeypatch, sort, code):
    _, straight = finished
    out = tmp_path / "run"
    options = {**SMALL, "binarise": "dynamic", "beta": 0.5, "rate": 0.01, "seed": 4, "dropout": 0.2}
    with monkeypatch.context() as patch:
        stop_at(patch, 9, sort)
        with pytest.raises(
            Stopped, match=f"everything is saved. Go on with: ectype train --resume {out}"
        ) as raised:
            ec.train(source, **options, given="label", out=out)
    assert raised.value.exit_code == code
    assert load_state(out / "state.safetensors")[1].step == 9
    record = json.loads((out / "record.json").read_text())
    assert record["training"]["stopped"]
    assert len(ec.sample(ec.load(out), 2)) == 2
    with open(out / "metrics.jsonl", "a") as file:  # what a kill after the last state would leave
        file.write('{"split": "train", "loss": 0.0, "step": 11, "parts": {}, "seconds": 1}\n{"split": "tr')
    ec.train(resume=str(out))
    assert same_weights(straight, out)
    assert in_order(out)
    assert [p["step"] for p in points(out) if p.get("split") == "select"] == list(range(1, 25))
    select = [[p["loss"] for p in points(folder) if p.get("split") == "select"] for folder in (straight, out)]
    assert select[0] == select[1]
    again = json.loads((out / "record.json").read_text())
    assert again["training"]["resumed"] == 1
    assert not again["training"]["stopped"]
    assert again["command"] == record["command"]
    assert again["request"] == record["request"]


@pytest.mark.parametrize(
    ("seconds", "early", "minutes", "said"),
    [
        (118.6, False, 2.0, "trained 300 steps in 119 s"),
        (118.6, False, None, "trained 300 steps in 119 s"),
        (67.4, False, 2.0, "trained 300 steps in 67 s instead of 2 min: the machine was more or less busy"),
        (300.0, False, 2.0, "in 300 s instead of 2 min"),
        (67.4, True, 2.0, "trained 300 steps in 67 s, not 400: the select loss fell no more (--patience)"),
    ],
)
def test_how_long_a_training_took_and_why(seconds, early, minutes, said):
    done = {"steps": 300, "planned": 400 if early else 300, "seconds": seconds, "early": early}
    found = events.spent(done, minutes)
    assert said in found
    assert ("instead" in found) == ("instead" in said)


def test_events_of_the_supervisor_stand_among_the_curves_once(tmp_path):
    first = {"step": 50, "kind": "watch", "signs": ["loss"]}
    second = {"step": 100, "kind": "act", "signs": ["loss"], "action": "put back", "to": 0, "rate": 0.5}

    def step(number, *events):
        return Step(number, 200, 1.5 * number, 2.0, {}, 3.0, 1.0, 0, False, False, False, None, events)

    with Curves(tmp_path) as curves:
        assert curves.add(step(40)) == []
        assert curves.add(step(60, first)) == [first]
        assert curves.add(step(120, first, second)) == [second]
    events = [line for line in points(tmp_path) if "event" in line]
    assert events == [
        {"event": first, "step": 50, "seconds": 90.0},
        {"event": second, "step": 100, "seconds": 180.0},
    ]
    assert [p["step"] for p in points(tmp_path) if p.get("split") == "train"] == [40, 60, 120]
    # taken up from a state in which the first had happened
    with Curves(tmp_path, after=80) as curves:
        assert curves.add(step(110, first, second)) == [second]
    assert [p["event"] for p in points(tmp_path) if "event" in p] == [first, second]
    assert all("split" in line for line in read_metrics(tmp_path))  # the report takes them from the record


def test_a_trained_runs_events_are_in_record_and_curves(source, tmp_path, monkeypatch):
    monkeypatch.setattr("ectype.models.vae._NARROW", 0.0)  # from where the latent falls silent at once
    out = tmp_path / "run"
    options = {**SMALL, "steps": 200, "prior": "normal", "beta": 100.0}
    run = ec.train(source, **options, out=out)
    told = run.record["training"]["events"]
    assert "collapse" in [e["kind"] for e in told]
    assert [p["event"] for p in points(out) if "event" in p] == told


def test_resuming_a_finished_run_changes_neither_model_nor_curves(source, tmp_path):
    out = tmp_path / "run"
    ec.train(source, **SMALL, out=out)
    before = [(out / name).read_bytes() for name in ("model.safetensors", "metrics.jsonl", "samples.png")]
    ec.train(resume=out)
    after = [(out / name).read_bytes() for name in ("model.safetensors", "metrics.jsonl", "samples.png")]
    assert before == after


@pytest.mark.parametrize(
    "option",
    [
        {"source": "digits"},
        {"model": "ae"},
        {"network": "conv"},
        {"likelihood": "normal"},
        {"prior": "vamp"},
        {"latent": 3},
        {"given": "label"},
        {"out": Path("x")},
        {"overwrite": True},
        {"seed": 2},
        {"steps": 100},
    ],
    ids=lambda option: next(iter(option)),
)
def test_resume_takes_no_other_option(option, finished):
    with pytest.raises(UsageError, match="it takes no source and no other option"):
        ec.train(**option, resume=finished[1])


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"request": 1}', '{"request": {}}', "[" * 100_000])
def test_a_damaged_record_cannot_be_resumed(text, tmp_path):
    (tmp_path / "record.json").write_text(text)
    with pytest.raises(ModelFileError, match=r"record.json is damaged and cannot be resumed"):
        ec.train(resume=tmp_path)


def test_nothing_to_resume(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path, tmp_path / "nothing", tmp_path / "file"):
        with pytest.raises(ModelFileError, match="there is no run to resume in"):
            ec.train(resume=folder)


def test_changed_data_cannot_be_resumed(tmp_path, monkeypatch):
    path, out = tmp_path / "data.npy", tmp_path / "run"
    items = np.random.default_rng(0).integers(0, 255, (100, 6, 7), np.uint8)
    np.save(path, items)
    with monkeypatch.context() as patch:
        stop_at(patch, 3)
        with pytest.raises(Stopped):
            ec.train(path, **SMALL, out=out)
    np.save(path, items[::-1])
    with pytest.raises(DataError, match="has changed since training"):
        ec.train(resume=out)


def test_diverging_is_said_and_the_state_is_kept(source, tmp_path):
    out = tmp_path / "run"
    with pytest.raises(TrainingError, match=r"no finite gradient.*lower the rate"):
        ec.train(source, **{**SMALL, "steps": 600, "patience": 0}, rate=1e30, clip=0.0, out=out)
    assert load_state(out / "state.safetensors")[1].step < 600
    assert all(torch.isfinite(v).all() for v in load_state(out / "state.safetensors")[0].values())


def test_a_full_disk_ends_the_run_and_the_state_stays(source, tmp_path, monkeypatch):
    out, written = tmp_path / "run", []

    def write(path, data):
        if path.name == "state.safetensors" and len(written) == 5:
            monkeypatch.setattr(os, "fsync", no_room)
        written.append(path.name)
        write_atomically(path, data)

    def no_room(number):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(loop, "_SAVE_EVERY", 0.0)
    monkeypatch.setattr("ectype.training.state.write_atomically", write)
    with pytest.raises(OutputError, match="state.safetensors: No space left on device"):
        ec.train(source, **SMALL, out=out)
    assert load_state(out / "state.safetensors")[1].step == len(written) - 3
    monkeypatch.undo()
    ec.train(resume=out)
    assert in_order(out)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_curves_on_a_full_disk(tmp_path):
    (tmp_path / "metrics.jsonl").symlink_to("/dev/full")
    from ectype.training.step import Step

    step = Step(1, 2, 0.1, 1.0, {}, None, 1.0, 0, False, False, False, torch.nn.Identity())
    with pytest.raises(OutputError, match="the disk is full"), Curves(tmp_path) as curves:
        curves.add(step)


def test_a_folder_that_cannot_be_made(source, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="a file stands where a folder is needed"):
        ec.train(source, **SMALL, out=tmp_path / "file" / "run")


# the command line


def command(*words, cwd):
    return subprocess.Popen(
        [sys.executable, "-m", "ectype", "train", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
    )


def wait_for_step(folder, least):
    """Until the curves of a run have come to a step."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        path = folder / "metrics.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        if any(step_of(line) >= least for line in lines):
            return
        time.sleep(0.05)
    raise TimeoutError(f"no step {least} in {folder}")


def step_of(line):
    try:
        return json.loads(line)["step"]
    except ValueError:
        return 0


def test_ctrl_c_and_sigterm_on_the_command_line(tmp_path):
    """Started, ended by Ctrl-C, resumed, ended by SIGTERM, resumed; a person sees no traceback."""
    out = tmp_path / "run"
    words = [
        "digits",
        "--steps",
        "100000",
        "--network",
        "mlp",
        "--hidden",
        "8",
        "--latent",
        "2",
        "--out",
        out,
    ]
    steps, done = [], None
    for sort, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        done = command(*(words if not steps else ["--resume", out]), cwd=tmp_path)
        wait_for_step(out, steps[-1] + 1 if steps else 1)
        done.send_signal(sort)
        _, errors = done.communicate(timeout=60)
        assert done.returncode == code, errors
        assert f"ectype: stopped; everything is saved. Go on with: ectype train --resume {out}" in errors
        assert "Traceback" not in errors
        steps.append(load_state(out / "state.safetensors")[1].step)
        assert len(ec.sample(ec.load(out), 2)) == 2
    assert 0 < steps[0] < steps[1] < 100_000
    assert in_order(out)
    assert max(point["step"] for point in points(out)) == steps[1]


def test_an_existing_folder_on_the_command_line(finished, source, capsys):
    assert main(["train", str(source), "--out", str(finished[1])]) == OutputError.exit_code
    assert "already exists" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("wrong", "said"), [({"steps": 0}, "steps has to be above 0"), ({"drop": 1.5}, "out of range: drop=1.5")]
)
def test_settings_are_refused_before_anything_is_read(tmp_path: Path, wrong: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        ec.train(str(tmp_path / "nowhere"), out=tmp_path / "run", **wrong)
    assert not (tmp_path / "run").exists()

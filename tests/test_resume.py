"""A training that was interrupted and resumed in another process is the one that never was, bit for bit.

Run as a program, this file is that other process: `kill` trains until somebody kills it, `finish`
resumes trainings from their state files and writes down where they ended.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import ectype as ec
from ectype.errors import ModelFileError
from ectype.hardware import has_bf16
from ectype.training import loop
from ectype.training.signals import Stop
from ectype.training.state import load_state, save_state

STEPS = 24
CONV = {"network": "conv", "width": 4, "depth": 1}
MLP = {"network": "mlp", "hidden": (16,)}

# name: options of reading, of the model, of training
CASES = {
    "mlp-dropout-dynamic-given": (
        {"binarise": "dynamic", "given": "label"},
        {**MLP, "dropout": 0.4},
        {"drop": 0.5, "precision": "fp32"},
    ),
    "conv-dropout-given": (
        {"given": "label"},
        {"network": "conv", "width": 4, "depth": 1, "dropout": 0.4},
        {},
    ),
    "conv-bf16": ({"binarise": "static"}, CONV, {"precision": "bf16"}),
    "mlp-bf16-iwae": (
        {},
        {**MLP, "samples": 3},
        {"precision": "bf16", "decay": 0.1},
    ),
    "ae-fitted": ({}, {"model": "ae", **MLP, "corruption": 0.1, "hide": 0.3}, {"clip": 0.0}),
    "ae-gan": ({"given": "label"}, {"model": "ae", **MLP, "prior": "gan", "dropout": 0.2}, {"drop": 0.3}),
    "vae-flow": (
        {"given": "label"},
        {**MLP, "prior": "flow", "layers": 2, "units": 8, "share": 0.4},
        {"drop": 0.3},
    ),
    "vamp-early": (
        {},
        {**MLP, "prior": "vamp", "components": 4, "hide": 0.3},
        {"patience": 3},
    ),
}
if not has_bf16(torch.device("cpu")):
    del CASES["conv-bf16"], CASES["mlp-bf16-iwae"]


def make(case):
    """The data, a new model, and the options of training of a case."""
    reading, building, training = CASES[case]
    generator = np.random.default_rng(0)
    items = generator.integers(0, 255, (150, 9, 10), np.uint8)
    data = ec.read((items, np.arange(150) % 3), **reading)
    model = ec.build(**{"model": "vae", "data": data, "latent": 3, "seed": 3, **building})
    return data, model, {"batch": 32, "rate": 0.01, "seed": 5, "patience": 0, **training}


def train(case, state, *, until=None, by="close", resume=False):
    """Train a case, up to the step `until`; returns the model and the reports."""
    data, model, options = make(case)
    length = {} if resume else {"steps": STEPS}
    stop = Stop()
    steps = ec.fit(model, data, **options, **length, state=state, resume=resume, stop=stop)
    seen = []
    for step in steps:
        seen.append((step.number, step.select))
        if step.number == until and by == "close":
            break
        if step.number == until:
            stop.signal = signal.SIGTERM
    steps.close()
    return model, seen


def decided(state):
    """What the state holds besides the tensors, without how long it took and in how many sittings."""
    tensors, progress = load_state(state)
    timed = ("seconds", "resumed")
    kept = {k: v for k, v in vars(progress).items() if k not in timed}
    return tensors, kept | {"past": {k: v for k, v in progress.past.items() if k not in timed}}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def child(*words):
    command = [sys.executable, __file__, *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """Every case trained without interruption: the model's weights, the state file and the reports."""
    folder = tmp_path_factory.mktemp("straight")
    found = {}
    for case in CASES:
        model, seen = train(case, folder / case)
        found[case] = (model.state_dict(), decided(folder / case), dict(seen))
    return found


@pytest.fixture(scope="module")
def resumed(tmp_path_factory):
    """Every case interrupted twice at random steps here, closed and stopped, and finished elsewhere."""
    folder = tmp_path_factory.mktemp("resumed")
    chance = np.random.default_rng(7)
    for case in CASES:
        first = int(chance.integers(1, 8))
        train(case, folder / case, until=first, by="close")
        assert load_state(folder / case)[1].step == first
        train(case, folder / case, until=first + chance.integers(1, 5), by="stop", resume=True)
        assert first < load_state(folder / case)[1].step < STEPS
    done = child("finish", *(folder / case for case in CASES))
    _, errors = done.communicate(timeout=120)
    assert done.returncode == 0, errors
    return folder


@pytest.mark.parametrize("case", list(CASES))
def test_resumed_in_another_process(case, straight, resumed):
    weights, (tensors, kept), seen = straight[case]
    found = load_file(resumed / f"{case}.end")
    assert same(found, weights)
    state, decisions = decided(resumed / case)
    assert same(state, tensors)
    assert any(name.startswith("best/") for name in tensors)
    assert decisions == kept
    after = {int(k): v for k, v in json.loads((resumed / f"{case}.seen").read_text())}
    assert after
    assert after == {k: v for k, v in seen.items() if k in after}
    assert sum(part.resumed for part in load_state(resumed / case)[1].parts) == 2


def test_the_comparison_can_fail(straight, tmp_path):
    """Another seed of the noise alone, and nothing is the same any more."""
    data, model, options = make("ae-fitted")
    for _ in ec.fit(model, data, **{**options, "seed": 6}, steps=STEPS, state=tmp_path / "state"):
        pass
    assert not same(model.state_dict(), straight["ae-fitted"][0])


def test_early_stopping_is_resumed(straight):
    _, (_, kept), _ = straight["vamp-early"]
    assert kept["step"] <= STEPS
    assert kept["decisions"]["patience"] == 3


def test_killed_at_random_steps(straight, tmp_path):
    """SIGKILL, three times in one training: each next process goes on from the file the last one left."""
    case, state, chance = "mlp-dropout-dynamic-given", tmp_path / "state", np.random.default_rng(11)
    killed = []
    for _ in range(3):
        target = min((killed[-1] if killed else 0) + chance.integers(2, 6), STEPS - 2)
        done = child("kill", state, case, int(bool(killed)))
        for line in done.stdout:
            if int(line) >= target:
                os.kill(done.pid, signal.SIGKILL)
                break
        done.communicate(timeout=60)
        assert done.returncode == -signal.SIGKILL
        killed.append(load_state(state)[1].step)
    assert 0 < killed[0] < killed[-1] < STEPS, killed
    model, _ = train(case, state, resume=True)
    weights, (tensors, kept), _ = straight[case]
    assert same(model.state_dict(), weights), f"killed after steps {killed}"
    found, decisions = decided(state)
    assert same(found, tensors)
    assert decisions == kept


@pytest.mark.parametrize("case", ["ae-gan", "vae-flow"])
def test_what_a_prior_learns_by_itself_is_resumed_where_it_was(case, straight, tmp_path):
    """Its codes are made anew, of weights that the state holds."""
    weights, (tensors, kept), _ = straight[case]
    for until, by in ((19, "stop"), (21, "close")):
        train(case, tmp_path / "state", until=until, by=by, resume=until > 19)
        progress = load_state(tmp_path / "state")[1]
        assert progress.steps == until
        assert progress.step == until - progress.past["step"]
    model, _ = train(case, tmp_path / "state", resume=True)
    assert same(model.state_dict(), weights)
    state, decisions = decided(tmp_path / "state")
    assert same(state, tensors)
    assert decisions == kept


@pytest.mark.parametrize("case", ["ae-fitted", "ae-gan", "vamp-early"])
def test_resuming_a_finished_training_changes_nothing(case, straight, tmp_path):
    model, _ = train(case, tmp_path / "state")
    first = decided(tmp_path / "state")
    again, seen = train(case, tmp_path / "state", resume=True)
    assert same(again.state_dict(), straight[case][0])
    assert same(model.state_dict(), again.state_dict())
    second = decided(tmp_path / "state")
    assert same(first[0], second[0])
    assert first[1] == second[1]
    assert [number for number, _ in seen] == [load_state(tmp_path / "state")[1].steps]


def test_a_training_stopped_before_its_first_step_can_be_resumed(straight, tmp_path):
    data, model, options = make("ae-fitted")
    for step in ec.fit(
        model, data, **options, steps=STEPS, state=tmp_path / "state", stop=Stop(signal.SIGINT)
    ):
        assert step.stopped
    assert load_state(tmp_path / "state")[1].step == 0
    model, _ = train("ae-fitted", tmp_path / "state", resume=True)
    assert same(model.state_dict(), straight["ae-fitted"][0])


def test_settings_of_the_call_do_not_count_when_resuming(straight, tmp_path):
    train("ae-fitted", tmp_path / "state", until=3)
    data, model, _ = make("ae-fitted")
    for _ in ec.fit(model, data, batch=7, rate=0.5, seed=99, state=tmp_path / "state", resume=True):
        pass
    assert same(model.state_dict(), straight["ae-fitted"][0])


# what cannot be resumed


@pytest.fixture
def state(tmp_path):
    train("ae-fitted", tmp_path / "state", until=3)
    return tmp_path / "state"


def resume(state, **changed):
    data, _, options = make("ae-fitted")
    building = {"model": "ae", "latent": 3, "network": "mlp", "hidden": (16,), "prior": "fitted", **changed}
    return ec.fit(ec.build(data=data, **building), data, **options, state=state, resume=True)


@pytest.mark.parametrize(
    "changed", [{"latent": 4}, {"hidden": (16, 16)}, {"model": "vae"}, {"components": 16}, {"hidden": (17,)}]
)
def test_another_model_is_refused(state, changed):
    with pytest.raises(ModelFileError, match=r"belongs to another model or other options: \S+.* differ"):
        resume(state, **changed)


def test_no_state(tmp_path):
    with pytest.raises(ModelFileError, match="nothing to resume: .*state does not exist"):
        resume(tmp_path / "state")


@pytest.mark.parametrize("keep", [0, 5, 1000, -1])
def test_a_truncated_state(state, keep):
    state.write_bytes(state.read_bytes()[:keep])
    with pytest.raises(ModelFileError, match="state is damaged and cannot be resumed"):
        resume(state)


def test_a_state_with_other_decisions(state):
    tensors, progress = load_state(state)
    del progress.decisions["clip"]
    save_state(state, tensors, progress)
    with pytest.raises(ModelFileError, match="state is damaged and cannot be resumed"):
        resume(state)


def test_a_state_of_another_format(state, monkeypatch):
    tensors, progress = load_state(state)
    monkeypatch.setattr("ectype.training.state.FORMAT", 3)
    save_state(state, tensors, progress)
    monkeypatch.undo()
    with pytest.raises(ModelFileError, match="written by another version of ectype; start a new run"):
        resume(state)


@pytest.mark.parametrize("text", ["{", "[" * 100_000, "[]", '{"format": 2}', '{"format": 2, "steps": 3}'])
def test_a_state_with_a_strange_header(state, text):
    save_file({"x": torch.zeros(1)}, state, {"ectype_state": text})
    with pytest.raises(ModelFileError, match="state is damaged and cannot be resumed"):
        resume(state)


# the other process


def _kill(state: str, case: str, again: str) -> None:
    """Train with the state written after every step, and say each step before the next."""
    loop._SAVE_EVERY = 0.0
    loop._READ_EVERY = 0.0
    data, model, options = make(case)
    length = {} if int(again) else {"steps": STEPS}
    for step in ec.fit(model, data, **options, **length, state=state, resume=bool(int(again))):
        print(step.number, flush=True)
    signal.pause()  # the end came before the kill


def _finish(*states: str) -> None:
    for state in states:
        model, seen = train(Path(state).name, state, resume=True)
        save_file({k: v.contiguous() for k, v in model.state_dict().items()}, f"{state}.end")
        Path(f"{state}.seen").write_text(json.dumps(seen))


if __name__ == "__main__":
    {"kill": _kill, "finish": _finish}[sys.argv[1]](*sys.argv[2:])

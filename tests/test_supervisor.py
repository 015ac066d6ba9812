"""The supervisor: what it notices and does, on runs that are disturbed on purpose and on others."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

import injection  # noqa: E402

from ectype.errors import TrainingError  # noqa: E402
from ectype.jobs import events  # noqa: E402
from ectype.training.session import Session  # noqa: E402
from ectype.training.signs import Signs, unusual  # noqa: E402
from ectype.training.snapshots import Snapshots  # noqa: E402
from ectype.training.supervisor import WINDOW, Supervisor  # noqa: E402

STEPS = 1500


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def clean() -> dict[str, Any]:
    return injection.followed("none", 0, STEPS)


def test_nothing_is_noticed_where_nothing_is_wrong(clean: dict[str, Any]) -> None:
    assert clean["events"] == []


@pytest.mark.parametrize("kind", [k for k in injection.KINDS if k != "none"])
def test_a_failure_is_noticed_and_the_run_recovers(kind: str, clean: dict[str, Any]) -> None:
    found = injection.followed(kind, 0, STEPS)
    assert found["noticed"] is not None
    assert found["noticed"] <= 200
    assert found["energy"] <= 1.5 * clean["energy"] + 2 * clean["chance"]


def test_without_the_supervisor_the_same_failure_is_not_undone(
    clean: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tests above can fail: it is not the loop that recovers from a rate 1,000 times as high."""
    monkeypatch.setattr(Supervisor, "due", lambda self, step: False)
    run = injection.session(0, STEPS)
    injection.disturbed(run, "rate", clean["first"])
    while not run.finished:
        run.step()
    assert run.supervisor.now.events == []
    assert not float(run.judge(run.average) or 0) <= 1.5 * clean["energy"] + 2 * clean["chance"]


@pytest.mark.parametrize("family", ["vae", "ae", "gan", "vaegan"])
def test_families_train_on_pictures_without_an_alarm(family: str) -> None:
    run = injection.session(0, 400, family, "digits", network="mlp", hidden=(64,))
    while not run.finished:
        run.step()
    assert [e for e in run.supervisor.now.events if e["kind"] != "collapse"] == []


def exploding(steps: int, first: int) -> Session:
    """A VAE on digits whose weights are thrown far off once."""
    run = injection.session(0, steps, "vae", "digits", network="mlp", hidden=(64,), prior="normal")
    step = run.step

    def stepped() -> None:
        if run.progress.step == first and run.supervisor.now.salt == 0:
            with torch.no_grad():
                for p in run.model.encoder.parameters():
                    p += 3 * torch.randn(p.shape, generator=torch.Generator().manual_seed(0))
        step()

    run.step = stepped  # type: ignore[method-assign]
    return run


def test_a_vae_that_explodes_is_put_back() -> None:
    run = exploding(1200, 700)
    while not run.finished:
        run.step()
    acts = [e for e in run.supervisor.now.events if "action" in e]
    assert acts
    assert acts[0]["step"] - 700 <= 200
    assert acts[0]["to"] <= 700
    assert run.judge(run.average) < 1.2 * exploding_free()


def exploding_free() -> float:
    """The same run, undisturbed."""
    run = exploding(1200, -1)
    while not run.finished:
        run.step()
    assert run.supervisor.now.events == []
    return float(run.judge(run.average) or 0)


@pytest.fixture
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Posteriors that start as wide as the prior, whose latents fall silent within a few steps."""
    monkeypatch.setattr("ectype.models.vae._NARROW", 0.0)


@pytest.mark.usefixtures("wide")
def test_a_latent_that_says_nothing_is_an_event_and_nothing_is_undone() -> None:
    run = injection.session(0, 300, "vae", "digits", network="mlp", hidden=(32,), prior="normal", beta=50.0)
    while not run.finished:
        run.step()
    found = [e for e in run.supervisor.now.events if e["kind"] == "collapse"]
    assert len(found) == 1
    assert found[0]["kl"] < 0.1
    assert run.supervisor.now.salt == 0


def silenced(chosen: bool, steps: int = 300) -> Session:
    """A VAE whose latent says nothing while its KL weighs 50 times as much as it should from the start."""
    run = injection.session(0, steps, "vae", "digits", network="mlp", hidden=(32,), prior="normal", beta=50.0)
    if not chosen:
        run.model.spec["options"].pop("beta")
    return run


@pytest.mark.usefixtures("wide")
def test_a_latent_that_says_nothing_is_learned_anew() -> None:
    run = silenced(chosen=False)
    began = []
    while not run.finished:
        run.step()
        run.check_if_due()
        if run.supervisor.now.begun > len(began):
            began.append((run.progress.step, run.supervisor.now.anew))
    first, *later = [e for e in run.supervisor.now.events if e["kind"] == "collapse"]
    assert (first["action"], first["to"], first["begun"]) == ("begun anew", 0, 1)
    assert began[0] == (first["step"], pytest.approx((first["step"] - 1) / 300))
    assert all(e["begun"] == 2 for e in later) and len(began) == 1 + len(later)
    assert run.model.anew == run.supervisor.now.anew and run.model.begun == len(began)
    assert run.supervisor.now.factor == 1.0 and run.supervisor.now.rung == 0
    # what was found while it said nothing is not what is kept
    assert run.progress.best_step > first["step"]


@pytest.mark.usefixtures("wide")
def test_a_latent_that_falls_silent_again_has_free_bits() -> None:
    run = silenced(chosen=False, steps=600)
    run.supervisor.now.begun, run.supervisor.now.anew = 1, 0.05  # the first time did not help
    while not run.finished and run.supervisor.now.begun < 2:
        run.step()
    event = run.supervisor.now.events[-1]
    assert (event["action"], event["begun"]) == ("begun anew", 2)
    assert "not pressed below 0.25 nats of a dimension" in events.told(event)
    while not run.finished:
        run.step()
    batch = run.data.batch(run.data.splits["select"][:50])
    with torch.no_grad():
        kl = float(run.model.loss(batch, noise=torch.Generator().manual_seed(0)).parts["kl"].mean())
    assert kl > 0.1 * run.model.latent  # with its KL weighing 50 times as much as it should
    assert sum("action" in e for e in run.supervisor.now.events) == 1  # and no third time


def test_the_kl_weighs_nothing_at_first_where_training_began_anew() -> None:
    model = silenced(chosen=False).model
    model.anew = 0.2
    weights = []
    for share in (0.2, 0.3, 0.36, 0.52, 0.68, 1.0):
        model.progress = share
        weights.append(model.weight)
    assert weights == pytest.approx([0, 0, 0, 25, 50, 50])


@pytest.mark.usefixtures("wide")
def test_a_run_that_began_anew_is_resumed_bit_for_bit(tmp_path: Path) -> None:
    whole, half = silenced(chosen=False), silenced(chosen=False)
    while not whole.finished:
        whole.step()
    while half.progress.step < 170:
        half.step()
    assert half.supervisor.now.anew > 0
    half.save(tmp_path / "state")
    again = silenced(chosen=False)
    again.resume(tmp_path / "state")
    while not again.finished:
        again.step()
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, again.model.state_dict()[name]), name


def test_the_ladder_ends() -> None:
    run = injection.session(0, 4000)
    decoder = list(run.model.decoder.parameters())[-2]
    while not run.finished:
        run.step()
        if run.progress.step > 600:
            with torch.no_grad():
                decoder.zero_()
    events = run.supervisor.now.events
    acts = [e for e in events if "action" in e]
    assert [e["action"] for e in acts][-1] == "stopped with the best averaged weights"
    assert [e.get("rung") for e in acts] == [1, 2, 3, None]
    assert [e["rate"] for e in acts[:3]] == [0.5, 0.25, 0.0625]
    assert acts[2]["to"] == 0
    assert [e["restrained"] for e in acts[:3]] == [False, False, True]
    assert run.progress.step < run.total


def test_a_run_that_was_put_back_takes_another_way() -> None:
    run = injection.session(0, 800)
    before = run._seed
    run.supervisor.now.salt = 1
    assert run._seed != before


def test_what_happened_is_reported() -> None:
    run = injection.session(0, 100)
    assert run.report().events == ()
    run.supervisor._event(50, "act", ["quality"])
    assert run.report().events[0]["signs"] == ["quality"]


def test_switched_off_it_notes_nothing() -> None:
    supervisor = Supervisor(active=False)
    assert not supervisor.due(WINDOW)
    run = injection.session(0, 60)
    run.supervisor = supervisor
    for _ in range(60):
        run.step()
    assert supervisor.snapshots.kept == []
    assert supervisor.state()["rows"] == {}


def test_resume_knows_what_the_supervisor_knew(tmp_path: Path) -> None:
    """Also in the middle of a window, and after the run was put back."""
    path = tmp_path / "state.safetensors"
    one, other = injection.session(0, 900), injection.session(0, 900)
    for run in (one, other):
        injection.disturbed(run, "frozen", 620)
    while one.progress.step < 775:
        one.step()
    assert one.supervisor.now.salt == 1
    one.save(path)
    other.resume(path)
    for run in (one, other):
        while not run.finished:
            run.step()
    assert one.supervisor.state() == other.supervisor.state()
    mine, theirs = one.tensors(), other.tensors()
    assert all(torch.equal(mine[k], theirs[k]) for k in mine)
    assert [s.step for s in one.supervisor.snapshots.kept] == [
        s.step for s in other.supervisor.snapshots.kept
    ]


def test_a_restrained_run_stays_so_and_resumes_bit_for_bit(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    one, other = injection.session(0, 120), injection.session(0, 120)
    one.supervisor.now.restrained = True
    while one.progress.step < 75:
        one.step()
    one.save(path)
    other.resume(path)
    for run in (one, other):
        while not run.finished:
            run.step()
    mine, theirs = one.tensors(), other.tensors()
    assert all(torch.equal(mine[k], theirs[k]) for k in mine)
    free = injection.session(0, 120)
    while not free.finished:
        free.step()
    widest = [
        max(
            float(torch.linalg.matrix_norm(p.detach(), 2)) for p in run.model.player("critic") if p.dim() == 2
        )
        for run in (one, free)
    ]
    assert widest[0] < 1.1 < widest[1]


def test_a_candidate_is_not_gone_back_to() -> None:
    kept = Snapshots()
    for step in (0, 50):
        kept.take(step, {"w": torch.full((1,), float(step))})
    assert kept.newest().step == 0
    kept.passed()
    assert kept.newest().step == 0
    kept.passed()
    assert kept.newest().step == 50
    kept.take(100, {"w": torch.zeros(1)})
    kept.doubted()
    assert [s.step for s in kept.kept] == [0, 50]


def test_the_first_step_and_the_newest_are_kept() -> None:
    kept = Snapshots()
    for step in range(0, 500, 50):
        kept.take(step, {})
        kept.passed()
        kept.passed()
    assert [s.step for s in kept.kept] == [0, 400, 450]
    assert kept.newest(1).step == 400
    assert kept.newest(9).step == 0


def test_unusual_is_far_above_a_known_history() -> None:
    assert not unusual(100.0, [1.0] * 5, 1.0)  # too little is known
    assert unusual(100.0, [1.0, 1.1, 0.9] * 3, 1.0)
    assert not unusual(1.5, [1.0, 1.1, 0.9] * 3, 1.0)
    assert not unusual(-100.0, [1.0, 1.1, 0.9] * 3, 1.0)


@pytest.mark.parametrize(
    ("looks", "noticed"),
    [([], False), ([0.5, 0.5], False), ([0.8, 0.7, 0.6, 0.5], False), ([0.5, 0.5, 0.5, 0.5], True)],
)
def test_a_critic_that_wins_is_a_sign_where_nothing_gets_nearer(looks: list[float], noticed: bool) -> None:
    signs = Signs({"apart": looks})
    won = [[0.0, 1.0, 0.1, 1.0, 1.0]] * 50
    assert signs.read("critic", won, settled=True) == ({"critic"} if noticed else set())


def test_most_steps_without_a_gradient_are_a_sign_and_a_few_are_not() -> None:
    none = float("nan")
    good, bad = [0.0, 1.0, 1.0, none, none], [1.0, none, none, none, none]
    assert Signs().read("model", [bad] * 40 + [good] * 10, settled=True) == {"non-finite"}
    assert Signs().read("model", [bad] * 10 + [good] * 40, settled=True) == set()


@pytest.mark.parametrize(
    ("gradient", "penalty", "found"),
    [(1.0, 1.0, set()), (1.0, 9.0, {"penalty"}), (9.0, 1.0, {"gradient"}), (9.0, 9.0, {"gradient"})],
)
def test_a_penalty_that_leaps_is_a_sign_and_with_the_gradient_one(
    gradient: float, penalty: float, found: set[str]
) -> None:
    signs = Signs()

    def read(length: float, steep: float) -> set[str]:
        return signs.read("critic", [[0.0, 1.0, 0.1, 0.6, 1.0]] * 49 + [[0.0, length, 0.1, 0.6, steep]], True)

    for i in range(8):
        assert read(1 + 0.01 * i, 1 + 0.01 * i) == set()
    assert read(gradient, penalty) == found


@pytest.mark.parametrize(
    ("modes", "found"),
    [
        (range(8), set()),
        (range(6), set()),
        (range(0, 8, 2), {"coverage"}),
        (range(4), {"coverage", "quality"}),
    ],
)
def test_modes_that_go_are_a_sign(modes: range, found: set[str]) -> None:
    """Every second mode of the ring lies as the ring does, and is nothing that `quality` would see."""
    at = 3 * torch.tensor([[math.cos(a), math.sin(a)] for a in torch.arange(8) * math.pi / 4])
    stream = torch.Generator().manual_seed(0)

    def ring(modes: range) -> Any:
        return at[list(modes)].repeat(64, 1)[:256] + 0.1 * torch.randn(256, 2, generator=stream)

    signs, real = Signs(), ring(range(8))
    assert all(signs.look(ring(range(8)), real) == set() for _ in range(8))
    assert signs.look(ring(modes), real) == found


def test_a_generator_that_gives_up_half_of_the_modes_is_put_back(clean: dict[str, Any]) -> None:
    run = injection.session(0, STEPS)
    batch = run._batch

    def halved(at: Any) -> Any:
        found = batch(at)
        if run.progress.step < clean["first"] or run.supervisor.now.salt:
            return found
        mode = (torch.atan2(found.x[:, 1], found.x[:, 0]) / (math.pi / 4)).round()
        kept = found.x[mode % 2 == 0]
        return injection.replace(found, x=kept.repeat(9, 1)[: len(found)])

    run._batch = halved  # type: ignore[method-assign]
    while not run.finished:
        run.step()
    acts = [e for e in run.supervisor.now.events if "action" in e]
    assert acts[0]["step"] - clean["first"] <= 300
    assert acts[0]["to"] <= clean["first"] + WINDOW  # a window into it nothing was lost yet
    assert float(run.judge(run.average) or 0) <= 1.5 * clean["energy"] + 2 * clean["chance"]


def test_data_that_never_has_a_gradient_is_an_error_and_no_success() -> None:
    run = injection.session(0, 400, "vae", "digits", network="mlp", hidden=(16,))
    batch = run._batch
    run._batch = lambda at: injection.replace(batch(at), x=batch(at).x * torch.nan)  # type: ignore[method-assign]

    def drive() -> None:
        while not run.finished:
            run.step()
        run.report()

    with pytest.raises(TrainingError, match="no finite gradient"):
        drive()


BACK = {"step": 1200, "kind": "act", "signs": ["quality"], "to": 1150, "rate": 0.5}


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (
            {"step": 1200, "kind": "act", "signs": ["quality"], "to": 1150, "rate": 0.5},
            "step 1,200: made items moved away",
        ),
        (
            {"step": 1200, "kind": "act", "signs": ["quality"], "to": 1150, "rate": 0.5},
            "put back to step 1,150",
        ),
        (
            {"step": 9, "kind": "act", "signs": ["loss"], "action": "stopped here"},
            "the loss rose again; stopped here",
        ),
        ({**BACK, "restrained": True}, "and a critic whose weights are kept short"),
        ({"step": 9, "kind": "watch", "signs": ["critic"]}, "the critic won; watched, nothing was done"),
        ({"step": 9, "kind": "watch", "signs": ["coverage"]}, "parts of the data were made no more"),
        ({"step": 9, "kind": "watch", "signs": ["penalty"]}, "the critic grew steep suddenly"),
        ({"step": 9, "kind": "skipped", "signs": [], "steps": 3}, "3 steps had no finite gradient"),
        ({"step": 9, "kind": "collapse", "signs": ["posterior"], "kl": 0.01}, "try a smaller beta"),
        (
            {"step": 9, "kind": "collapse", "signs": ["posterior"], "kl": 0.01, "to": 0},
            "begun anew with a KL",
        ),
    ],
)
def test_events_in_words(event: dict[str, Any], words: str) -> None:
    assert words in events.told(event)


def test_a_run_that_was_put_back_is_never_shown_as_a_clean_one() -> None:
    back = BACK
    stopped = {"step": 1300, "kind": "act", "signs": ["quality"], "action": "stopped"}
    assert "put back once" in events.warnings([back])[0]
    assert "put back 2 times" in events.warnings([back, back])[0]
    assert "was stopped" in events.warnings([back, stopped])[1]
    assert events.warnings([]) == []

"""The loop: what moves, what is skipped, when it stops, what is kept, how long it takes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

import ectype as ec
from ectype.errors import DataError, TrainingError, UsageError
from ectype.models import Loss, Model, Stage
from ectype.training import session as sessions
from ectype.training.budget import CHECKS, best_threads, count_steps, time_steps
from ectype.training.meter import Meter
from ectype.training.order import Order
from ectype.training.player import Player
from ectype.training.session import Session
from ectype.training.signals import Stop
from ectype.training.step import Settings, schedule

CPU = torch.device("cpu")


class Point(Model):
    """One row of numbers, pulled to the data: loss(x) = |x - w|² / 2. Steps in `broken` give NaN."""

    def __init__(self, broken=(), total=1, select=None):
        super().__init__()
        self.w = nn.Parameter(torch.full((2,), 3.0))
        self.conditioner = None
        self.broken = {number / total for number in broken}
        self.judged = 0
        self.select = select

    def loss(self, batch, player="model", noise=None):
        each = 0.5 * ((batch.x - self.w) ** 2).sum(1)
        if self.training and self.progress in self.broken:
            each = each * math.nan
        if not self.training and self.select is not None:
            self.judged += 1
            each = each * 0 + self.select(self.judged)
        return Loss(each, None, {"size": (self.w**2).sum().detach()})

    def decode(self, z, context=None):
        raise NotImplementedError

    def latents(self, n, context=None):
        raise NotImplementedError


class Duel(Point):
    """Two players with one number each, and a number that nobody may move."""

    def __init__(self, still):
        super().__init__()
        self.still = still
        self.left = nn.Parameter(torch.ones(1))
        self.right = nn.Parameter(torch.ones(1))
        self.frozen = nn.Parameter(torch.ones(1), requires_grad=False)

    @property
    def stages(self):
        return (Stage("duel", ("left", "right")),)

    def player(self, name):
        return [{"left": self.left, "right": self.right}[name]]

    def loss(self, batch, player="model", noise=None):
        # both losses pull at both numbers; only the player's own may follow, and `still` has no pull
        pull = 0.0 if player == self.still else 1.0
        other = {"left": self.right, "right": self.left}[player]
        own = {"left": self.left, "right": self.right}[player]
        foreign = 100 * (other - 5) ** 2 if self.training else 0
        each = pull * own**2 + foreign + 0 * batch.x.sum(1)
        return Loss(each, None, {"own": torch.full((len(batch),), 2.0 if player == "left" else 4.0)})


@pytest.fixture(scope="module")
def rows():
    return ec.read(np.random.default_rng(0).normal(size=(200, 2)).astype(np.float32))


@pytest.fixture(scope="module")
def grey():
    return ec.read(np.random.default_rng(0).integers(0, 255, (120, 6, 6), np.uint8), binarise="dynamic")


def settings(**changed):
    usual = {"batch": 20, "rate": 0.01, "decay": 0.0, "clip": 5.0, "drop": 0.0, "half_life": 0.02}
    usual |= {"patience": 0, "precision": "fp32", "threads": None, "seed": 0}
    return Settings(**{**usual, **changed})


def run(model, data, **options):
    """All reports of a training."""
    return list(ec.fit(model, data, **{"batch": 20, "patience": 0, **options}))


# order


@pytest.mark.parametrize(("n", "batch"), [(60, 20), (65, 20), (7, 7), (40, 1)])
def test_an_epoch_takes_every_item_at_most_once(n, batch):
    indices = torch.arange(100, 100 + n)
    order = Order(indices, batch, 0)
    assert order.per_epoch == n // batch
    for epoch in (0, 3):
        steps = [order.at(epoch * order.per_epoch + i) for i in range(order.per_epoch)]
        taken = torch.cat(steps)
        assert all(len(step) == batch for step in steps)
        assert len(taken.unique()) == len(taken) == n - n % batch
        assert set(taken.tolist()) <= set(indices.tolist())


def test_items_left_out_of_one_epoch_come_up_in_others():
    order = Order(torch.arange(25), 10, 0)
    assert set(torch.cat([order.at(i) for i in range(20)]).tolist()) == set(range(25))


def test_order_depends_on_seed_and_step_alone():
    first, again, other = (Order(torch.arange(50), 10, seed) for seed in (1, 1, 2))
    steps = [3, 17, 4, 0, 123456]
    forth = {step: first.at(step).tolist() for step in steps}
    back = {step: again.at(step).tolist() for step in reversed(steps)}
    assert forth == back
    assert forth != {step: other.at(step).tolist() for step in steps}
    assert forth[3] != first.at(3 + first.per_epoch).tolist()


@pytest.mark.parametrize("n", [1, 3, 7])
def test_a_set_smaller_than_a_batch_is_one_batch(n):
    """Filling the batch with repeats cost 22 GB for 160 pictures and --batch 100000, once."""
    order = Order(torch.arange(n), 10**9, 0)
    assert sorted(order.at(5).tolist()) == list(range(n))
    assert order.per_epoch == 1


def test_a_batch_larger_than_the_data_trains(rows):
    last = run(Point(), rows, steps=3, batch=1000)[-1]
    assert last.number == 3
    assert math.isfinite(last.loss)


# players


@pytest.mark.parametrize(("still", "moved"), [("right", "left"), ("left", "right")])
def test_a_loss_moves_its_own_player_alone(rows, still, moved):
    model = Duel(still)
    run(model, rows, steps=20, rate=0.05, half_life=0)
    after = {"left": model.left.item(), "right": model.right.item()}
    assert after[still] == 1.0
    assert after[moved] < 0.9
    assert model.frozen.item() == 1.0


def test_parameters_can_be_trained_again_and_frozen_ones_stay_frozen(rows):
    model = Duel("left")
    run(model, rows, steps=2)
    assert model.left.requires_grad
    assert model.right.requires_grad
    assert not model.frozen.requires_grad


def test_reports_of_two_players_are_means_per_move(rows):
    step = run(Duel("left"), rows, steps=7)[-1]
    assert step.parts == {"left.own": 2.0, "right.own": 4.0}


def pulled(clip, sizes):
    """A player after gradients of these lengths, and how much each one counted."""
    parameter = nn.Parameter(torch.zeros(2))
    player = Player([parameter], 0.0, clip)
    counted, before = [], torch.zeros(2)
    for size in sizes:
        player.move((parameter * torch.tensor([0.6, 0.8]) * size).sum(), 0.1)
        now = player.tensors()["0.first"].clone()
        counted.append(float((now - 0.9 * before).norm() / 0.1))
        before = now
    return counted


def test_clipping_bounds_a_gradient_by_the_running_mean_of_its_length():
    counted = pulled(5.0, [2.0, 2.0, 1e6, 2.0])
    assert counted == pytest.approx([2.0, 2.0, 10.0, 2.0], rel=1e-4)
    mean = 2 + 0.02 * (10 - 2)  # what was cut off does not raise the bound
    assert pulled(5.0, [2.0, 1e6, 1e9])[2] == pytest.approx(5 * mean, rel=1e-4)


def test_without_clipping_a_gradient_counts_in_full():
    assert pulled(0.0, [2.0, 1e6]) == pytest.approx([2.0, 1e6], rel=1e-4)


def test_clipping_keeps_the_direction():
    parameter = nn.Parameter(torch.zeros(2))
    player = Player([parameter], 0.0, 1.0)
    player.move((parameter * torch.tensor([1.0, 0.0])).sum(), 0.1)
    before = player.tensors()["0.first"].clone()
    player.move((parameter * torch.tensor([300.0, 400.0])).sum(), 0.1)
    pull = player.tensors()["0.first"] - 0.9 * before
    assert (pull / pull.norm()).tolist() == pytest.approx([0.6, 0.8], rel=1e-4)


@pytest.mark.parametrize("network", ["conv", "dcgan"])
@pytest.mark.parametrize("family", ["gan", "vae", "vaegan"])
def test_a_step_is_that_of_adam_however_weights_and_gradients_lie_in_memory(family, network):
    # convolutions lie channels last, and their gradients do not where a penalty has gone through them
    data = ec.read(np.random.default_rng(0).integers(0, 256, (8, 20, 20, 3), dtype=np.uint8))
    model = ec.build(family, data, seed=0, network=network, width=8).to(memory_format=torch.channels_last)
    batch = data.batch(torch.arange(8))
    model.begin(8, batch)
    model.progress = 1.0
    for name in [*model.stages[-1].players] * 2:  # what follows a layer of zeros moves from the second on
        player = Player(model.player(name), 0.0, 0.0, betas=(0.0, 0.0))
        loss = model.loss(batch, name, torch.Generator().manual_seed(0)).total
        slopes = torch.autograd.grad(loss, player.parameters, allow_unused=True, retain_graph=True)
        # without memory Adam's step is the gradient's sign
        wanted = [
            p.detach() if g is None else p.detach() - 1e-3 * g / (g.abs() + 1e-8)
            for p, g in zip(player.parameters, slopes, strict=True)
        ]
        player.move(loss, 1e-3)
        for parameter, there in zip(player.parameters, wanted, strict=True):
            assert torch.allclose(parameter, there, atol=1e-6)


# steps that are not finite


def test_a_broken_step_moves_nothing_and_training_goes_on(rows):
    session = Session(Point(broken=[3], total=8), rows, settings(decay=0.1, half_life=0), CPU)
    session.begin(8, None, None)
    for _ in range(3):
        session.step()
    before = {k: v.clone() for k, v in session.tensors().items() if not k.startswith("average")}
    session.step()
    after = {k: v for k, v in session.tensors().items() if not k.startswith("average")}
    assert all(torch.equal(before[k], after[k]) for k in before)
    session.step()
    assert not torch.equal(before["model/w"], session.model.w)
    assert session.report().skipped == 1


def test_broken_steps_are_counted_and_left_out_of_the_means(rows):
    model = Point(broken=[1, 4], total=6)
    steps = run(model, rows, steps=6)
    assert steps[-1].skipped == 2
    assert [step.skipped for step in steps] == [0, 1, 1, 1, 2, 2]
    assert torch.isfinite(model.w).all()
    meter = Meter()
    for total, broken in ((1.0, 0.0), (math.nan, 1.0), (3.0, 0.0)):
        loss = torch.tensor(total)
        meter.add("model", loss, {"part": 10 * loss}, torch.tensor(broken))
    assert (meter.moves, meter.skipped, meter.means()) == (3, 1, {"part": 20.0, "loss": 2.0})


def test_steps_nobody_looked_at_are_in_the_state(rows, tmp_path):
    session = Session(Point(broken=[0], total=9), rows, settings(), CPU)
    session.begin(9, None, None)
    session.step()
    session.save(tmp_path / "state")
    assert sessions.load_state(tmp_path / "state")[1].skipped == 1


@pytest.mark.parametrize("steps", [5, 90, 400])
def test_training_that_is_broken_throughout_ends_with_an_error(rows, steps):
    with pytest.raises(TrainingError, match=r"no finite gradient.*lower the rate, or use precision fp32"):
        run(Point(broken=range(steps), total=steps), rows, steps=steps)


def test_training_that_breaks_half_way_is_given_up(rows):
    model = Point(broken=range(200, 600), total=600)
    with pytest.raises(TrainingError, match=r"the last 1\d\d steps .* up to step 3\d\d"):
        run(model, rows, steps=600)
    assert torch.isfinite(model.w).all()  # and what was good before is still there
    assert (model.w < 3).all()


def test_some_broken_steps_are_no_reason_to_give_up(rows):
    assert run(Point(broken=range(0, 600, 2), total=600), rows, steps=600)[-1].skipped == 300


# what is judged, kept and averaged


def test_the_best_weights_are_kept_when_a_model_gets_worse(rows):
    """The select loss is lowest at the third check."""
    model = Point(select=lambda check: abs(check - 3))
    kept = {step.number: step.model.w.clone() for step in ec.fit(model, rows, steps=12, batch=20, patience=0)}
    assert torch.equal(model.w, kept[3])
    assert not torch.equal(kept[3], kept[4])


def test_early_stop_after_as_many_checks_as_patience_allows(rows):
    steps = run(Point(select=lambda check: -check if check <= 8 else check), rows, steps=30, patience=4)
    assert steps[-1].early
    assert steps[-1].done
    assert steps[-1].number == 12
    assert [step.select for step in steps] == [float(-c if c <= 8 else c) for c in range(1, 13)]
    assert not any(step.early for step in steps[:-1])


def test_patience_zero_never_stops_early(rows):
    assert run(Point(select=float), rows, steps=30, patience=0)[-1].number == 30


def test_patience_starts_counting_after_a_fifth_of_the_run(rows):
    steps = run(Point(select=float), rows, steps=30, patience=2)
    assert steps[-1].number == 8  # steps 7 and 8 are the first with 6/30 and more behind them


def test_patience_waits_until_losses_can_be_compared(rows, monkeypatch):
    monkeypatch.setattr(Point, "settled", property(lambda self: self.progress >= 0.6))
    steps = run(Point(select=float), rows, steps=30, patience=2)
    assert steps[-1].number == 20  # 19 and 20 are the first with 18/30 and more behind them


@pytest.mark.parametrize("first", [math.nan, math.inf])
def test_a_first_check_that_is_not_finite_does_not_stay_the_best(rows, first):
    model = Point(select=lambda check: first if check == 1 else float(abs(check - 4)))
    kept = {step.number: step.model.w.clone() for step in ec.fit(model, rows, steps=6, batch=20)}
    assert torch.equal(model.w, kept[4])
    assert not torch.equal(model.w, kept[1])


def test_half_life_of_the_average(rows):
    """200 steps after the weights jump from 0 to 1, the average stands in the middle."""
    session = Session(Point(), rows, settings(half_life=0.02), CPU)
    with torch.no_grad():
        session.model.w.fill_(1)
        session.average.w.fill_(0)
    for number in range(4000, 4200):
        session.averaging.follow(number, 10_000)
    assert session.average.w.tolist() == pytest.approx([0.5, 0.5], abs=1e-5)


def test_the_average_is_short_at_the_start_and_off_at_zero(rows):
    session = Session(Point(), rows, settings(half_life=0.5), CPU)
    with torch.no_grad():
        session.model.w.fill_(1)
        session.average.w.fill_(0)
    session.averaging.follow(3, 10_000)
    assert session.average.w[0].item() == pytest.approx(1 - (4 / 13) ** 4, abs=1e-6)
    model = Point()
    last = run(model, rows, steps=5, half_life=0)[-1]
    session = Session(Point(), rows, settings(half_life=0), CPU)
    session.begin(5, None, None)
    while not session.finished:
        session.step()
    session.take_best()
    assert torch.equal(session.average.w, session.model.w)
    assert last.number == 5


def test_without_a_select_split_the_last_average_is_kept():
    data = ec.read(np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32))
    data.splits["select"] = torch.zeros(0, dtype=torch.int64)
    model = Point()
    steps = run(model, data, steps=40)
    assert all(step.select is None for step in steps)
    assert (model.w < 3).all()


# schedule, length, settings


def test_schedule_rises_as_a_line_and_falls_as_a_cosine():
    shares = [schedule(i, 10_000) for i in range(10_000)]
    assert shares[:200] == pytest.approx([(i + 1) / 200 for i in range(200)])
    assert shares[200] == 1.0
    assert shares[5100] == pytest.approx(0.505, abs=1e-6)
    assert shares[-1] == pytest.approx(0.01, abs=1e-6)
    assert all(a > b for a, b in zip(shares[200:], shares[201:], strict=False))
    assert schedule(499, 10**6) == 1.0
    assert schedule(0, 1) == 1.0


def test_the_length_is_counted_once():
    assert count_steps(7, None, None, 10, pytest.fail) == 7
    assert count_steps(None, 2.5, None, 10, pytest.fail) == 25
    assert count_steps(None, 0.001, None, 10, pytest.fail) == 1
    assert count_steps(None, None, 2.0, 10, lambda seconds: int(seconds)) == 120
    assert count_steps(None, None, None, 10, lambda seconds: int(seconds)) == 300


@pytest.mark.parametrize(
    ("length", "message"),
    [
        ((5, 1.0, None), "give one of steps, epochs and minutes, not steps and epochs"),
        ((5, 1.0, 1.0), "not steps and epochs and minutes"),
        ((0, None, None), "steps has to be above 0"),
        ((None, -1.0, None), "epochs has to be above 0"),
        ((None, None, math.nan), "minutes has to be above 0"),
        ((10**9, None, None), "got 1000000000"),
    ],
)
def test_one_positive_length(length, message, rows):
    with pytest.raises(UsageError, match=message):  # by the call, not by the first step
        ec.fit(Point(), rows, **dict(zip(("steps", "epochs", "minutes"), length, strict=True)))


@pytest.mark.parametrize(
    "wrong",
    [
        {"rate": 0.0},
        {"rate": math.nan},
        {"batch": 0},
        {"drop": 1.0},
        {"clip": -1.0},
        {"patience": -1},
        {"threads": 0},
    ],
)
def test_settings_out_of_range(wrong, rows):
    name, value = next(iter(wrong.items()))
    with pytest.raises(UsageError, match=f"out of range: {name}={value}"):
        ec.fit(Point(), rows, steps=1, **wrong)


def test_resume_needs_a_file(rows):
    with pytest.raises(UsageError, match="resume needs the file"):
        ec.fit(Point(), rows, steps=1, resume=True)


def test_an_empty_train_split(rows):
    data = ec.read(np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32))
    data.splits["train"] = torch.zeros(0, dtype=torch.int64)
    with pytest.raises(DataError, match="nothing to train on"):
        ec.fit(Point(), data, steps=1)


def test_time_becomes_steps(monkeypatch):
    """A step takes 0.1 s after three slow ones, a check 1 s after a slow one: of 200 s, 30 are set aside."""
    now, checked = [0.0], [0]
    monkeypatch.setattr("ectype.training.budget.time.perf_counter", lambda: now[0])

    def step(number):
        now[0] += 5.0 if number < 3 else 0.1

    def check():
        checked[0] += 1
        now[0] += 4.0 if checked[0] == 1 else 1.0

    steps = time_steps(step, check, lambda: None, 200.0)
    spent = 3 * 5 + 2.0 + 4.0 + 1.0
    assert steps == pytest.approx((200 - spent - CHECKS) / 0.1, abs=3)


def test_time_is_read_after_the_device_has_finished(monkeypatch):
    """Steps that are only queued cost nothing until somebody waits."""
    now, queued = [0.0], [0.0]
    monkeypatch.setattr("ectype.training.budget.time.perf_counter", lambda: now[0])

    def step(number):
        now[0] += 0.01
        queued[0] += 0.09

    def wait():
        now[0] += queued[0]
        queued[0] = 0.0

    assert time_steps(step, lambda: None, wait, 100.0) <= 1000


def test_too_little_time_is_one_step():
    assert time_steps(lambda i: None, lambda: None, lambda: None, 0.0) == 1


def test_minutes_change_the_number_of_steps_and_nothing_else(grey):
    def trained(**length):
        model = ec.build("vae", grey, network="mlp", latent=2, hidden=(8,), dropout=0.3)
        steps = run(model, grey, **length)
        return model.state_dict(), steps[-1].total

    weights, total = trained(minutes=0.015)
    again, same = trained(steps=total)
    assert same == total > 1
    assert all(torch.equal(again[k], v) for k, v in weights.items())


def test_the_trial_leaves_the_model_as_it_was(rows):
    session = Session(Point(), rows, settings(), CPU)
    before = {k: v.clone() for k, v in session.tensors().items()}
    session.begin(None, None, 0.003)
    assert all(torch.equal(before[k], v) for k, v in session.tensors().items())
    assert session.progress.step == session.progress.skipped == 0


# the generator


def test_a_generator_closed_early_leaves_a_usable_model(grey):
    model = ec.build("vae", grey, network="mlp", latent=2, hidden=(8,))
    steps = ec.fit(model, grey, steps=40, batch=20)
    last = next(step for step in steps if step.number >= 10)
    best = last.model.state_dict()
    steps.close()
    assert not model.training
    assert model.progress == 1.0
    assert all(p.requires_grad for p in model.parameters())
    assert all(torch.equal(best[k], v) for k, v in model.state_dict().items())
    assert len(ec.sample(ec.Run.of(model, grey), 2)) == 2


def test_a_stop_ends_after_the_step_and_says_so(rows):
    stop = Stop()
    seen = []
    for step in ec.fit(Point(), rows, steps=20, batch=20, stop=stop):
        seen.append(step)
        if step.number == 5:
            stop.signal = 15
    assert seen[-1].number == 5
    assert seen[-1].stopped
    assert not seen[-1].done
    assert stop.exit_code == 143


def test_a_stopped_autoencoder_can_be_drawn_from_and_goes_on_as_if_nothing_had_been(grey, tmp_path):
    def begun():
        return ec.build("ae", grey, network="mlp", latent=2, hidden=(8,))

    whole, halted = begun(), begun()
    run(whole, grey, steps=20)
    stop, state = Stop(), tmp_path / "state.safetensors"
    for step in ec.fit(halted, grey, steps=20, batch=20, stop=stop, state=state):
        stop.signal = 2 if step.number >= 5 else 0
    assert step.stopped and bool(halted.prior.ready)
    *_, last = ec.fit(halted, grey, state=state, resume=True)
    assert last.done
    assert all(torch.equal(value, halted.state_dict()[name]) for name, value in whole.state_dict().items())


def test_a_few_items_of_a_split_are_drawn_at_random_once_each(grey):
    few = torch.cat([batch.index for batch in grey.batches("train", 7, seed=1, few=15)])
    assert len(set(few.tolist())) == 15 and set(few.tolist()) < set(grey.splits["train"].tolist())
    assert not torch.equal(few, grey.splits["train"][:15])
    whole = torch.cat([batch.index for batch in grey.batches("train", 7, seed=1, few=10**6)])
    assert torch.equal(whole, grey.splits["train"])


def test_a_misspelt_keyword_is_named(rows):
    with pytest.raises(UsageError, match="fit takes no 'minuts'; did you mean 'minutes'?"):
        ec.fit(Point(), rows, minuts=3)


def test_a_repeated_training_gives_the_same_weights_whatever_the_process_generator(grey):
    found = []
    for seed in (0, 99):
        model = ec.build("vae", grey, network="mlp", latent=2, hidden=(8,), dropout=0.3, seed=1)
        torch.manual_seed(seed)
        run(model, grey, steps=6, seed=2)
        found.append(model.state_dict())
    assert all(torch.equal(found[0][k], found[1][k]) for k in found[0])


def test_noise_and_drawn_pictures_are_new_at_every_step(grey):
    class Drawn(Point):
        def loss(self, batch, player="model", noise=None):
            if self.training:
                seen.append(
                    (batch.x.sum().item(), torch.rand(1, generator=noise).item(), torch.rand(1).item())
                )
            return Loss((self.w**2).sum() + 0 * batch.x.flatten(1).sum(1))

    seen: list[tuple[float, ...]] = []
    grey.splits["train"], whole = grey.splits["train"][:1], grey.splits["train"]
    run(Drawn(), grey, steps=6, batch=1)  # one and the same picture
    grey.splits["train"] = whole
    for numbers in zip(*seen, strict=True):
        assert len(set(numbers)) >= 4


def test_warm_up_and_schedules_see_the_progress(rows):
    class Watched(Point):
        def loss(self, batch, player="model", noise=None):
            if self.training:
                seen.append(self.progress)
            return super().loss(batch, player, noise)

    seen: list[float] = []
    run(Watched(), rows, steps=4)
    assert seen == [0.0, 0.25, 0.5, 0.75]


def test_stages_share_the_steps(rows):
    class Staged(Duel):
        @property
        def stages(self):
            return (Stage("one", ("left",), 0.25), Stage("two", ("right",), 0.75), Stage("fit", ()))

        def loss(self, batch, player="model", noise=None):
            if self.training:
                moved.append(player)
            return super().loss(batch, player, noise)

        def settle(self, train, select):
            settled.append(sum(len(batch) for batch in train))

    moved: list[str] = []
    settled: list[int] = []
    run(Staged("none"), rows, steps=8)
    assert moved == ["left"] * 2 + ["right"] * 6
    assert settled == [len(rows.splits["train"])]


def test_the_faster_number_of_threads_is_kept():
    before = torch.get_num_threads()
    speed = {1: 10.0, before + 1: 4.0}
    asked = []

    def steps_in(seconds: float) -> int:
        asked.append(torch.get_num_threads())
        return int(seconds * speed[torch.get_num_threads()])

    try:
        assert best_threads(list(speed), steps_in, 100.0) in (999, 1000)
        assert torch.get_num_threads() == 1
        assert asked == [1, before + 1]
    finally:
        torch.set_num_threads(before)

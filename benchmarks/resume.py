"""A run killed with SIGKILL after 10 random steps and resumed each time: the weights, bit for bit.

    ./dev bench resume [--seed 0] [--again]

A child process trains with a state file and kills itself right after a drawn step; the next child
resumes from the last state that was written, some steps before. The end is compared with a run
that nobody interrupted: weights, averaged weights and optimiser, every byte of the state.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from _record import measure, options

NAME = "resume"
STEPS, KILLS = 1500, 10
PROTOCOL = f"digits, vae, mlp, {STEPS} steps; SIGKILL right after each of {KILLS} drawn steps, then resumed"


def child(state: str, kill: int) -> None:
    """Train or go on; after step `kill` (0: never) the process ends as by a power cut."""
    from ectype import build, read
    from ectype.training import loop
    from ectype.training.session import Session

    # by default the state is written every half minute, which is longer than this whole run
    loop._SAVE_EVERY = 0.2
    step = Session.step

    def deadly(session: Session) -> None:
        step(session)
        if session.progress.step == kill:
            os.kill(os.getpid(), signal.SIGKILL)

    Session.step = deadly  # type: ignore[method-assign]
    data = read("digits")
    model = build("vae", data, network="mlp")
    for _ in loop.fit(
        model, data, steps=STEPS, batch=32, state=state, resume=Path(state).exists(), patience=0
    ):
        pass


def trained(state: Path, kills: list[int]) -> list[int]:
    """Run to the end through all the kills; the steps at which it was taken up again."""
    taken_up = []
    for kill in [*kills, 0]:
        if state.exists():
            taken_up.append(step_of(state))
        done = subprocess.run([sys.executable, __file__, "child", str(state), str(kill)], check=False)
        expected = -signal.SIGKILL if kill else 0
        if done.returncode != expected:
            raise SystemExit(f"the child for step {kill} ended with {done.returncode}, not {expected}")
    return taken_up


def header(state: Path) -> dict[str, object]:
    """What the state says of itself."""
    with state.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        known: dict[str, object] = json.loads(json.loads(file.read(size))["__metadata__"]["ectype_state"])
    return known


def step_of(state: Path) -> int:
    """The step at which a state was written."""
    return int(str(header(state)["step"]))


def digest(state: Path) -> str:
    """One hash of every tensor in the state, by name: weights, average, best, optimiser."""
    from safetensors import safe_open

    found = hashlib.sha256()
    with safe_open(state, "np") as file:
        for name in sorted(file.keys()):
            found.update(name.encode() + file.get_tensor(name).tobytes())
    return found.hexdigest()


def figures(seed: int) -> dict[str, object]:
    """Whether both ends are the same, and where the run was killed and taken up."""
    kills = sorted(random.Random(seed).sample(range(1, STEPS), KILLS))  # noqa: S311
    with tempfile.TemporaryDirectory() as folder:
        whole, broken = Path(folder, "whole.safetensors"), Path(folder, "broken.safetensors")
        trained(whole, [])
        taken_up = trained(broken, kills)
        same = digest(whole) == digest(broken)
        resumed = header(broken)["resumed"]
    return {"identical": same, "killed_after": kills, "taken_up_at": taken_up, "resumed": resumed}


def main() -> None:
    """Measure once."""
    asked = options(__doc__, seed=0)
    line = measure(NAME, {"seed": asked.seed}, PROTOCOL, lambda: figures(asked.seed), again=asked.again)
    if not line["figures"]["identical"]:
        raise SystemExit("the resumed run differs from the whole one")


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        child(sys.argv[2], int(sys.argv[3]))
    else:
        main()

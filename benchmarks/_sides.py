"""The two sides of a comparison: each measurement is a fresh process that prints its figures as JSON.

The peer lives in an environment of its own, so that neither side sees the other's packages:

    python -m venv /tmp/peer/venv
    /tmp/peer/venv/bin/pip install torch==2.13.0 pythae==0.1.2
    /tmp/peer/venv/bin/pip install --no-deps torchgan==0.1.0
    ECTYPE_PEER_PYTHON=/tmp/peer/venv/bin/python        (the default)
    git clone https://github.com/timbmg/Sentence-VAE /tmp/peer/Sentence-VAE
    ECTYPE_SENTENCE_VAE=/tmp/peer/Sentence-VAE          (the default)
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SCRIPTS = {
    "ectype": "_ours.py",
    "pythae": "peer_pythae.py",
    "sentence-vae": "peer_sentence_vae.py",
    "torchgan": "peer_torchgan.py",
}


def python_of(side: str) -> str:
    """The interpreter of a side; ends the program with how to make the peer's when it is not there."""
    if side == "ectype":
        return sys.executable
    path = Path(os.environ.get("ECTYPE_PEER_PYTHON") or "/tmp/peer/venv/bin/python")  # noqa: S108
    if not path.is_file():
        raise SystemExit(
            f"{path} is not there. The peer needs an environment:\n{(__doc__ or '').partition(':')[2]}"
        )
    return str(path)


def run(side: str, threads: int, task: str, **settings: Any) -> dict[str, Any]:
    """The figures of one task by one side in a process of its own with that many threads."""
    script = HERE / SCRIPTS[side]
    # set from outside for both, so that no library of either side starts with another number
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    words = [python_of(side), str(script), task, json.dumps({**settings, "threads": threads})]
    done = subprocess.run(words, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)} failed:\n{done.stderr[-3000:]}")
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures

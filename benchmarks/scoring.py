"""Importance-weighted bound, 10,000 test images, K = 1,000, against Pythae's `get_nll` on the same weights.

    ./dev bench scoring [--rounds 3] [--threads 2] [--items 10000] [--again]

Both sides score one 784-400-40 VAE, so their numbers have to agree. bf16 counts as a speed only where
it moves the mean by no more than 0.01 nat.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

from _record import measure, options
from _sides import run

NAME = "scoring"
SAMPLES = 1000
SIDES = {"pythae": {}, "ectype fp32": {"precision": "fp32"}, "ectype bf16": {"precision": "bf16"}}
PROTOCOL = (
    "{items} static MNIST test items, K = 1000, 784-400-40 after 2,500 steps; sides in turn, fresh processes"
)


def main() -> None:
    """Measure all rounds that are missing and print the ratios."""
    asked = options(__doc__, rounds=3, threads=2, items=10_000)
    found: dict[str, list[dict[str, float]]] = {label: [] for label in SIDES}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.npz"

        def score(label: str) -> dict[str, float]:
            if not path.exists():
                run("ectype", 1, "weights", path=str(path), steps=2500)
            settings = {"path": str(path), "items": asked.items, "samples": SAMPLES, **SIDES[label]}
            return run(label.partition(" ")[0], asked.threads, "score", **settings)

        for number in range(asked.rounds):
            for label in SIDES:
                line = measure(
                    NAME,
                    {"side": label, "threads": asked.threads, "round": number},
                    PROTOCOL.format(items=asked.items),
                    lambda label=label: score(label),
                    again=asked.again,
                )
                found[label].append(line["figures"])
    peer = statistics.median(f["seconds"] for f in found["pythae"])
    exact = statistics.median(f["nll"] for f in found["ectype fp32"])
    for label, figures in found.items():
        seconds = statistics.median(f["seconds"] for f in figures)
        off = statistics.median(f["nll"] for f in figures) - exact
        print(f"{label:12} {seconds:8.1f} s   {peer / seconds:.2f} x   nll off by {off:+.4f}")


if __name__ == "__main__":
    main()

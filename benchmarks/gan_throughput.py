"""A critic's and a generator's step of a DCGAN, 32 x 32 x 3, batch 64, against torchgan 0.1.0 in turn.

    ./dev bench gan_throughput [--rounds 3] [--threads 1] [--again]

The same networks, layer for layer (torchgan's DCGANGenerator and DCGANDiscriminator, step_channels 64,
without batch norm), the same loss (non-saturating), optimiser (Adam 2e-4, 0.5, 0.999) and batch. No penalty,
no averaging, no clipping on our side, as there is none on the other. Three steps are left out at the start
of both. The peer's environment: `_sides.py`, and `pip install --no-deps torchgan==0.1.0` in it.
"""

from __future__ import annotations

import statistics

from _record import measure, options
from _sides import run

NAME = "gan_throughput"
SETTINGS = {"steps": 40, "batch": 64}
PROTOCOL = "critic and generator step, DCGAN 32 x 32 x 3 of 64 channels, batch 64, 40 steps; in turn"


def main() -> None:
    """Measure all rounds that are missing and print the ratio."""
    asked = options(__doc__, rounds=3, threads=1)
    found: dict[str, list[float]] = {"torchgan": [], "ectype": []}
    parameters = set()
    for number in range(asked.rounds):
        for side, times in found.items():
            line = measure(
                NAME,
                {"side": side, "threads": asked.threads, "round": number},
                PROTOCOL,
                lambda side=side: run(side, asked.threads, "game", case="dcgan", **SETTINGS),
                again=asked.again,
            )
            times.append(line["figures"]["ms_per_step"])
            parameters.add(line["figures"]["parameters"])
    if len(parameters) != 1:
        raise SystemExit(f"the sides train different networks, of {sorted(parameters)} parameters")
    peer, ours = (statistics.median(found[side]) for side in ("torchgan", "ectype"))
    print(f"torchgan {peer:.1f} ms, ectype {ours:.1f} ms a step: {peer / ours:.2f} x")


if __name__ == "__main__":
    main()

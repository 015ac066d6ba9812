"""Training throughput against Pythae 0.1.2: same net, batch, data, optimiser and threads, in turn A B A B.

    ./dev bench throughput [--rounds 3] [--threads 2] [--again]

Wall clock of the whole training call: per-epoch work, data loading and steps; not imports and reading
the data. Validation is off on both sides; ectype's averaging and clipping, which Pythae has not, too.
"""

from __future__ import annotations

import statistics

from _record import measure, options
from _sides import run

NAME = "throughput"
SETTINGS = {
    "mlp": {"items": 50_000, "epochs": 2},
    "conv": {"items": 2_000, "epochs": 1},
}
SIDES = {
    "mlp": {"pythae": ("pythae", "mlp"), "ectype": ("ectype", "mlp")},
    "conv": {
        "pythae": ("pythae", "conv"),
        "ectype": ("ectype", "conv"),
        "ectype, convolutions of PyTorch": ("ectype", "conv-plain"),
    },
}
PROTOCOL = (
    "{items} static MNIST items, {epochs} epochs, batch 100, Adam 1e-4; sides in turn, each a fresh process"
)


def main() -> None:
    """Measure all rounds that are missing and print the ratios."""
    asked = options(__doc__, rounds=3, threads=2)
    for case, sides in SIDES.items():
        found: dict[str, list[float]] = {label: [] for label in sides}
        parameters = set()
        for number in range(asked.rounds):
            for label, (side, net) in sides.items():
                line = measure(
                    NAME,
                    {"case": case, "side": label, "threads": asked.threads, "round": number},
                    PROTOCOL.format(**SETTINGS[case]),
                    lambda side=side, net=net, case=case: run(
                        side, asked.threads, "train", case=net, batch=100, rate=1e-4, **SETTINGS[case]
                    ),
                    again=asked.again,
                )
                found[label].append(line["figures"]["ms_per_step"])
                parameters.add(line["figures"]["parameters"])
        if len(parameters) != 1:
            raise SystemExit(
                f"{case}: the sides train different networks, of {sorted(parameters)} parameters"
            )
        peer = statistics.median(found["pythae"])
        for label, times in found.items():
            ours = statistics.median(times)
            print(f"{case:5} {label:55} {ours:9.2f} ms/step   {peer / ours:.2f} x")


if __name__ == "__main__":
    main()

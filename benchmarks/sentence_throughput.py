"""A training step of a GRU-VAE of sentences against Sentence-VAE's published loop, in turn.

    ./dev bench sentence_throughput [--rounds 3] [--threads 1] [--again]

The peer is timbmg/Sentence-VAE, its `train.py` unchanged (`peer_sentence_vae.py` says what stands in for its
reader and its log), at its own sizes: embedding 300, GRU 256, latent 16, dropout 0.5, batch 32, Adam 1e-3.
The same here, layer for layer, and beside it ectype's network of as many units: two embeddings of 256, an
encoder in both directions, z at every step. Captions of COCO by words, the same numbers on both sides.
Processor time of the loops without their first three steps: with one thread on an idle machine that is what
the clock shows.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

from _record import measure, options
from _sides import run

NAME = "sentence_throughput"
SIZES = {"embedding_size": 300, "hidden_size": 256, "latent_size": 16}
SETTINGS = {"steps": 30, "batch": 32, "rate": 1e-3, **SIZES}
SIDES = {
    "Sentence-VAE": ("sentence-vae", {"embedding_dropout": 0.5}),
    "ectype": ("ectype", {"case": "same"}),
    "ectype, recurrent of 256 units": ("ectype", {"case": "own"}),
}
PROTOCOL = (
    "training step of {batch} COCO captions by words, GRU 256, embedding 300, latent 16, Adam 1e-3, "
    "{steps} steps; processor time; sides in turn, each a fresh process"
)


def main() -> None:
    """Measure all rounds that are missing and print the ratios."""
    asked = options(__doc__, rounds=3, threads=1)
    found: dict[str, list[float]] = {label: [] for label in SIDES}
    parameters = {}
    with tempfile.TemporaryDirectory() as place:
        path = str(Path(place) / "texts.npz")
        run("ectype", asked.threads, "texts", path=path, items=SETTINGS["batch"] * (SETTINGS["steps"] + 5))
        for number in range(asked.rounds):
            for label, (side, more) in SIDES.items():
                line = measure(
                    NAME,
                    {"side": label, "threads": asked.threads, "round": number},
                    PROTOCOL.format(**SETTINGS),
                    lambda side=side, more=more: run(
                        side, asked.threads, "sentences", path=path, **SETTINGS, **more
                    ),
                    again=asked.again,
                )
                found[label].append(line["figures"]["cpu_ms_per_step"])
                parameters[label] = line["figures"]["parameters"]
    if parameters["ectype"] != parameters["Sentence-VAE"]:
        raise SystemExit(f"the sides train different networks: {parameters}")
    peer = statistics.median(found["Sentence-VAE"])
    for label, times in found.items():
        ours = statistics.median(times)
        print(f"{label:32} {ours:8.1f} ms/step   {peer / ours:.2f} x   {parameters[label]:,} parameters")


if __name__ == "__main__":
    main()

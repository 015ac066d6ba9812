"""The lower half of digits filled from the upper one, beside 5 nearest neighbours and extremely random trees.

    ./dev bench inpainting [--seeds 1] [--mnist 0] [--threads 1] [--again]

RMSE on the hidden pixels, in [0, 1]. The model learned to fill holes of every sort; its rivals were fitted to
this very hole. RMSE rewards blur, so the best of 10 fills, how often a classifier sees the right digit in the
completed picture, and how far fills lie from each other stand beside it.
"""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import torch
from _record import measure, options
from _sources import folder
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.neighbors import KNeighborsRegressor
from sklearn.svm import SVC

from ectype.assembly import build
from ectype.data.data import Data
from ectype.data.reading import read
from ectype.jobs.inpaint import fills_of
from ectype.jobs.inputs import Items
from ectype.kinds.holes import side
from ectype.metrics.fills import fills
from ectype.runs import Run
from ectype.training.loop import fit

NAME = "inpainting"
STEPS, DRAWS, BEST = 11_000, 50, 10  # with a budget in minutes a busy machine has fewer steps
MODEL = {"network": "mlp", "hidden": (512, 512), "latent": 32, "prior": "normal", "dropout": 0.4}
FIT = {"batch": 100, "rate": 2e-3, "decay": 0.05, "drop": 0.0}
PROTOCOL = f"lower half, vae --given known, {MODEL}, {FIT}, {STEPS:,} steps, mean of {DRAWS} fills"

Array = np.ndarray[Any, Any]


def source(name: str, seed: int) -> Data:
    """The data with its splits: digits 70/30, or 5,000 and 1,000 of MNIST."""
    data = read("digits" if name == "digits" else str(folder("mnist")), given="known")
    random = np.random.default_rng(seed)
    if name == "digits":
        order = random.permutation(len(data))
        train, test = np.split(order, [round(0.7 * len(data))])
    else:
        train = random.permutation(data.splits["train"].numpy())[:5000]
        test = data.splits["test"].numpy()[:1000]
    parts = {"select": train[:0], "train": train, "test": test}  # nothing is chosen: all of train is learned
    data.splits |= {part: torch.from_numpy(np.sort(at)) for part, at in parts.items()}
    return data


def pictures(data: Data, split: str) -> tuple[Array, Array]:
    """Pictures (N, H, W) in [0, 1] and labels (N,) of a split."""
    at = data.splits[split]
    if data.labels is None:
        raise SystemExit("these pictures have no labels")
    return data.store.gather(at)[:, 0].numpy() / data.kind.white, data.labels[at].numpy()  # type: ignore[attr-defined]


def work(name: str, seed: int, threads: int) -> dict[str, Any]:
    """Train, fill, and measure the same of the rivals."""
    torch.set_num_threads(threads)
    data = source(name, seed)
    model = build("vae", data, seed=seed, **MODEL)
    began = time.perf_counter(), time.process_time()
    *_, last = fit(model, data, steps=STEPS, threads=threads, seed=seed, device="cpu", **FIT)
    spent = time.perf_counter() - began[0], time.process_time() - began[1]
    x, labels = pictures(data, "train")
    truth, wanted = pictures(data, "test")
    hole = side("lower", truth.shape[1:])
    made = fills_of(Run.of(model, data), Items(data, data.splits["test"], "test"), ~hole, DRAWS, seed=seed)
    made = torch.where(hole, made, torch.from_numpy(truth)[:, None].to(made))
    true = torch.from_numpy(truth)[:, None]
    judge = SVC(C=10).fit(x.reshape(len(x), -1), labels)

    def agrees(done: Array) -> float:
        return float((judge.predict(done.reshape(len(wanted), -1)) == wanted).mean())

    mean, _, apart = fills(true, made, hole)
    figures = {
        "rmse": mean.value,
        "rmse_error": mean.error,
        "rmse_one": math.sqrt(float((made[0] - true)[..., hole].square().mean())),
        "rmse_best_of_10": fills(true, made[:BEST], hole)[1].value,
        "apart": apart.value,
        "agreement_true": agrees(truth),
        "agreement_one": agrees(made[0].numpy()),
        "agreement_mean": agrees(made.mean(0).numpy()),
    }
    hidden = hole.numpy()
    for label, rival in rivals(seed):
        done = truth.copy()
        done[:, hidden] = rival.fit(x[:, ~hidden], x[:, hidden]).predict(truth[:, ~hidden])
        figures[f"rmse_{label}"] = math.sqrt(float(np.square(done - truth)[:, hidden].mean()))
        figures[f"agreement_{label}"] = agrees(done)
    figures |= {"steps": last.number, "items": len(truth)}
    rounded = {k: round(v, 4) if isinstance(v, float) else v for k, v in figures.items()}
    return rounded | {"train_seconds": round(spent[0], 1), "train_cpu_seconds": round(spent[1], 1)}


def rivals(seed: int) -> list[tuple[str, Any]]:
    """Regressors from the known pixels to the hidden ones, as scikit-learn has them."""
    return [("knn", KNeighborsRegressor(5)), ("trees", ExtraTreesRegressor(random_state=seed))]


def main() -> None:
    """Measure every seed that is missing, of digits and with --mnist 1 of MNIST too."""
    asked = options(__doc__, seeds=1, mnist=0, threads=1)
    for name in ("digits", "mnist")[: 1 + asked.mnist]:
        for seed in range(asked.seeds):
            measure(
                NAME,
                {"data": name, "seed": seed, "threads": asked.threads},
                PROTOCOL,
                lambda name=name, seed=seed: work(name, seed, asked.threads),
                again=asked.again,
            )


if __name__ == "__main__":
    main()

"""Generative models of your own data, with numbers that can be trusted.

    import ectype as ec

    data = ec.read("photos/")                       # kind inferred
    model = ec.build("vae", data, latent=32)        # a plain nn.Module
    for step in ec.fit(model, data, minutes=3):     # a generator: log, draw or stop as you like
        print(step)
    run = ec.Run.of(model, data).save("runs/photos")
    photos = ec.sample(run, 16, seed=7)             # 16 PIL images

Every name below is imported on its first use, so `import ectype` costs no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# No module directly in this folder may carry one of these names: importing a submodule binds it here,
# and `ectype.build` would be the function at first and the module later.
_PLACES = {
    "Batch": "data.batch",
    "Data": "data.data",
    "EctypeError": "errors",
    "Run": "runs",
    "build": "assembly",
    "classify": "jobs.classify",
    "complete": "jobs.complete",
    "decode": "jobs.decode",
    "edit": "jobs.edit",
    "encode": "jobs.encode",
    "evaluate": "jobs.evaluate",
    "fit": "training.loop",
    "forecast": "jobs.impute",
    "impute": "jobs.impute",
    "inpaint": "jobs.inpaint",
    "interpolate": "jobs.interpolate",
    "invert": "jobs.invert",
    "load": "runs",
    "read": "data.reading",
    "reconstruct": "jobs.reconstruct",
    "report": "jobs.report",
    "sample": "jobs.sample",
    "train": "jobs.train",
    "translate": "jobs.translate",
}

__all__ = ["__version__", *_PLACES]


def __getattr__(name: str) -> Any:
    """A public name, imported on first use and kept."""
    if name not in _PLACES:
        raise AttributeError(f"module 'ectype' has no attribute '{name}'")
    value = getattr(import_module(f"ectype.{_PLACES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names, whether or not they were used yet."""
    return sorted({*globals(), *__all__})

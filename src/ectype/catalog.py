"""Every name a user can type, and where it lives.

A new part is one new file and one line here. The values are strings, so importing this module
imports nothing: the command line lists models and draws its help without loading torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ectype.errors import UsageError, did_you_mean

KINDS = {
    "attributes": "kinds.attributes:Attributes",
    "derived": "kinds.derived:Derived",
    "embedded": "kinds.embedded:Embedded",
    "image": "kinds.image:Image",
    "label": "kinds.label:Label",
    "record": "kinds.record:Record",
    "series": "kinds.series:Series",
    "text": "kinds.text:Text",
    "vector": "kinds.vector:Vector",
}
LIKELIHOODS = {
    "bernoulli": "likelihoods.bernoulli:Bernoulli",
    "categorical": "likelihoods.categorical:Categorical",
    "gumbel": "likelihoods.gumbel:Gumbel",
    "laplace": "likelihoods.laplace:Laplace",
    "logistic": "likelihoods.logistic:DiscretizedLogisticMixture",
    "normal": "likelihoods.normal:Normal",
    "point": "likelihoods.point:Point",
    "product": "likelihoods.product:Product",
}
NETWORKS = {
    "conv": "networks.conv",
    "dcgan": "networks.dcgan",
    "joint": "networks.joint",
    "mlp": "networks.mlp",
    "recurrent": "networks.recurrent",
    "sequence": "networks.sequence",
    "transformer": "networks.transformer",
    "causal": "networks.causal",
}
PRIORS = {
    "fitted": "priors.fitted:Fitted",
    "flow": "priors.flow:Flow",
    "gan": "priors.generated:Generated",
    "mixture": "priors.mixture:Mixture",
    "normal": "priors.normal:StandardNormal",
    "vamp": "priors.mixture:VampPrior",
}
MODELS = {
    "ae": "models.ae:AE",
    "gan": "models.gan:GAN",
    "lm": "models.lm:LM",
    "vae": "models.vae:VAE",
    "vaegan": "models.vaegan:VAEGAN",
}
METRICS = {
    "activity": "metrics.activity:activity",
    "agreement": "metrics.agreement:agreement",
    "bounds": "metrics.bounds:bounds",
    "calibration": "metrics.calibration:calibration",
    "conditions": "metrics.conditions:gaps",
    "discriminative": "metrics.timegan:discriminative",
    "diversity": "metrics.diversity:diversity",
    "fidelity": "metrics.fidelity:fidelity",
    "fills": "metrics.fills:fills",
    "generation": "metrics.generation:generation",
    "judge": "metrics.judge:judge",
    "likeness": "metrics.likeness:likeness",
    "pairing": "metrics.pairing:pairing",
    "predictive": "metrics.timegan:predictive",
    "probes": "metrics.probes:probes",
    "reading": "metrics.reading:reading",
    "series": "metrics.series:series",
    "spectrum": "metrics.spectrum:spectrum",
    "texts": "metrics.texts:texts",
}
JOBS = {
    "train": "jobs.train:train",
    "sample": "jobs.sample:sample",
    "classify": "jobs.classify:classify",
    "encode": "jobs.encode:encode",
    "decode": "jobs.decode:decode",
    "reconstruct": "jobs.reconstruct:reconstruct",
    "interpolate": "jobs.interpolate:interpolate",
    "edit": "jobs.edit:edit",
    "inpaint": "jobs.inpaint:inpaint",
    "translate": "jobs.translate:translate",
    "impute": "jobs.impute:impute",
    "forecast": "jobs.impute:forecast",
    "complete": "jobs.complete:complete",
    "invert": "jobs.invert:invert",
    "evaluate": "jobs.evaluate:evaluate",
    "report": "jobs.report:report",
    "list": "jobs.listing:listing",
}
DATASETS = {
    "digits": "data.builtin:digits",
    "grid": "data.builtin:grid",
    "ring": "data.builtin:ring",
    "shapes": "data.builtin:shapes",
}
TABLES = {
    "kinds": KINDS,
    "likelihoods": LIKELIHOODS,
    "networks": NETWORKS,
    "priors": PRIORS,
    "models": MODELS,
    "metrics": METRICS,
    "jobs": JOBS,
    "datasets": DATASETS,
}


def location(table: str, name: str) -> tuple[str, str | None]:
    """Module and attribute (None: the module itself) of a name; nothing is imported.

    Raises UsageError with the nearest known name.
    """
    entries = TABLES[table]
    if name not in entries:
        raise UsageError(f"there is no {table.rstrip('s')} called '{name}'{did_you_mean(name, entries)}")
    module, _, attribute = entries[name].partition(":")
    return f"ectype.{module}", attribute or None


def find(table: str, name: str) -> Any:
    """The object a name stands for, imported now."""
    module, attribute = location(table, name)
    found = import_module(module)
    return getattr(found, attribute) if attribute else found

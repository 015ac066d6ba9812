"""Spec → model: the only wiring.

    spec = {"model": "vae", "network": "conv", "likelihood": "logistic", "prior": "normal",
            "latent": 32, "options": {"width": 64, "beta": 0.5}}

Options are flat. Each goes to every part whose constructor has a keyword of that name: width to the
encoder and the decoder, beta to the model. What no part takes is refused, all problems at once.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError

from ectype.catalog import find
from ectype.context import Conditioner, Ports
from ectype.data.data import Data
from ectype.errors import UsageError, did_you_mean
from ectype.kinds import Kind
from ectype.likelihoods import Likelihood
from ectype.models import Model
from ectype.models.critic import FEATURES, Critic, packed
from ectype.networks.readers import OnGrid, ports_of, reader
from ectype.shapes import Joint, Tokens

CONTEXT = 128
"""Width C of the condition vector of every assembled model."""

# keywords that the wiring supplies, never the user
_WIRED = {"conditioner", "context", "factors", "forms", "levels", "networks"}


def options_of(part: Callable[..., object]) -> dict[str, Any]:
    """The options a part takes: keyword-only parameters by name, with their annotation."""
    init = vars(part)["__init__"] if inspect.isclass(part) else part
    hints = typing.get_type_hints(init)
    return {
        name: hints[name]
        for name, parameter in inspect.signature(init).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY and name not in _WIRED
    }


def build(
    model: str,
    data: Data,
    *,
    network: str | None = None,
    likelihood: str | None = None,
    prior: str | None = None,
    latent: int | None = None,
    seed: int = 0,
    **options: Any,
) -> Model:
    """A new model for this data, a plain nn.Module with freshly drawn weights.

    Arguments:
        model: a family in the catalog: ae, gan, vae or vaegan.
        data: what it is to model; its kind and conditions decide the shapes.
        network: conv, dcgan or mlp; default: the kind's.
        likelihood: bernoulli, logistic, normal, laplace or categorical; default: the kind's. Of items of
            several parts it is that of all parts that are no choices.
        prior: normal, mixture, vamp, flow, fitted or gan; default: the family's.
        latent: numbers in the code; default: grows with the square root of the item's size.
        seed: of the initial weights.
        options: keywords of the parts' constructors.

    Raises UsageError naming every option that no part takes or whose value does not fit.
    """
    spec = complete(
        {"model": model, "network": network, "likelihood": likelihood, "prior": prior, "latent": latent},
        data.kind,
        options,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        built = assemble(spec, data.kind, data.conditions)
        built.spec = spec
        train = data.splits["train"]
        built.begin(len(train), data.batch(train[:1000]))
    return built


def complete(chosen: Mapping[str, Any], kind: Kind, options: Mapping[str, Any]) -> dict[str, Any]:
    """A full spec from what the user chose: defaults filled in, options checked and converted."""
    family = find("models", chosen["model"])
    network, likelihood = family.suited(kind)
    latent = chosen["latent"]
    spec: dict[str, Any] = {
        "model": chosen["model"],
        "network": chosen["network"] or network,
        "likelihood": chosen["likelihood"] or likelihood,
        "latent": (kind.latent or family.latent_for(kind.shape)) if latent is None else latent,
    }
    usual = _inner(family, options).default_prior
    if kind.prior and not find("priors", usual).after_training:
        usual = kind.prior
    fits = spec["latent"] >= find("priors", usual).least
    spec["prior"] = chosen["prior"] or (usual if fits else "normal")
    if "critic" in family.needs and find("networks", spec["network"]).Decoder.writes:
        raise UsageError(
            f"{spec['model']} has no gradient through what {spec['network']} writes symbol by symbol: "
            "use a vae, or for a gan the network sequence"
        )
    if not family.coded:
        spec |= {"latent": _without(spec, chosen)}
    elif not 1 <= spec["latent"] <= 65536:
        raise UsageError(f"latent is a number of dimensions from 1 to 65536, not {spec['latent']}")
    spec["options"] = checked(_parts({**spec, "options": options}), options)
    return spec


def _without(spec: Mapping[str, Any], chosen: Mapping[str, Any]) -> int:
    """The latent of a family that has none; UsageError for parts that only make sense with one."""
    name, network = spec["model"], spec["network"]
    if chosen["latent"] or chosen["prior"] not in (None, "normal"):
        raise UsageError(f"{name} has no latent, so that neither latent nor prior can be chosen")
    if not find("networks", network).Decoder.writes:
        raise UsageError(
            f"{name} has no latent and needs a network that writes step by step, which {network} does not: "
            "it is for texts, with the network recurrent"
        )
    return 0


def checked(parts: Mapping[str, Callable[..., object]], options: Mapping[str, Any]) -> dict[str, Any]:
    """The options converted to their types; raises one UsageError with every problem in it."""
    known = {name: hint for part in parts.values() for name, hint in options_of(part).items()}
    values, problems = {}, []
    for name, value in options.items():
        if name not in known:
            problems.append(f"no part of this model takes '{name}'{did_you_mean(name, known)}")
            continue
        try:
            values[name] = TypeAdapter(known[name]).validate_python(value)
        except ValidationError as error:
            problems.append(f"{name}={value!r}: {error.errors()[0]['msg'].lower()}")
    if problems:
        raise UsageError("; ".join(problems))
    return values


def _parts(spec: Mapping[str, Any]) -> dict[str, Callable[..., object]]:
    network = find("networks", spec["network"])
    family = find("models", spec["model"])
    parts: dict[str, Callable[..., object]] = {
        "model": family,
        "encoder": network.Encoder,
        "decoder": network.Decoder,
        "likelihood": find("likelihoods", spec["likelihood"]),
        "prior": find("priors", spec["prior"]),
    }
    if "autoencoder" in family.needs:
        parts["autoencoder"] = _inner(family, spec.get("options", {}))
    return parts | ({"critic": Critic} if "critic" in family.needs else {})


def _inner(family: Any, options: Mapping[str, Any]) -> Any:
    """The family of the autoencoder inside one that wraps it, else the family itself."""
    return find("models", options.get("around", "vae")) if "autoencoder" in family.needs else family


def assemble(spec: Mapping[str, Any], kind: Kind, conditions: Mapping[str, Kind]) -> Model:
    """The model that a complete spec describes, with weights from the process's generator."""
    parts = _parts(spec)
    family, latent = find("models", spec["model"]), spec["latent"]
    options = {**family.usual.get(spec["network"], {}), **kind.usual, **checked(parts, spec["options"])}

    def make(part: str, *arguments: object, **wired: object) -> Any:
        return parts[part](*arguments, **wired, **taken_by(parts[part], options))

    def network(part: str, *arguments: object, context: Ports) -> Any:
        return make(part, *arguments, context=context, **taken(parts[part], known))

    ports = ports_for(kind, conditions)
    likelihood = _likelihood(spec["likelihood"], kind, options)
    known = {**kind.network_options, "forms": likelihood.forms}

    def critic() -> Any:
        pack = options.get("pack", 1)
        beside = replace(ports, vector=0, tokens=False, aligned=pack * ports.aligned)
        encoder = network("encoder", packed(kind.shape, pack), FEATURES, context=beside)
        return make("critic", encoder, conditioner_for(kind, conditions, attended=False))

    inner = _inner(family, options)
    smooth = options.get("smoothing", 0) > 0
    makers: dict[str, Callable[[], Any]] = {
        "autoencoder": lambda: make("autoencoder", *(makers[part]() for part in inner.needs)),
        "encoder": lambda: network("encoder", kind.shape, latent * inner.per_latent, context=ports),
        "decoder": lambda: network("decoder", latent, likelihood.numbers, context=ports),
        "likelihood": lambda: likelihood,
        "prior": lambda: make("prior", latent, kind.shape, context=ports.vector),
        "conditioner": lambda: conditioner_for(kind, conditions, smooth=smooth),
        "critic": critic,
    }
    built: Model = make("model", *(makers[part]() for part in family.needs))
    built.default_rate = family.rates.get(spec["network"], built.default_rate)
    return built


def taken(part: Callable[..., object], offered: Mapping[str, object]) -> dict[str, object]:
    """What a part's constructor has a keyword for, of what is known."""
    takes = inspect.signature(part).parameters
    return {name: value for name, value in offered.items() if name in takes}


def taken_by(part: Callable[..., object], options: Mapping[str, Any]) -> dict[str, Any]:
    """Of a user's options those that a part takes."""
    takes = options_of(part)
    return {name: value for name, value in options.items() if name in takes}


def _likelihood(name: str, kind: Kind, options: Mapping[str, Any]) -> Likelihood:
    """p(x | z) of that name; of an item of several parts, that of each part that is no choice."""
    named, shape = find("likelihoods", name), kind.shape
    chosen = taken_by(named, options)
    whole = name == kind.likelihood
    if not isinstance(shape, Joint) or (named.several and not whole):
        one: Likelihood = named(shape, **{**_asked(name, kind, kind.likelihood_options), **chosen})
        return one
    own: Any = kind.likelihood_options["factors"]
    factors = []
    for part, (usual, offered) in zip(shape.parts, own, strict=True):
        if whole or isinstance(part, Tokens):
            factors.append((usual, _asked(usual, kind, offered)))
        else:
            factors.append((name, {**_asked(name, kind, offered), **chosen}))
    several: Likelihood = find("likelihoods", kind.likelihood)(shape, factors=factors)
    return several


def _asked(name: str, kind: Kind, offered: Mapping[str, object]) -> dict[str, object]:
    """What the likelihood asks about the data; raises UsageError where its values have no levels."""
    likelihood = find("likelihoods", name)
    known = taken(likelihood, offered)
    if "levels" in inspect.signature(likelihood).parameters and "levels" not in known:
        raise UsageError(
            f"{name} counts levels, and the values of a {kind.name} have none; use {kind.likelihood}"
        )
    return known


def conditioner_for(
    kind: Kind, conditions: Mapping[str, Kind], *, smooth: bool = False, attended: bool = True
) -> Conditioner | None:
    """What reads the conditions for items of a kind; None without any.

    Arguments:
        smooth: whether free text is blurred while training.
        attended: whether steps of texts and places of pictures are read one by one.
    """
    if not conditions:
        return None
    readers = {
        name: reader(c.network, c.shape, kind.shape, CONTEXT, attended=attended)
        for name, c in conditions.items()
    }
    grids = {name: found.aligned for name, found in readers.items() if isinstance(found, OnGrid)}
    free = any(c.name in ("embedded", "text") for c in conditions.values())
    return Conditioner(readers, CONTEXT, grids=grids, smooth=smooth and free)


def ports_for(kind: Kind, conditions: Mapping[str, Kind]) -> Ports:
    """Which ways in the context of these conditions has, for items of a kind."""
    return ports_of([(c.network, c.shape) for c in conditions.values()], kind.shape, CONTEXT)

"""The encoder that lets a model that only makes read: one file beside the model.

`inversion.safetensors` holds the encoder's weights; its header holds, as JSON, the format's version, the
network and its options, and a digest of the model it belongs to: codes of another model's encoder would be
wrong without anybody seeing it. As with a model, nothing in it is executed, and the sizes it asks for are
compared with the tensors that are there, on torch's meta device, before any memory is taken.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ectype.errors import EctypeError, ModelFileError, UsageError

if TYPE_CHECKING:
    from torch import nn

    from ectype.models import Model
    from ectype.models.inversion import Inverted
    from ectype.runs import Run

FILE = "inversion.safetensors"
FORMAT = 1


def described(run: Run) -> dict[str, Any]:
    """Network and options of an encoder for a run's model: those the model itself was made with."""
    from ectype.assembly import options_of
    from ectype.catalog import find

    if not run.spec.get("network"):
        raise UsageError("only a model made by build() can be inverted: this run has no description")
    takes = options_of(find("networks", run.spec["network"]).Encoder)
    usual = find("models", run.spec["model"]).usual.get(run.spec["network"], {})
    options = {**usual, **run.spec["options"]}
    return {"network": run.spec["network"], "options": {k: v for k, v in options.items() if k in takes}}


def made(run: Run, description: Mapping[str, Any]) -> nn.Module:
    """An encoder with weights from the process's generator; UsageError for options it does not take."""
    from ectype.assembly import checked, ports_for, taken
    from ectype.catalog import find

    network = find("networks", description["network"]).Encoder
    options = checked({"encoder": network}, description["options"])
    ports = ports_for(run.kind, run.conditions)
    known = taken(network, run.kind.network_options)
    encoder: nn.Module = network(run.kind.shape, run.model.latent, context=ports, **known, **options)
    return encoder


def save(run: Run, encoder: nn.Module, folder: Path) -> Path:
    """Write the encoder beside the run's model, whole or not at all; raises OutputError."""
    from safetensors.torch import save as packed

    from ectype.training.state import write_atomically

    header = {"format": FORMAT, **described(run), "model": digest(run.model)}
    tensors = {k: v.detach().cpu().contiguous() for k, v in encoder.state_dict().items()}
    write_atomically(folder / FILE, packed(tensors, {"ectype": json.dumps(header)}))
    return folder / FILE


def load(run: Run) -> Inverted:
    """The run's model with the encoder in its folder, in eval mode on the model's device.

    Raises UsageError where there is none, ModelFileError where it is damaged, hostile, from a newer format
    or of another model.
    """
    from safetensors import safe_open

    from ectype.hardware import channels_last
    from ectype.jobs.inputs import device_of
    from ectype.models.inversion import Inverted
    from ectype.runs import UNFIT, one_line, read_header

    place = run.folder if run.folder is not None else "RUN"
    if run.folder is None or not (run.folder / FILE).is_file():
        raise UsageError(f"this model cannot read: run `ectype invert {place}` first")
    file = run.folder / FILE
    header, shapes = read_header(file)
    try:
        encoder = _fitting(run, header, shapes)
        with safe_open(file, "pt") as tensors:
            encoder.load_state_dict({name: tensors.get_tensor(name) for name in shapes})
    except (EctypeError, *UNFIT) as error:
        raise ModelFileError(f"{file} is not an encoder of this model: {one_line(error)}") from error
    if not all(t.isfinite().all() for t in encoder.state_dict().values()):
        raise ModelFileError(f"{file} holds weights that are NaN or infinite: invert again, with --overwrite")
    if header.get("model") != digest(run.model):
        raise ModelFileError(
            f"{file} belongs to other weights of this model: run `ectype invert {place} --overwrite`"
        )
    channels_last(encoder)
    return Inverted(run.model, encoder.to(device_of(run))).eval()


def _fitting(run: Run, header: Mapping[str, Any], shapes: dict[str, tuple[int, ...]]) -> nn.Module:
    """The encoder a header asks for, made only when it is one for the tensors that are there."""
    import torch

    options = dict(header["options"])
    # even without memory a layer takes time, and a list such as `hidden` needs a tensor for each entry
    if any(isinstance(value, list) and len(value) > len(shapes) for value in options.values()):
        raise ModelFileError("its description asks for more layers than it holds")
    description = {"network": str(header["network"]), "options": options}
    with torch.device("meta"):
        wanted = {k: tuple(v.shape) for k, v in made(run, description).state_dict().items()}
    if wanted != shapes:
        raise ModelFileError("it does not hold the weights its own description asks for")
    with torch.random.fork_rng(devices=[]):
        return made(run, description)


def digest(model: Model) -> str:
    """SHA-256 of a model's weights and their names, as 64 hexadecimal digits."""
    import torch

    found = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        found.update(f"{name} {tuple(value.shape)} {value.dtype};".encode())
        found.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()

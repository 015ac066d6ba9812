"""A trained model and the kinds it speaks, in one file.

`model.safetensors` holds the weights; its header holds, as JSON, the format's version, the spec and
the fitted kinds, so raw goes in and raw comes out of a file alone. Nothing in it is executed: names
are looked up in the catalog, and the sizes the spec asks for are compared with the tensors that are
really there, on torch's meta device, before any memory is taken.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Self

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from ectype.assembly import assemble, complete
from ectype.data.data import Data
from ectype.errors import EctypeError, ModelFileError, OutputError, UsageError
from ectype.hardware import channels_last
from ectype.kinds import Kind, restored, state_of
from ectype.models import Model
from ectype.training.state import write_atomically

FORMAT = 1
MODEL_FILE = "model.safetensors"
RECORD_FILE = "record.json"

_LONGEST = 300  # characters of a message that comes from inside a file
UNFIT = (
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,  # torch's, and RecursionError
    SafetensorError,
    TypeError,
    ValueError,
)
"""What building a model from a description that is wrong or hostile can raise."""


@dataclass
class Run:
    """A trained model, the kinds it speaks, what it was made from and what was measured.

    Arguments:
        model: on the CPU, in eval mode.
        kind: of the items; conditions: the kinds of what can be given, by name.
        spec: what `build` made the model from.
        record: how it was trained and what was measured (data, training, machine, scores).
        folder: where it was loaded from or saved to.
    """

    model: Model
    kind: Kind
    conditions: dict[str, Kind]
    spec: dict[str, Any]
    record: dict[str, Any] = field(default_factory=dict)
    folder: Path | None = None

    @classmethod
    def of(cls, model: Model, data: Data) -> Self:
        """The run of a model that `build` made and `fit` trained on this data."""
        if not model.spec:
            raise UsageError("only a model made by build() can be saved as a run; save its state_dict")
        record = {"data": data.source, "machine": machine(), "versions": versions()}
        return cls(model, data.kind, dict(data.conditions), dict(model.spec), record)

    def save(self, folder: str | Path) -> Self:
        """Write model and record into a folder; each file is replaced whole or not at all.

        Raises OutputError where that is not possible.
        """
        folder = Path(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot make the folder {folder}: {error.strerror}") from error
        header = {
            "format": FORMAT,
            "spec": self.spec,
            "kind": state_of(self.kind),
            "conditions": {name: state_of(kind) for name, kind in self.conditions.items()},
        }
        tensors = {k: v.detach().cpu().contiguous() for k, v in self.model.state_dict().items()}
        write_atomically(folder / MODEL_FILE, save(tensors, {"ectype": json.dumps(header)}))
        self.folder = folder
        self.save_record()
        return self

    def save_record(self) -> None:
        """Write the record beside the model; raises OutputError."""
        if self.folder is not None:
            text = json.dumps(self.record, indent=1, ensure_ascii=False, default=str)
            write_atomically(self.folder / RECORD_FILE, text.encode())


def load(path: str | Path) -> Run:
    """The run in a folder or in a model file.

    Raises ModelFileError where it is missing, truncated, from a newer format, or not what it claims.
    """
    path = Path(path)
    file = path / MODEL_FILE if path.is_dir() else path
    header, shapes = read_header(file)
    try:
        kind = restored(header["kind"])
        conditions = {name: restored(state) for name, state in header["conditions"].items()}
        model = _rebuilt(dict(header["spec"]), kind, conditions, shapes)
        with safe_open(file, "pt") as tensors:
            model.load_state_dict({name: tensors.get_tensor(name) for name in shapes})
    except (EctypeError, *UNFIT) as error:
        raise ModelFileError(f"{file} is not a model ectype can build: {one_line(error)}") from error
    if not all(t.isfinite().all() for t in model.state_dict().values()):
        raise ModelFileError(f"{file} holds weights that are NaN or infinite: its training diverged")
    return Run(model.eval(), kind, conditions, model.spec, _read_record(file.parent), file.parent)


def _rebuilt(
    chosen: dict[str, Any], kind: Kind, conditions: dict[str, Kind], shapes: dict[str, tuple[int, ...]]
) -> Model:
    """The model a description asks for, made only when it is one for the tensors that are there."""
    options = dict(chosen["options"])
    # even without memory a layer takes time, and a list such as `hidden` needs a tensor for each entry
    if any(isinstance(value, list) and len(value) > len(shapes) for value in options.values()):
        raise ModelFileError("its description asks for more layers than it holds")
    spec = complete(chosen, kind, options)
    with torch.device("meta"):
        wanted = {k: tuple(v.shape) for k, v in assemble(spec, kind, conditions).state_dict().items()}
    if wanted != shapes:
        raise ModelFileError("it does not hold the weights its own description asks for")
    with torch.random.fork_rng(devices=[]):
        model = assemble(spec, kind, conditions)
    channels_last(model)  # as it was trained: in another layout sums are added in another order
    model.spec = spec
    return model


def one_line(error: Exception) -> str:
    """What an error says, in one line of bearable length: the file's author may have chosen the words."""
    text = " ".join((str(error) or type(error).__name__)[:2000].split())
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


def read_header(file: Path) -> tuple[dict[str, Any], dict[str, tuple[int, ...]]]:
    """The description in a model file and the shapes of its tensors; no tensor is read."""
    try:
        with safe_open(file, "pt") as tensors:
            metadata = tensors.metadata() or {}
            shapes = {n: tuple(tensors.get_slice(n).get_shape()) for n in tensors.keys()}
    except FileNotFoundError as error:
        raise ModelFileError(f"there is no model at {file}; ectype train makes one") from error
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelFileError(f"{file} is damaged or not a model file ({one_line(error)})") from error
    if "ectype" not in metadata:
        raise ModelFileError(f"{file} is a safetensors file, but not one that ectype wrote")
    try:
        header = dict(json.loads(metadata["ectype"]))
        number = int(header["format"])
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise ModelFileError(f"the description in {file} is damaged") from error
    if number > FORMAT:
        raise ModelFileError(
            f"{file} has format {number} and this ectype reads up to {FORMAT}: pip install -U ectype"
        )
    return header, shapes


def _read_record(folder: Path) -> dict[str, Any]:
    """The record beside a model; a model file alone has none."""
    try:
        return dict(json.loads((folder / RECORD_FILE).read_text()))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise ModelFileError(f"{folder / RECORD_FILE} is damaged: {one_line(error)}") from error


def machine() -> dict[str, Any]:
    """What this machine is: processor, cores, memory (GiB), accelerator."""
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next((x.split(":", 1)[1].strip() for x in lines if x.startswith("model name")), name)
    except OSError:
        pass
    facts: dict[str, Any] = {"processor": name, "cores": os.cpu_count(), "system": platform.platform()}
    if sys.platform != "win32":
        facts["memory"] = round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)
    if torch.cuda.is_available():
        facts["accelerator"] = torch.cuda.get_device_name()
    return facts


def versions() -> dict[str, str]:
    """Versions of what computes, and ectype's commit when it runs from a checkout."""
    found = {"python": platform.python_version()}
    for name in ("ectype", "torch", "numpy", "scikit-learn"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    root = Path(__file__).parents[2]
    if (root / ".git").exists():
        command = ["git", "-C", str(root), "rev-parse", "--short", "HEAD"]
        try:
            found["commit"] = subprocess.run(  # noqa: S603
                command, capture_output=True, text=True, timeout=5, check=True
            ).stdout.strip()
        except (OSError, subprocess.SubprocessError):
            pass
    return found

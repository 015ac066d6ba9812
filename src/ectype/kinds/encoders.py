"""Frozen networks that others trained, by their Hugging Face name: a text or a picture to one row of numbers.

    owner/name            the hub's newest; what is saved names the commit
    owner/name@commit     that one
    folder/               as `save_pretrained` writes it; what is saved names a digest of its files

A row is the mean of the last hidden states over the symbols or places there are; of a network that reads
texts and pictures into one space (CLIP), the place there. Nothing is loaded before the first item is read.
Weights are safetensors and no code of a model's author runs. Needs the extra `encoders`.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from ectype.errors import MissingExtra, UsageError, did_you_mean
from ectype.kinds import Array

READS = ("text", "image")
_BATCH = 64
_LONGEST = 512  # tokens of a text, where the encoder does not say how many it can read
_HUB = re.compile(r"[\w.-]+/[\w.-]+|[\w.-]+")
_FILES = ("*.json", "*.txt", "*.model", "model*.safetensors")
_NOT_READ = (AttributeError, ImportError, LookupError, OSError, RuntimeError, TypeError, ValueError)
"""What a network that is made for something else raises, from being opened to its first answer."""


@final
@dataclass(frozen=True)
class Encoder:
    """An encoder of exactly one version.

    Arguments:
        name: owner/name on the hub, or the whole path of a folder.
        revision: the hub's commit, or a digest of the folder.
        reads: "text" or "image".
    """

    name: str
    revision: str
    reads: str

    def __post_init__(self) -> None:
        if self.reads not in READS:
            raise UsageError(f"an encoder reads no '{self.reads}'{did_you_mean(self.reads, READS)}")

    @classmethod
    def of(cls, named: str, reads: str) -> Encoder:
        """The encoder that somebody named, with its revision found out where that was not said.

        Raises MissingExtra without the package transformers, UsageError where there is none of that name.
        """
        name, at, revision = named.rpartition("@") if "@" in named else (named, "", "")
        if not at or Path(named).expanduser().is_dir():
            name, revision = named, ""
        place = Path(name).expanduser()
        name = str(place.resolve()) if place.is_dir() else name
        return cls(name, revision or _placed(name, None)[1], reads)

    def __str__(self) -> str:
        """The same as it would be typed."""
        return f"{self.name}@{self.revision}"

    def __call__(self, items: Sequence[Any]) -> Array:
        """Texts or pictures (N) to rows (N, D), float32; raises UsageError where it cannot read them."""
        read = _opened(self)
        try:
            with torch.inference_mode():
                parts = [read(list(items[i : i + _BATCH])) for i in range(0, len(items), _BATCH)]
        except _NOT_READ as error:
            raise self._cannot(error) from None
        rows: Array = torch.cat(parts).float().numpy()
        if rows.ndim != 2 or not np.isfinite(rows).all():
            raise UsageError(f"the encoder {self.name} does not give one row of finite numbers for each item")
        return rows

    def _cannot(self, error: Exception) -> UsageError:
        return UsageError(f"the encoder {self.name} cannot read {self.reads}s: {_line(error)}")


def _placed(name: str, revision: str | None) -> tuple[Path, str]:
    """Where an encoder's files lie, fetched if they have to be, and which revision they are."""
    folder = Path(name)
    if folder.is_dir():
        total = hashlib.blake2b(digest_size=8)
        for path in sorted({path for pattern in _FILES for path in folder.glob(pattern)}):
            total.update(path.name.encode() + path.read_bytes())
        return folder, total.hexdigest()
    if not _HUB.fullmatch(name):
        raise UsageError(f"there is no folder {name} to load an encoder from")
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
    except ImportError:
        raise MissingExtra("transformers", "encoders") from None
    logging.getLogger("ectype").info(f"encoder {name}: from the hub, unless it is on this machine")
    try:
        place = Path(snapshot_download(name, revision=revision, allow_patterns=list(_FILES)))
    except LocalEntryNotFoundError:
        raise UsageError(
            f"the encoder {name} is not on this machine and the hub cannot be reached: go online once, or "
            "name a folder that holds it"
        ) from None
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise UsageError(f"the encoder {name} cannot be had: {_line(error)}") from None
    return place, place.name


@lru_cache(maxsize=2)
def _opened(encoder: Encoder) -> Callable[[list[Any]], Tensor]:
    """What reads a few items; raises as `Encoder`."""
    try:
        import transformers
    except ImportError:
        raise MissingExtra("transformers", "encoders") from None
    folder, revision = _placed(encoder.name, encoder.revision)
    if revision != encoder.revision:
        raise UsageError(
            f"{encoder.name} holds another encoder than the model was trained with ({revision}, not "
            f"{encoder.revision}): put that one back"
        )
    transformers.utils.logging.set_verbosity_error()  # what it has to say is said by the error below
    transformers.utils.logging.disable_progress_bar()
    try:
        return _reading(transformers, str(folder), encoder.reads)
    except _NOT_READ as error:
        raise encoder._cannot(error) from None


def _reading(transformers: Any, folder: str, reads: str) -> Callable[[list[Any]], Tensor]:
    safe = {"local_files_only": True, "trust_remote_code": False}
    model, info = transformers.AutoModel.from_pretrained(
        folder, **safe, use_safetensors=True, output_loading_info=True
    )
    # poolers are left out of many files, and not read here; anything else would be random
    lacking = sorted(name for name in info["missing_keys"] if "pooler" not in name)
    if lacking:
        raise ValueError(f"its file lacks weights, such as {lacking[0]}")
    forward = _forward(model.eval(), reads)
    if reads == "image":
        processor = transformers.AutoImageProcessor.from_pretrained(folder, **safe)

        def of_pictures(pictures: list[Any]) -> Tensor:
            return forward(processor([p.convert("RGB") for p in pictures], return_tensors="pt"))

        return of_pictures
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **safe)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    places = model.config.get_text_config().to_dict().get("max_position_embeddings", _LONGEST)
    room = min(tokenizer.model_max_length, places)

    def of_texts(texts: list[Any]) -> Tensor:
        cut = {"padding": True, "truncation": True, "max_length": room}
        return forward(tokenizer([str(text) for text in texts], return_tensors="pt", **cut))

    return of_texts


def _forward(model: Any, reads: str) -> Callable[[Any], Tensor]:
    """From what a network takes to rows (B, D)."""
    if {"text_config", "vision_config"} <= model.config.sub_configs.keys():
        read = model.get_text_features if reads == "text" else model.get_image_features
        return lambda inputs: read(**inputs).pooler_output
    inner = model.get_encoder() if model.config.is_encoder_decoder else model

    def mean(inputs: Any) -> Tensor:
        states: Tensor = inner(**inputs).last_hidden_state
        if states.dim() == 4:  # (B, C, H, W) of a convolutional network
            return states.mean((2, 3))
        if reads == "image":
            return states.mean(1)
        mask = inputs["attention_mask"].unsqueeze(2).to(states.dtype)
        return (states * mask).sum(1) / mask.sum(1)

    return mean


def _line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else text[:200] + "…"

"""The data of the benchmarks, by path: $ECTYPE_DATA, by default ../shared/data beside the repository."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from _record import ROOT

Array = np.ndarray[Any, Any]
PARTS = ("train", "valid", "test")
WHERE = {
    "binarized_mnist": (
        "binarized_mnist.npz (arrays train, valid, test of uint8 0/1, (N, 28, 28)) or the three files "
        "binarized_mnist_{train,valid,test}.amat of "
        "http://www.cs.toronto.edu/~larocheh/public/datasets/binarized_mnist/"
    ),
    "noto_emoji": (
        "noto_emoji_64.npz (rgba, uint8 (N, 64, 64, 4)) and captions.jsonl (a line per picture with name, "
        "keywords, group and base), made from https://github.com/googlefonts/noto-emoji and "
        "https://github.com/muan/unicode-emoji-json"
    ),
    "coco_captions_texygen": (
        "image_coco.txt and test_coco.txt of https://github.com/geek-ai/Texygen (data and data/testdata)"
    ),
    "chinese_quatrains": "shi.txt of https://github.com/geek-ai/Texygen (data)",
    "names": "names.txt of https://github.com/karpathy/makemore",
    "tiny_shakespeare": "input.txt of https://github.com/karpathy/char-rnn (data/tinyshakespeare)",
    "mnist": (
        "train-images-idx3-ubyte.gz, t10k-images-idx3-ubyte.gz and the two label files, from "
        "http://yann.lecun.com/exdb/mnist/ or https://ossci-datasets.s3.amazonaws.com/mnist/"
    ),
}


def folder(name: str) -> Path:
    """Where a data set lies; ends the program with where it can be had when it is not there."""
    root = Path(os.environ.get("ECTYPE_DATA") or ROOT.parent / "shared" / "data")
    path = root / name
    if not path.is_dir():
        raise SystemExit(
            f"{path} is not there. Put into it {WHERE[name]}, or set ECTYPE_DATA to the folder above it."
        )
    return path


def static_mnist() -> dict[str, Array]:
    """MNIST binarised once (Larochelle and Murray 2011): train, valid, test, uint8 0/1 (N, 1, 28, 28)."""
    path = folder("binarized_mnist")
    if (path / "binarized_mnist.npz").is_file():
        with np.load(path / "binarized_mnist.npz") as file:
            return {part: file[part].reshape(-1, 1, 28, 28) for part in PARTS}
    files = {part: path / f"binarized_mnist_{part}.amat" for part in PARTS}
    missing = [file.name for file in files.values() if not file.is_file()]
    if missing:
        raise SystemExit(f"{path} lacks {', '.join(missing)}. Put into it {WHERE['binarized_mnist']}.")
    return {part: read_amat(file) for part, file in files.items()}


def read_amat(path: Path) -> Array:
    """A text file of 0 and 1, 784 a line, as uint8 (N, 1, 28, 28)."""
    digits = np.frombuffer(path.read_bytes(), np.uint8)
    bits = digits[(digits == ord("0")) | (digits == ord("1"))] - ord("0")
    if len(bits) == 0 or len(bits) % 784:
        raise SystemExit(
            f"{path} holds {len(bits)} digits, which are not pictures of 784; download it again."
        )
    return bits.reshape(-1, 1, 28, 28)

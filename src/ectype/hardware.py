"""Where and in which precision to compute."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import torch
from torch import Tensor, nn

from ectype.errors import UsageError
from ectype.shapes import Grid, Shape, Tokens, parts_of


def choose_device(name: str) -> torch.device:
    """A device by name; "auto" is the GPU when there is one. Raises UsageError if it is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, ImportError) as error:
        raise UsageError(f"the device '{name}' is not there; use auto or cpu") from error
    if device.type == "meta":  # torch's device without memory
        raise UsageError("the device 'meta' computes nothing; use auto or cpu")
    return device


def keep_memory() -> None:
    """Let the process keep the memory it frees, for the next step, where the C library is glibc.

    By default a large block goes back to the kernel when it is freed and comes back page by page: with
    10 microseconds a page in some virtual machines that is a tenth to a fifth of a training step.
    """
    with suppress(OSError, AttributeError, TypeError):  # another C library has other habits
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(-4, 0)  # M_MMAP_MAX: no block of its own
        mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD: nothing given back from the end of the heap


def channels_last(model: nn.Module) -> None:
    """Keep convolutions' weights with the channels last, where bf16 kernels want them."""
    for parameter in model.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


def laid_out(gradient: Tensor, weight: Tensor, shared: bool = False) -> Tensor:
    """The gradient with the weight's strides, in memory of its own where it is `shared`.

    Adam's fused kernel reads both as they lie in memory and checks nothing: the gradient of a convolution's
    weight may lie otherwise than the weight (channels last), as after a penalty, and would be scrambled.
    """
    if gradient.stride() == weight.stride() and not shared:
        return gradient
    return torch.empty_like(weight, memory_format=torch.preserve_format).copy_(gradient)


def has_bf16(device: torch.device) -> bool:
    """Whether the device multiplies bf16 matrices in hardware."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu":
        return False
    # no public name tells this for a CPU; where the private ones are gone, fp32 is the safe answer
    try:
        from torch.cpu import _is_amx_tile_supported, _is_avx512_bf16_supported
    except ImportError:
        return False
    return bool(_is_avx512_bf16_supported() or _is_amx_tile_supported())


def _has_tiles(device: torch.device) -> bool:
    """Whether a CPU has the tile unit with which oneDNN rounds fp32 operands on the way (AMX)."""
    try:
        from torch.cpu import _is_amx_tile_supported
    except ImportError:
        return False
    return device.type == "cpu" and bool(_is_amx_tile_supported())


def choose_precision(name: str, device: torch.device, shape: Shape) -> str:
    """ "fp32" or "bf16"; "auto" is bf16 for grids and texts where the hardware has it.

    Rows and labels stay in fp32: their layers are too small to gain, and a table's numbers deserve
    more than 8 bits. A rule instead of a timed trial, so that the same command computes the same.
    """
    if name not in ("auto", "fp32", "bf16"):
        raise UsageError(f"precision is auto, fp32 or bf16, not '{name}'")
    if name != "auto":
        return name
    large = any(isinstance(p, Grid) or (isinstance(p, Tokens) and p.size) for p in parts_of(shape))
    return "bf16" if large and has_bf16(device) else "fp32"


def seed_dropout(device: torch.device, seed: int) -> None:
    """Set the device's own generator, from which dropout draws.

    torch.manual_seed would set those of every device that might exist, at 0.15 ms a step.
    """
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)
    else:
        torch.default_generator.manual_seed(seed)


def is_convolutional(model: nn.Module) -> bool:
    """Whether a model contains convolutions, which `computing` treats differently."""
    return any(isinstance(m, nn.Conv2d) for m in model.modules())


@contextmanager
def computing(convolutional: bool, device: torch.device, precision: str) -> Iterator[None]:
    """Compute matrix products and convolutions in `precision` inside the block, forward and backward.

    Likelihoods, KL and priors are in fp32 either way. On a CPU with AMX, a network without convolutions
    keeps its fp32 tensors and oneDNN rounds the operands of each product by itself: autocast would spend
    more time on converting such small layers than it saves (2.6 against 3.1 ms a step for
    784-400-40 at batch 100 on one core of a Xeon; for convolutions it is the other way round). Without
    AMX oneDNN does not round, and autocast is faster (2.7 against 3.1 ms on one core of an EPYC).
    """
    if precision != "bf16":
        yield
    elif not convolutional and _has_tiles(device):
        matmul = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
        before = matmul.fp32_precision
        matmul.fp32_precision = "bf16"
        try:
            yield
        finally:
            matmul.fp32_precision = before
    else:
        with torch.autocast(device.type, dtype=torch.bfloat16):
            yield


@contextmanager
def exact(device: torch.device) -> Iterator[None]:
    """Full fp32 inside the block, whatever `computing` chose outside: for numbers that cancel or add up."""
    matmul = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    before = matmul.fp32_precision
    matmul.fp32_precision = "ieee"
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        matmul.fp32_precision = before

"""The operators under the library: loads them, gives their fakes, serves what no kernel serves.

``csrc/ops.cpp`` defines the schemas, and native kernels stand beside it. What they do not serve,
``convolutions`` and ``resample`` serve from PyTorch's own operators.
"""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from . import convolutions, fakes, inference, resample

__all__ = ["SERVED", "native_kernels"]

_LIBRARY = Path(__file__).with_name("_C.abi3.so")
if not _LIBRARY.exists():
    raise ImportError(
        f"octconv_cuda: its native library {_LIBRARY} is missing; build it with `pip install "
        "--no-build-isolation -e .`, or run outside of the source tree what is installed without -e"
    )
torch.ops.load_library(_LIBRARY)  # type: ignore[no-untyped-call]
_has_onednn = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
torch.ops.octconv_cuda.allow_onednn(_has_onednn)

# What serves a device that has no native kernel of an operator.
SERVED: dict[str, Callable[..., Any]] = {
    "forward": convolutions.forward,
    "inference": inference.inference,
    "input_grad": convolutions.input_grad,
    "weight_grad": convolutions.weight_grad,
    "pool2x2": resample.pool2x2,
    "upsample2x2_": resample.upsample2x2_,
}
# What native kernels leave to PyTorch: the same, but where that would come back to them.
_COMPOSED: dict[str, Callable[..., Any]] = {
    **SERVED,
    "inference": functools.partial(
        inference.inference, forward=torch.ops.octconv_cuda.composed_forward
    ),
}


def native_kernels(device_type: str) -> tuple[str, ...]:
    """The operators that this library's own kernels serve on a device type ("cpu", "cuda")."""
    if device_type == "meta":
        return ()  # fakes are no kernels
    has_kernel = torch._C._dispatch_has_kernel_for_dispatch_key
    key = torch._C._dispatch_key_for_device(device_type)
    names = (*SERVED, "explain_forward")
    return tuple(name for name in names if has_kernel(f"octconv_cuda::{name}", key))


def _as_kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Computes in the operands' dtype, whatever autocast says, and records no backward pass.

    What autograd would see of the convolutions is a part of the derivatives alone.
    """

    @functools.wraps(function)
    def wrapper(*args: Any) -> Any:
        if torch.is_grad_enabled():
            with torch.no_grad():
                return wrapper(*args)
        if not torch._C._is_any_autocast_enabled():
            return function(*args)
        device = next((a.device.type for a in args if isinstance(a, Tensor)), "cpu")
        if not torch.amp.is_autocast_available(device):
            return function(*args)
        with torch.autocast(device, enabled=False):
            return function(*args)

    return wrapper


_EVERY_DEVICE = "CompositeExplicitAutograd"
_registrations = torch.library.Library("octconv_cuda", "IMPL")  # type: ignore[no-untyped-call]
for _name, _function in SERVED.items():
    _served = _as_kernel(_function)
    _registrations.impl(_name, _served, _EVERY_DEVICE)  # type: ignore[no-untyped-call]
    _composed = f"composed_{_name}"  # to which native kernels turn for what they do not cover
    if hasattr(torch.ops.octconv_cuda, _composed):
        _served = _as_kernel(_COMPOSED[_name])
        _registrations.impl(_composed, _served, _EVERY_DEVICE)  # type: ignore[no-untyped-call]
    torch.library.register_fake(f"octconv_cuda::{_name}", getattr(fakes, _name), lib=_registrations)

"""Loading a checkpoint into a network."""

from collections.abc import Callable, Mapping
from os import PathLike, fspath
from typing import Any

import torch
from torch import Tensor, nn

from ..problem import check_network
from .plan import Plan, Report

__all__ = ["load", "read"]


def read(path: str | PathLike[str]) -> dict[str, Tensor]:
    """The tensors of a file: of safetensors by its ending, else of ``torch.save``.

    Only weights are read, never code. A dict under "state_dict" or "model" is taken out.

    Raises:
        ImportError: A .safetensors file without the package safetensors.
        TypeError: No path.
        ValueError: No tensors by names.
        OSError, pickle.UnpicklingError, safetensors.SafetensorError: What the libraries say of a
            file that is not there, or not theirs.
    """
    if not isinstance(path, (str, PathLike)):
        raise TypeError(f"checkpoints.read: path must be a path, got {type(path).__name__}")
    if fspath(path).endswith(".safetensors"):
        from safetensors.torch import load_file  # type: ignore[import-not-found,unused-ignore]

        state: Any = load_file(path)
    else:
        state = torch.load(path, map_location="cpu", weights_only=True)
    state = _taken_out(state)
    if not isinstance(state, dict):
        raise ValueError(
            f"checkpoints.read: {fspath(path)} must hold tensors by their names, "
            f"got {type(state).__name__}"
        )
    others = {str(key): type(v).__name__ for key, v in state.items() if not isinstance(v, Tensor)}
    if others:
        raise ValueError(
            f"checkpoints.read: {fspath(path)} must hold tensors by their names, got also {others}"
        )
    return state


def load(
    network: nn.Module,
    source: str | PathLike[str] | Mapping[str, Any],
    *,
    strict: bool = True,
    rename: Callable[[str], str] | None = None,
) -> Report:
    """Loads the weights of this or another implementation into a network, or a single layer.

    Octave layers take over the checkpoint's (high, low) channels, and a bias where it has one. Of
    a whole weight a state dict of ``OctConv2d`` tells them; without its metadata the weight goes
    with the norms that had the same ones.
    Vanilla weights load into octave layers of the same channel counts, as an initialisation.

    Args:
        network: Its parameters and buffers are overwritten, in place.
        source: A file (see ``read``), or tensors (or arrays) by their names, or what a file holds.
        strict: Raise where something is missing or unexpected; batch norm's count of batches, which
            some formats do not have, may be missing.
        rename: Given a name of the source, the one to go by, for networks that are not known here.

    Raises:
        TypeError: Another source; an entry that is neither a tensor nor an array; no module; a
            ``rename`` that cannot be called, or gives no string.
        ValueError: Shapes that do not fit, or leave open what a layer's (high, low) channels are;
            a parameter both whole and in parts; a network or a source on the meta device; with
            ``strict``, what is missing or unexpected. The network is as it was.
    """
    check_network("checkpoints.load", network)
    if rename is not None and not callable(rename):
        raise TypeError(
            f"checkpoints.load: rename must be a function or None, got {type(rename).__name__}"
        )
    if not isinstance(source, (Mapping, str, PathLike)):
        raise TypeError(
            "checkpoints.load: source must be a path or tensors by their names, "
            f"got {type(source).__name__}"
        )
    state = _taken_out(source) if isinstance(source, Mapping) else read(source)
    others = [key for key in state if not isinstance(key, str)]
    if others:
        raise TypeError(f"checkpoints.load: names must be strings, got {others[:3]}")
    network = _unwrapped(network)
    for name, value in network.state_dict().items():
        if value.is_meta:
            raise ValueError(
                "checkpoints.load: the network must have memory for its values, got "
                f"{name} on the meta device; call network.to_empty(device=...) first"
            )
    tensors = {key: _tensor(key, value) for key, value in state.items()}
    plan = Plan(network, tensors, rename, getattr(state, "_metadata", None) or {})
    report = plan.report
    lacking = [name for name in report.missing if not name.endswith("num_batches_tracked")]
    if strict and (lacking or report.unexpected):
        raise ValueError(
            f"checkpoints.load: the checkpoint must fit the network, got\n{report}\n"
            "(strict=False loads the rest)"
        )
    for change in plan.changes:
        change()
    network.load_state_dict(plan.result, strict=False)
    return report


def _taken_out(state: Any) -> Any:
    """The tensors of what a training script saves, which has more beside them."""
    for key in ("state_dict", "model"):
        if isinstance(state, Mapping) and isinstance(state.get(key), Mapping):
            state = state[key]
    return state


def _unwrapped(network: nn.Module) -> nn.Module:
    """What DataParallel or torch.compile wraps, whose names then are those without a prefix."""
    while network._modules.keys() in ({"module"}, {"_orig_mod"}) and not any(
        (*network._parameters, *network._buffers)
    ):
        (network,) = network.children()
    return network


def _tensor(key: str, value: Any) -> Tensor:
    try:
        tensor = value if isinstance(value, Tensor) else torch.as_tensor(value, device="cpu")
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(
            f"checkpoints.load: {key} must be a tensor or an array, got {type(value).__name__}: "
            f"{error}"
        ) from error
    if tensor.is_meta:
        raise ValueError(f"checkpoints.load: {key} must have values, got one on the meta device")
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_complex():
        raise TypeError(
            f"checkpoints.load: {key} must be a dense tensor of real numbers, "
            f"got {tensor.layout}, {tensor.dtype}"
        )
    return tensor

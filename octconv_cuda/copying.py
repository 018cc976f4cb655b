"""Deep copies of networks whose modules keep tensors that a graph stands behind."""

from typing import Any

from torch import Tensor, nn

__all__ = ["kept_tensors"]


def kept_tensors(network: nn.Module) -> dict[int, Any]:
    """A memo for ``copy.deepcopy``: without it that refuses such tensors.

    Hooks that compute weights keep those (``torch.nn.utils.prune``, ``weight_norm``), and some
    modules their last result. Parameters and buffers are not among them.
    """
    others = {id(tensor) for tensor in (*network.parameters(), *network.buffers())}
    return {
        id(value): value.detach().clone()
        for module in network.modules()
        for value in vars(module).values()
        if isinstance(value, Tensor) and id(value) not in others
    }

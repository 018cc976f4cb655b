"""How a network is run when it is timed: each treatment is the same for octave and vanilla."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from octconv_cuda import fuse

__all__ = ["TREATMENTS", "calibrate", "inference_call", "prepared", "training_call"]

# In inference "compiled" is torch.compile of the network as it is, "fused" octconv_cuda.fuse.
TREATMENTS = ("eager", "fused", "compiled", "fused_compiled", "graphed", "fused_graphed")


def prepared(network: nn.Module, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """The network where and as it is timed, in channels_last."""
    network.to(device, dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


@torch.no_grad()
def calibrate(network: nn.Module, image: Tensor) -> None:
    """Gives norms the statistics of the image: else outputs hardly depend on most layers."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    network.train()(torch.cat([image, image.flip(3)]))


def inference_call(network: nn.Module, image: Tensor, treatment: str) -> Callable[[], Tensor]:
    """A call that gives the network's output for the image.

    Compiled networks get what inductor has for constants: on a CPU its ``freezing``, which takes
    in norms and activations and lays out weights in advance, as ``fuse`` does.
    """
    network = network.eval()
    if treatment.startswith("fused"):
        network = fuse(network)
    run: Callable[[Tensor], Tensor] = network
    if treatment.endswith("compiled"):
        run = torch.compile(network, dynamic=False, fullgraph=True)

    def call() -> Tensor:
        with torch.no_grad():
            return run(image)

    if treatment.endswith("compiled"):
        # As an option of torch.compile it would not do: who asks for it looks here alone.
        with torch._inductor.config.patch(freezing=image.device.type == "cpu"):
            call()

    return _graphed(call) if treatment.endswith("graphed") else call


def training_call(network: nn.Module, image: Tensor, treatment: str) -> Callable[[], Tensor]:
    """A call that does one step of stochastic gradient descent, and gives its loss.

    On CUDA the forward pass runs under autocast to bfloat16, with parameters in float32.
    """
    if treatment.startswith("fused"):
        raise ValueError(f"a fused network does not train: {treatment}")
    network = network.train()
    cuda = image.is_cuda
    target = torch.arange(image.shape[0], device=image.device) % 1000
    optimizer = torch.optim.SGD(network.parameters(), 1e-4, momentum=0.9)
    run: Any = network
    if treatment.endswith("compiled"):
        run = torch.compile(network, dynamic=False, fullgraph=True)

    def call() -> Tensor:
        optimizer.zero_grad(set_to_none=False)
        with torch.autocast(image.device.type, torch.bfloat16, enabled=cuda):
            loss = F.cross_entropy(run(image).float(), target)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return loss.detach()

    return _graphed(call) if treatment.endswith("graphed") else call


def _graphed(call: Callable[[], Tensor]) -> Callable[[], Tensor]:
    """The call as one CUDA graph, after the warm-up that capturing asks for."""
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            call()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = call()

    def replay(_kept: object = call) -> Tensor:  # the graph works on the network's memory
        graph.replay()
        return result

    return replay

"""Plans of the fused forward kernel as the tests ask for them."""

import json
from typing import Any, NamedTuple

import torch
from cases import half
from emulated_forward import JointTiles, Tiles
from emulation.emulator import Emulator

from benchmarks.layer_list import Layer
from octconv_cuda import split_channels

DEVICES = ("A100", "RTX 3090", "RTX 4090", "H100", "H200")
TYPES = {"bfloat16": "bfloat16", "float16": "float16", "tf32": "float32"}  # PyTorch's name


class Problem(NamedTuple):
    """The numbers of csrc/problem.h."""

    batch: int
    height: int
    width: int
    high_in: int
    low_in: int
    high_out: int
    low_out: int
    kernel: int = 3
    stride: int = 1
    input_grad: bool = False

    @property
    def quads(self) -> tuple[int, int]:
        size = (self.height, self.width)
        return half(size) if self.stride == 1 else half(half(size))

    @property
    def columns(self) -> tuple[int, int]:
        """Of the products that high and low tiles sum up."""
        if not self.input_grad:
            return self.high_out, self.low_out
        if self.stride == 1:
            return self.high_in, self.low_in
        return self.high_in + self.low_in, 0


def problem_of(layer: Layer, alpha: float, batch: int, input_grad: bool = False) -> Problem:
    channels = (
        *split_channels(layer.in_channels, alpha),
        *split_channels(layer.out_channels, alpha),
    )
    return Problem(batch, *layer.size, *channels, layer.kernel_size, 1, input_grad)


def plan_of(problem: Problem, dtype: str = "bfloat16", device: str = "H200") -> dict[str, Any]:
    return json.loads(torch.ops.octconv_cuda.plan_forward(list(map(int, problem)), dtype, device))


def plan_sm90(
    problem: Problem, dtype: str = "bfloat16", device: str = "H100", *, trials: str = ""
) -> dict[str, Any]:
    """With what is on trial of those names, or all of it by "1"."""
    numbers = list(map(int, problem))
    return json.loads(torch.ops.octconv_cuda.plan_forward_sm90(numbers, dtype, device, trials))


def square(size: int, channels: int, batch: int) -> Problem:
    """3x3, of so many channels in each part."""
    return Problem(batch, size, size, *4 * [channels])


def tiles_of(plan: dict[str, Any]) -> Tiles | JointTiles:
    """The tiles and blocks of a plan, for the emulation."""
    if plan["kernel"] == JointTiles.kernel:
        return JointTiles(plan["tiles"], *plan["joint"]["shape"], plan["blocks"])
    shapes = (tuple(plan[kind]["shape"]) for kind in ("high", "low"))
    return Tiles(plan["tiles"], *shapes, plan["blocks"], plan["weight_stages"])


def launch_of(
    emulator: Emulator, problem: Problem, dtype: str, tiles: Tiles | JointTiles
) -> dict[str, Any]:
    numbers = tuple(map(int, problem))
    kernel = tiles.kernel.removesuffix("_sm80")
    return emulator(f"{kernel}_launch", TYPES[dtype], tiles.name, numbers, tiles.shape)

"""DistributedDataParallel and fully_shard over two gloo processes: one process's gradients."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from networks import octave_maps
from oracle import assert_accurate
from torch import Tensor, nn
from torch import distributed as dist

from octconv_cuda import OctaveMaps, OctConv2d, PerPart

pytestmark = pytest.mark.skipif(
    not (dist.is_available() and dist.is_gloo_available()),
    reason="this PyTorch has no torch.distributed with gloo",
)

WORLD = 2
SAMPLES = 4


def build() -> nn.Sequential:
    """A pair in, a pair out; the last layer's low rows reach only the low output."""
    torch.manual_seed(3)
    return nn.Sequential(OctConv2d(8, 8, 3), PerPart(nn.SiLU()), OctConv2d(8, 8, 3, stride=2))


def loss(maps: OctaveMaps) -> Tensor:
    assert type(maps) is OctaveMaps
    return maps.high.square().mean() + 2 * maps.low.square().mean()


def single(network: nn.Module, maps: OctaveMaps) -> dict[str, Tensor]:
    loss(network(maps)).backward()
    return {name: parameter.grad for name, parameter in network.named_parameters()}


def data_parallel(network: nn.Module, mine: OctaveMaps) -> dict[str, Tensor]:
    parallel = nn.parallel.DistributedDataParallel(network)
    loss(parallel(mine)).backward()
    return {name: parameter.grad for name, parameter in network.named_parameters()}


def fully_sharded(network: nn.Module, mine: OctaveMaps) -> dict[str, Tensor]:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh("cpu", (WORLD,))
    for layer in (network[0], network[2], network):
        fully_shard(layer, mesh=mesh)
    assert all(p.to_local().shape[0] == p.shape[0] // WORLD for p in network.parameters())
    loss(network(mine)).backward()
    return {name: p.grad.full_tensor() for name, p in network.named_parameters()}


def worker(rank: int, store: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{store}", rank=rank, world_size=WORLD)
    torch.manual_seed(4)
    maps = octave_maps(SAMPLES, size=(9, 7))
    share = slice(rank * SAMPLES // WORLD, (rank + 1) * SAMPLES // WORLD)
    mine = OctaveMaps(*(part[share] for part in maps))
    beside = single(build(), maps)
    ideal = single(build().double(), OctaveMaps(*(part.double() for part in maps)))
    strategies: tuple[Callable[..., dict[str, Tensor]], ...] = (data_parallel, fully_sharded)
    for strategy in strategies:
        found = strategy(build(), mine)
        assert found.keys() == beside.keys()
        for name, gradient in found.items():
            assert_accurate(gradient, beside[name], ideal[name])
    dist.destroy_process_group()
    os._exit(0)  # a thread of gloo's can outlive the interpreter, and then aborts the process


def test_gradients_are_those_of_one_process(tmp_path: Path) -> None:
    """A failed assertion in a worker fails here, with the worker's own traceback."""
    torch.multiprocessing.spawn(worker, (tmp_path / "store",), nprocs=WORLD)

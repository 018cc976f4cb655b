"""What the plans' model counts of a launch, against the kernel in the emulation."""

import dataclasses

import pytest
import torch
from cases import Case
from emulated_forward import JointTiles, Tiles, run_forward
from emulators import NO_COMPILER
from plans import TYPES, Problem, launch_of

pytestmark = NO_COMPILER

# Tiles that end within images, that span several, and beyond the last; partial chunks and columns.
COUNTED = {
    "wide": (
        Case((40, 24), (72, 136), size=(23, 18), batch=2),
        Tiles("wide", (9, 8, 1), (5, 9, 2)),
    ),
    "half": (Case((32, 32), (32, 40), size=(28, 28)), Tiles("wide", (14, 9, 1), (14, 14, 1))),
    "split": (Case((24, 40), (32, 8), size=(14, 14)), Tiles("wide", (7, 9, 2), (7, 14, 1))),
    "small": (Case((64, 8), (40, 72), size=(9, 11)), Tiles("small", (6, 5, 2), (4, 5, 2))),
    "1x1": (Case((72, 40), (64, 32), (1, 1), size=(9, 7)), Tiles("small", (4, 5, 2), (4, 5, 1))),
    "5x5": (Case((24, 16), (32, 16), (5, 5), size=(16, 16)), Tiles("small", (8, 8, 1), (8, 4, 1))),
    "7x7": (Case((16, 16), (16, 16), (7, 7), size=(16, 16)), Tiles("small", (8, 4, 1), (8, 8, 1))),
    "whole sectors": (
        Case((32, 16), (32, 32), size=(32, 32), batch=1),
        Tiles("small", (16, 4, 1), (16, 8, 1)),
    ),
    "stride 2": (
        Case((32, 16), (32, 16), stride=2, size=(20, 24)),
        Tiles("small", (6, 5, 1), (6, 5, 1)),
    ),
}

# The kernel for 1x1: parts that tiles have not, tiles beyond the last quad, tails, and neither.
COUNTED |= {
    "joint": (Case((72, 40), (136, 32), (1, 1), size=(19, 27)), JointTiles(quads=112)),
    "joint narrow": (
        Case((8, 24), (32, 72), (1, 1), size=(9, 7), batch=5),
        JointTiles("joint32", quads=48, stages=2),
    ),
    "joint high": (Case((40, 0), (72, 0), (1, 1), size=(17, 14)), JointTiles("joint32")),
    "joint, whole sectors": (
        Case((64, 32), (32, 64), (1, 1), size=(32, 32), batch=1),
        JointTiles(),
    ),
}


@pytest.mark.parametrize("input_grad", [False, True], ids=["forward", "input_grad"])
@pytest.mark.parametrize(
    ("dtype", "name"), [(dtype, name) for dtype in ("bfloat16", "tf32") for name in COUNTED]
)
def test_the_model_counts_what_the_kernel_does(emulator_in, dtype, name, input_grad):
    emulator = emulator_in("plain")
    case, tiles = COUNTED[name]
    case = dataclasses.replace(case, bias=False)
    element = getattr(torch, TYPES[dtype])
    operands = case.normal().to(element)
    inputs = operands[:2]
    if input_grad:
        inputs = tuple(g.to(element) for g in case.normal_gradients())
    counted = run_forward(
        emulator, case, tiles, inputs, operands.weight, input_grad=input_grad
    ).counters
    channels = (*case.in_channels, *case.out_channels)
    problem = Problem(
        case.batch, *case.size, *channels, case.kernel_size[0], case.stride, input_grad
    )
    model = launch_of(emulator, problem, dtype, tiles)["counts"]
    for counter in ("mma", "ldmatrix", "copies"):
        assert model[counter] == counted[counter], counter
    # Within images ldmatrix has no conflicts; across their borders it may.
    assert model["ldmatrix_wavefronts"] <= counted["ldmatrix_wavefronts"]
    if case.batch == 1 or isinstance(tiles, JointTiles):  # these have no halos
        assert model["ldmatrix_wavefronts"] == counted["ldmatrix_wavefronts"]
    # Sectors hold the bytes that are asked for, and more where a part's channels end within one.
    assert model["read_bytes"] <= 1.001 * 32 * counted["sectors_read"]
    assert model["written_bytes"] <= 1.001 * 32 * counted["sectors_written"]
    if "whole sectors" in name:
        assert model["read_bytes"] == pytest.approx(32 * counted["sectors_read"], rel=0.01)
        assert model["written_bytes"] == 32 * counted["sectors_written"]

"""The weight gradient for Hopper in the emulation: exact, accurate, the same bits, counted."""

import json
import math
from collections.abc import Callable

import pytest
import torch
from cases import Case, half
from emulated_weight_grad import (
    check_as_accurate_as_torch,
    check_exact,
    check_float32_results,
    check_schedules,
    integer_operands,
    reference_gradients,
    run_hopper_grad,
    run_normal,
    tiles,
)
from emulation.emulator import Emulator
from emulators import ASAN, NO_COMPILER, PLAIN, TSAN, cases_in_modes
from oracle import assert_equal_values
from plans import problem_of

from benchmarks.layer_list import HEADLINE_ALPHA, LAYERS

Get = Callable[[str], Emulator]
BF16, F16 = torch.bfloat16, torch.float16
KERNEL = "weight_grad_sm90"


# Channels that fill tiles, end them early, or take several; images as wide as pixel tiles or not,
# of odd sizes, several of them to a pixel tile, and fewer than that; splits that have no pixels; so
# many splits that one, four or eight warps add them up.
CASES = {
    "a tile": (Case((64, 64), (64, 64), size=(8, 16), batch=1), tiles("64", (8, 1, 1), (4, 1, 1))),
    "narrow": (Case((32, 32), (32, 32), size=(16, 16)), tiles("32", (4, 1, 2), (8, 1, 1))),
    "odd": (
        Case((72, 104), (40, 88), size=(13, 17), batch=3),
        tiles("64", (4, 1, 2), (4, 1, 3), (8, 2, 1), (8, 2, 2)),
    ),
    "odd, narrow": (
        Case((24, 40), (8, 72), size=(11, 23), batch=3),
        tiles("32", (6, 1, 2), (6, 2, 1), (2, 1, 5), (6, 4, 1)),
    ),
    "a pixel": (
        Case((24, 40), (8, 40), size=(1, 1), batch=5),
        tiles("32", (2, 1, 2), (2, 2, 1), (2, 1, 5), (2, 8, 1)),
    ),
    "a row": (Case((8, 72), (72, 8), size=(1, 40)), tiles("64", (2, 1, 20), (2, 2, 2))),
    "a column": (Case((72, 8), (8, 8), size=(30, 1)), tiles("64", (2, 1, 40), (16, 2, 1))),
}


@cases_in_modes(*CASES)
def test_exact_on_integers(emulator_in: Get, mode, name):
    case, of_case = CASES[name]
    splits = any(splits > 1 for _, _, splits in of_case.shapes)
    check_exact(emulator_in(mode), KERNEL, case, of_case, splits=splits)


@NO_COMPILER
@pytest.mark.parametrize("layer", [n for n in LAYERS if n.kernel_size == 3], ids=lambda n: n.name)
def test_pixel_tiles_of_plans_are_exact(emulator_in: Get, layer):
    """Each layer's stages, of a tile of the weight and a few pixel tiles."""
    problem = problem_of(layer, HEADLINE_ALPHA, layer.headline_batch)
    numbers = list(map(int, problem))
    plan = json.loads(torch.ops.octconv_cuda.plan_weight_grad_sm90(numbers, "bfloat16", "H200"))
    shapes = [job["shape"][1:] for job in plan["jobs"]]
    rows = max(shapes[0][0], *(2 * height for height, _ in shapes[1:]))
    parts = 2 * (plan["tile"],)
    case = Case(
        parts,
        parts,
        size=(min(layer.size[0], rows), 18),
        batch=max(images for _, images in shapes) + 1,
    )
    of_case = tiles(str(plan["tile"]), *((height, images, 2) for height, images in shapes))
    operands = integer_operands(case)
    result = run_hopper_grad(emulator_in("plain"), KERNEL, case, of_case, operands)
    for gradient, exact in zip(result[:2], reference_gradients(case, *operands), strict=True):
        assert_equal_values(gradient, exact)


@cases_in_modes("a tile", "odd", "odd, narrow", modes=(PLAIN,))
@pytest.mark.parametrize("channels_last", [False, True])
def test_float32_results(emulator_in: Get, mode, name, channels_last):
    check_float32_results(emulator_in(mode), KERNEL, *CASES[name], channels_last=channels_last)


@NO_COMPILER
@pytest.mark.parametrize("dtype", [BF16, F16], ids=str)
@pytest.mark.parametrize("name", ["a tile", "odd", "odd, narrow"])
def test_as_accurate_as_torch(emulator_in: Get, name, dtype):
    check_as_accurate_as_torch(emulator_in("plain"), KERNEL, *CASES[name], dtype)


@cases_in_modes("odd", "odd, narrow", "a row", modes=(PLAIN, ASAN, TSAN))
def test_every_schedule_gives_the_same_bits(emulator_in: Get, mode, name):
    check_schedules(emulator_in(mode), KERNEL, *CASES[name])


@NO_COMPILER
@pytest.mark.parametrize("name", ["a tile", "narrow"])
def test_each_product_is_of_use_and_each_pixel_is_loaded_once(emulator_in: Get, name):
    """Where channels fill tiles, and images pixel tiles: but for the halo of what taps shift."""
    case, of_case = CASES[name]
    result = run_normal(emulator_in("plain"), KERNEL, *CASES[name])
    channels, quads = case.in_channels[0], case.batch * math.prod(half(case.size))
    rows = max(channels, 64)  # narrow tiles fill half of a product
    products = 9 * channels * rows * quads * (4 + 3)
    assert result.counters["wgmma"] * 64 * 8 * 16 == products
    halos = 0
    for pixels, (height, images, _) in zip((4 * quads, *3 * [quads]), of_case.shapes, strict=True):
        halos += pixels // (8 * height * images) * 10 * (height + 2) * images
    assert result.counters["box_bytes"] == 2 * channels * (quads * (4 + 4 + 4 + 1) + halos)

"""What the compilers make of the kernels for Hopper: machine code."""

import re
from collections import Counter

import pytest
from emulated_forward import FIRST_ON_TRIAL
from machine_code import names_of

KERNELS = ("forward_sm90", "forward_1x1_sm90", "weight_grad_sm90", "weight_grad_1x1_sm90")


def test_forward_sm90_is_made_of_hopper_instructions(library_code):
    """Each product stands twice in the code: in loops over all steps of a chunk, and over half."""
    kernels = library_code.kernels("forward_sm90", "90a")
    assert len(kernels) == 2 * (8 + 4)  # directions, kernels of bfloat16 and of float16
    for kernel in kernels:
        geometry, high = map(int, re.search(r"Li(\d)ELi(\d+)EEE", kernel.name).groups())
        input_grad = "ELb1ELi" in kernel.name
        dtype = ".BF16" if "BFloat16" in kernel.name else ""
        registers = geometry >= FIRST_ON_TRIAL  # through which windows go
        lows = (high,) if high == 32 or registers else (64, 128, 160)
        if len(lows) > 1 and "BFloat16" in kernel.name:
            lows += (32,)  # on trial
        steps = 4 + 2
        products = Counter({f"HGMMA.64x{high}x16.F32{dtype}": (9 + 4 * 9) * steps})
        for low in lows:
            taps_of_slot = 3 if low <= 32 or (low <= 64 and not registers) else 1
            products.update({f"HGMMA.64x{low}x16.F32{dtype}": 2 * taps_of_slot * steps})
        assert kernel.forms(r"HGMMA") == products, kernel.name
        assert kernel.count("HMMA") == 0
        # Of a chunk's sixteen windows each comes to registers once, two steps at a time.
        parts = 16 * steps // 2 if registers else 0
        assert kernel.forms("LDSM") == ({"LDSM.16.M88.4": 2 * parts} if parts else {})
        # Groups of products, and waits for them: for quads, planes and areas. One that ptxas puts
        # in order would be a group of its own.
        groups = 2 * (3 + len(lows)) + (parts or 2 * 4)
        assert kernel.count(r"HGMMA[^;]*gsb0") == groups, kernel.name
        assert kernel.count("WARPGROUP.ARRIVE") == groups  # a fence each, and no other one
        waits = 2 * (1 + 2 * len(lows)) + (parts - 2 if parts else 2 * 4)
        assert kernel.count(r"WARPGROUP.DEPBAR[^;]*gsb0") == waits, kernel.name
        # Of the input gradient the weight is transposed, and lanes exchange words before stores.
        assert kernel.count("tnspB") == (products.total() if input_grad else 0)
        units = (4 * 2 * high + 2 * 2 * sum(lows)) // 32
        assert kernel.count("SHFL") == 1 + (4 * units if input_grad else 0)
        # Inference has code of its own for residuals and SiLU, which is that of one half of a tile:
        # of half of its blocks of 32 columns, or of half of its groups. Else it scales sums where
        # they are, but for those of the largest tiles. Each reads scale and shift of its blocks.
        blocks = [(8, high // 32), *((4, low // 32) for low in lows)]
        halves = [
            (n, of // 2) if of % 2 == 0 else (n // 2 if of > 1 else n, of) for n, of in blocks
        ]
        of_any = sum(n * of for n, of in halves)
        assert kernel.count("STG") == (units if input_grad else units + of_any)
        in_place = [of for n, of in blocks if n * of <= 16]
        factors = 4 * sum(in_place + [of for _, of in halves])
        assert kernel.count(r"LDG\.E\.128[.\w]*") == (0 if input_grad else factors + of_any)
        # A high tile waits for them once where it has no residuals: L loads, S stores.
        order = "".join(x[0] for x in re.findall(r"\b(LDG\.E\.128|STG)\b", kernel.code))
        once = "S" + "L" * (4 * high // 32) + "S" * (4 * 2 * high // 32)
        assert input_grad or once in order, kernel.name
        # Both inputs of high tiles and of low ones, and the weight of each kind.
        weights = 1 + len(lows)
        assert kernel.count(r"UTMALDG\.4D") == 4
        assert kernel.count(r"UTMALDG\.3D" if input_grad else r"UTMALDG\.5D") == weights
        assert kernel.count("UTMALDG") == 4 + weights
        assert kernel.forms("USETMAXREG").total() == 2
        assert set(kernel.forms("STG")) == {"STG.E.128"}
        assert kernel.count("LDL|STL") == 0
        # Of tiles that may be split: before the sums are added up, and behind.
        assert kernel.count("UCGABAR_ARV") == 2 * (1 + sum(low <= 128 for low in lows))
        assert most_within(24, "LD.E.128", kernel.code) >= 8  # of two splits together


def test_forward_1x1_sm90_is_made_of_hopper_instructions(library_code):
    """Products of the low input, and of the high one's phases, for each number of steps."""
    kernels = library_code.kernels("forward_1x1_sm90", "90a")
    assert len(kernels) == 2 * 2 * 3  # types, directions, tiles
    for kernel in kernels:
        input_grad, columns = map(int, re.search(r"ELb(\d)ELi(\d+)ELb", kernel.name).groups())
        dtype = ".BF16" if "BFloat16" in kernel.name else ""
        products = {f"HGMMA.64x{columns}x16.F32{dtype}": 90}
        assert kernel.forms("HGMMA") == products, kernel.name
        assert kernel.count("tnspB") == (90 if input_grad else 0)
        # A fence, a group and a wait for each input and number of steps, and none of ptxas.
        for instruction in ("WARPGROUP.ARRIVE", r"HGMMA[^;]*gsb0", "WARPGROUP.DEPBAR"):
            assert kernel.count(instruction) == 20, kernel.name
        # Around all where blocks share the weight, and around what is added up of tiles that are
        # split, for their residuals' loader, too. Nothing else waits for all memory.
        barriers = 4 if input_grad else 6
        assert kernel.count("UCGABAR_ARV") == kernel.count(r"MEMBAR\.ALL\.GPU") == barriers
        # Before copies come where threads have read or written: of residuals, too, in each plane,
        # and by the warp that loads them.
        assert kernel.count(r"FENCE\.VIEW\.ASYNC") == 12 + (0 if input_grad else 2 * 5 + 1)
        # A box for both blocks, and how each tells both that it has multiplied one.
        assert kernel.count(r"UTMALDG\.4D\.MULTICAST") == 1
        assert kernel.count(r"SYNCS\.ARRIVE\.TRANS64\.RED") == 2  # of each input
        # Inference has stores of its own. Residuals come as boxes, too, and from shared memory as
        # matrices.
        residuals = {"LDSM.16.M88.4": 5 * columns // 16}
        assert kernel.forms("LDSM") == ({} if input_grad else residuals)
        assert kernel.forms("UTMASTG") == {"UTMASTG.4D": (4 + 1) * (1 if input_grad else 2)}
        assert kernel.forms("USETMAXREG").total() == 2


@pytest.mark.parametrize("name", KERNELS)
def test_kernels_for_hopper_are_empty_elsewhere(library_code, name):
    for kernel in library_code.kernels(name, "80"):
        assert kernel.count("HGMMA|UTMALDG|ST[GS]") == 0, kernel.name


@pytest.mark.parametrize("name", ["forward_sm90", "forward_1x1_sm90"])
def test_addresses_of_products_stay_in_uniform_registers(library_code, name):
    """What else a thread does may cost them: then each product has four brought there first."""
    for kernel in library_code.kernels(name, "90a"):
        assert kernel.count("R2UR") < kernel.count("HGMMA"), kernel.name


@pytest.mark.parametrize("name", ["forward_sm90", "forward_1x1_sm90"])
def test_kernels_wait_for_launches_before_them_before_they_touch_memory(library_code, name):
    """The compiler may move loads of what it takes to be constant, such as residuals.

    Maps, which are prefetched before, are parameters and not in other launches' hands.
    """
    for kernel in library_code.kernels(name, "90a"):
        assert kernel.count("ACQBULK") > 0, kernel.name
        before = kernel.code[: kernel.code.index("ACQBULK")]
        touches = r"\b(LDG?|STG?|REDG?|ATOMG?|UTMA(?!CCTL)\w+|UBLKCP)\b"
        assert not re.search(touches, before), kernel.name


def test_weight_grad_sm90_multiplies_three_taps_at_once(library_code):
    """One product stands in the code, of an operand that is transposed on its way to registers."""
    kernels = library_code.kernels("weight_grad_sm90", "90a")
    assert len(kernels) == 2 * 2
    for kernel in kernels:
        columns = 3 * int(re.search(r"Li(\d+)EEE", kernel.name)[1])
        dtype = ".BF16" if "BFloat16" in kernel.name else ""
        assert kernel.forms("HGMMA") == {f"HGMMA.64x{columns}x16.F32{dtype}": 1}, kernel.name
        assert kernel.count("tnspB") == kernel.count("WARPGROUP.ARRIVE") == 1
        assert kernel.count("gsb0") == 1 + kernel.count("WARPGROUP.DEPBAR") == 2
        assert kernel.forms("LDSM") == {"LDSM.16.MT88.4": 1}
        assert kernel.count(r"UTMALDG\.4D") == kernel.count("UTMALDG") == 2
        assert kernel.forms("USETMAXREG").total() == 2
        assert most_within(20, "LDS.128", kernel.code) >= 8, kernel.name  # two windows' pixels


@pytest.mark.parametrize(("kernel", "maps"), [*zip(KERNELS, (11, 19, 2, 10), strict=True)])
def test_maps_are_prefetched_before_anything_is_copied(library_code, kernel, maps):
    for each in library_code.kernels(kernel, "90a"):
        names = [name for name in names_of(each.code) if name in ("UTMACCTL", "BAR", "UTMALDG")]
        assert names[: maps + 1] == ["UTMACCTL"] * maps + ["BAR"], each.name
        assert names.count("UTMACCTL") == each.count(r"UTMACCTL\.PF") == maps


def most_within(span: int, instruction: str, code: str) -> int:
    """How many of an instruction stand together at most, so that their results come together."""
    line = r"^\s+/\*[0-9a-f]{4,5}\*/\s+(?:@!?U?P\w+\s+)?([\w.]+)"
    names = re.findall(line, code, re.MULTILINE)
    where = [i for i, name in enumerate(names) if name == instruction]
    return max(sum(i <= j < i + span for j in where) for i in where)


def test_weight_grad_1x1_sm90_pools_in_registers(library_code):
    """x comes to registers once for all products of a step, which end together."""
    kernels = library_code.kernels("weight_grad_1x1_sm90", "90a")
    assert len(kernels) == 2 * 2
    for kernel in kernels:
        rows, groups = map(int, re.search(r"Li(\d+)ELi(\d)EEE", kernel.name).groups())
        # Loads of a helper that sums up dy do not wait for each other.
        assert most_within(20, "LDS.128", kernel.code) >= (4 if rows == 128 else 3)
        dtype = ".BF16" if "BFloat16" in kernel.name else ""
        assert kernel.forms("HGMMA") == {f"HGMMA.64x{rows}x16.F32{dtype}": 5 * groups}, kernel.name
        assert kernel.count("tnspB") == 5 * groups
        assert kernel.count("gsb0") == 2  # the last product's, and the wait for it
        assert kernel.count("WARPGROUP.ARRIVE") == 1
        assert kernel.forms("LDSM") == {"LDSM.16.MT88.4": 4 * groups}
        assert kernel.count(r"UTMALDG\.4D") == kernel.count("UTMALDG") == 1 + 128 // 64
        assert kernel.forms("USETMAXREG").total() == 2
        # Between the loads and the products two channels of two quads at a time are pooled.
        names = names_of(kernel.code)
        first, last = names.index("LDSM"), len(names) - 1 - names[::-1].index("HGMMA")
        assert last - first <= 5 * groups + 110 * groups, kernel.name

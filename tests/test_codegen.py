"""What the compilers make of the kernels: registers and machine code."""

import re
from collections import Counter

import pytest
from machine_code import ARCHS, CSRC, EMULATION, instance_of

from octconv_cuda.build import build_info

# The most registers that a kernel may take: what its threads on a multiprocessor are planned with.
REGISTERS = {
    "pool2x2": 48, "pool2x2_input_grad": 48, "gemm": 80, "forward_sm80": 255,
    "forward_1x1_sm80": 255, "weight_grad_sm80": 255, "weight_grad_1x1_sm80": 255,
    "add_weight_grad_splits": 48,
    "forward_sm90": 128, "forward_1x1_sm90": 168, "weight_grad_sm90": 128,
    "weight_grad_1x1_sm90": 168,
}  # fmt: skip


# Bytes of a thread's local memory that a kernel may take for registers, by architecture and a
# pattern of its name; 0 unless listed. Where threads cannot pass registers to others, 128 of them
# are few for the multipliers of small tiles: what is the same for a row of taps is stored.
STACK = {
    ("80", "forward_sm80.*Small"): 112,
}


def most_stack(arch: str, kernel: str) -> int:
    listed = (most for (of, name), most in STACK.items() if of == arch and re.search(name, kernel))
    return next(listed, 0)


def kernel_of(mangled: str) -> str:
    """The kernel's own name within that of an instantiation."""
    return next(name for name in REGISTERS if instance_of(name) in mangled)


def test_everything_is_kept_in_registers(library_code):
    """Of every instantiation in the library; how much stack is known of two targets alone."""
    targets = build_info().archs.replace("+PTX", "").replace(".", "")
    assert {each.arch for each in library_code.resources} == set(targets.split(";"))
    assert {kernel_of(each.kernel) for each in library_code.resources} == set(REGISTERS) - {"gemm"}
    check_registers(library_code.resources)


def check_registers(every):
    for each in every:
        assert each.registers <= REGISTERS[kernel_of(each.kernel)], each
        assert each.local == 0, each
        if each.arch in ARCHS:
            assert each.stack <= most_stack(each.arch, each.kernel), each
        # What its threads pass on; with fewer a block would wait for ever.
        if each.arch == "90a" and kernel_of(each.kernel) == "forward_sm80":
            assert each.registers == (128 if "Small" in each.kernel else 168), each


@pytest.mark.parametrize("arch", ARCHS)
def test_forward_is_made_of_tensor_core_instructions(library_code, arch):
    """Each product stands once in the code: for phases, for quads of high and of low tiles."""
    kernels = library_code.kernels("forward_sm80", arch)
    assert len(kernels) == 2 * (6 + 6 + 5)  # directions, and types; tf32 has no narrow tiles
    for kernel in kernels:
        if arch == "80" and re.search("Wide|Narrow", kernel.name):
            assert kernel.count("HMMA") == 0  # plans choose them only where registers are passed
            continue
        if arch == "90a":
            assert kernel.count("USETMAXREG") == 2, kernel.name
        taps = int(re.search(r"Li(\d)ELb", kernel.name)[1])
        tf32, transposed = "TFloat32" in kernel.name, re.search(r"Li\dELb1E", kernel.name)
        groups, tiles_n = 2 if "Narrow" in kernel.name else 1, 8 if "Wide" in kernel.name else 4
        phases = 4 * taps * groups * tiles_n
        quads = taps * tiles_n * (groups + 4)
        shape = "1688" if tf32 else "16816"
        hmma = kernel.count(rf"HMMA\.{shape}\.F32[.\w]*")
        assert hmma == kernel.count("HMMA") == phases + quads, kernel.name
        windows = 2 * (taps + 1) * groups + taps * (groups + 4)
        weights = 0 if tf32 and transposed else 3 * taps * tiles_n // 2
        assert kernel.count("LDSM") == windows + weights, kernel.name
        if transposed and not tf32:
            assert kernel.count(r"LDSM\.16\.MT88\.4") == weights
        copies = {"LDGSTS.E.BYPASS.128", "LDGSTS.E.BYPASS.128.ZFILL"}
        assert set(kernel.forms("LDGSTS")) <= copies, kernel.name
        # Instructions to each of the tensor cores', in the loops over a chunk's phases. tf32 is
        # rounded word by word, and transposed loaded so, too.
        loops = inner_loops(kernel.code)
        longest = max(len(loop) for loop in loops if loop.count("HMMA") == phases)
        of_small = 5.6 if tf32 else {1: 2.2, 3: 1.65}.get(taps, 1.85)
        of_large = 3.8 if tf32 else 1.5
        assert longest <= (of_small if "Small" in kernel.name else of_large) * phases, kernel.name
        # What is stored of registers comes back outside of them; of 5x5 taps transposed some.
        assert sum(loop.count("STL") for loop in loops) == 0, kernel.name
        assert sum(loop.count("LDL") for loop in loops) <= 7 * (taps == 5), kernel.name


def inner_loops(code: str) -> list[list[str]]:
    """The instructions of each loop with HMMA that holds no other such loop."""
    names: list[str] = []
    labels, loops = {}, []
    for line in code.splitlines():
        if label := re.match(r"(\.L_x_\d+):", line):
            labels[label[1]] = len(names)
        names += names_of(line)
        if back := re.search(r"BRA[^`]*`\((\.L_x_\d+)\)", line):
            loops.append(range(labels.get(back[1], len(names)), len(names)))
    loops = [loop for loop in loops if "HMMA" in names[loop.start : loop.stop]]
    inner = [a for a in loops if not any(a != b and b[0] in a and b[-1] in a for b in loops)]
    return [names[loop.start : loop.stop] for loop in inner]


def inner_loop_density(code: str) -> float:
    """Instructions to each HMMA in the loop of the phases: the span with the most of them."""
    where = [i for i, name in enumerate(names_of(code)) if name == "HMMA"]
    runs, run = [], [where[0]]
    for position in where[1:]:
        if position - run[-1] > 40:
            runs.append(run)
            run = []
        run.append(position)
    longest = max([*runs, run], key=len)
    return (longest[-1] - longest[0] + 1) / len(longest)


@pytest.mark.parametrize("arch", ARCHS)
def test_forward_1x1_pools_in_registers(library_code, arch):
    """Each product stands once in the code: of the low input, and of the high one's phases."""
    kernels = library_code.kernels("forward_1x1_sm80", arch)
    assert len(kernels) == 2 * 2 * 3  # tiles, directions, types
    for kernel in kernels:
        tiles_n = 8 if "Joint64" in kernel.name else 4
        tf32, transposed = "TFloat32" in kernel.name, "ELb1ENS_" in kernel.name
        by_words = tf32 and transposed  # of the weight
        low_input, high_input = 1 + 1, 4 + 1  # m16 tiles of both parts
        assert kernel.count("HMMA") == tiles_n * (low_input + high_input)
        weights = 0 if by_words else 2 * 2 * tiles_n // 2
        assert kernel.count("LDSM") == 1 + 4 + weights  # no pixel is loaded twice, none stored
        copies = {"LDGSTS.E.BYPASS.128", "LDGSTS.E.BYPASS.128.ZFILL"}
        assert set(kernel.forms("LDGSTS")) <= copies, kernel.name
        # 16 bytes to a store: two rows of m16 tiles, four n8 tiles by four lanes. Inference has
        # its own, behind loads of scale, shift and residuals.
        stores = 2 * (4 + 1) * tiles_n // 4 * (2 if tf32 else 1) * (1 if transposed else 2)
        assert set(kernel.forms("STG")) == {"STG.E.128"}
        assert kernel.count("STG") == stores
        # Only transposed are results exchanged among lanes: of each tile and row a pair of columns.
        assert kernel.count("STS") == (2 * (4 + 1) * tiles_n if transposed else 0)
        # Nothing is done again for lanes that have parted, as the compiler would have it.
        assert kernel.count("SHFL") == 1
        most = (5.3 if tf32 else 3.3) if tiles_n == 8 else (7.0 if tf32 else 5.3)
        assert step_density(kernel.code) <= most, kernel.name


def test_forward_sm90_is_made_of_hopper_instructions(library_code):
    """Each product stands twice in the code: in loops over all steps of a chunk, and over half."""
    kernels = library_code.kernels("forward_sm90", "90a")
    assert len(kernels) == 2 * 2 * 8  # types, directions, kernels of each
    for kernel in kernels:
        geometry, high = map(int, re.search(r"Li(\d)ELi(\d+)EEE", kernel.name).groups())
        input_grad = "ELb1ELi" in kernel.name
        dtype = ".BF16" if "BFloat16" in kernel.name else ""
        registers = geometry >= 3
        lows = (high,) if high == 32 or registers else (64, 128, 160, 32)
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
        # Inference has code of its own for residuals and SiLU, and for ReLU or nothing. Both read
        # scale and shift of each block of 32 columns, the former those of the widest tiles twice.
        assert kernel.count("STG") == (units if input_grad else 3 * units)
        factors = 4 * (2 * (high + sum(lows)) + sum(low for low in lows if low > 128)) // 32
        assert kernel.count(r"LDG\.E\.128[.\w]*") == (0 if input_grad else factors + units)
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
        # Before copies come where threads have read or written: of residuals, too, in each part and
        # where the splits were.
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


def names_of(code: str) -> list[str]:
    """The names of all instructions, in their order."""
    return re.findall(r"^\s+/\*[0-9a-f]{4,5}\*/\s+(?:@!?U?P\w+\s+)?([A-Z0-9]+)", code, re.MULTILINE)


def step_density(code: str) -> float:
    """Instructions to each HMMA from the phases' loads to the last product of the high input."""
    names = names_of(code)
    products = [i for i, name in enumerate(names) if name == "HMMA"]
    low, high = len(products) * 2 // 7, len(products) * 5 // 7
    comes_first = products[high] - products[high - 1] > products[low] - products[low - 1]
    of_high = products[:high] if comes_first else products[low:]
    before = 0 if comes_first else products[low - 1]
    loads = [i for i in range(before, of_high[-1]) if names[i] == "LDSM"]
    return (of_high[-1] - loads[0] + 1) / len(of_high)


@pytest.mark.parametrize("name", [name for name in REGISTERS if "sm90" in name])
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
    """The compiler may move loads of what it takes to be constant, such as residuals."""
    for kernel in library_code.kernels(name, "90a"):
        assert kernel.count("ACQBULK") > 0, kernel.name
        before = kernel.code[: kernel.code.index("ACQBULK")]
        assert not re.search(r"\b(LDG?|STG?|REDG?|ATOMG?|UTMA\w+|UBLKCP)\b", before), kernel.name


@pytest.mark.parametrize("arch", ARCHS)
def test_weight_grad_is_made_of_tensor_core_instructions(library_code, arch):
    """The products of a step stand once in the code; their operands come as whole fragments."""
    steps = {  # HMMA, and LDSM of dy and x, by kernel size and tiles
        "Li3ENS_8WideGrad": (2 * 4 * 9, 8 + 9),
        "Li3ENS_10NarrowGrad": (2 * 2 * 2 * 9, 4 + 2 * 9),
        "Li1ENS_8WideGrad": (2 * 4 * 8, 8 + 8),
        "Li1ENS_10NarrowGrad": (2 * 2 * 8, 4 + 8),
        "Li5ENS_10NarrowGrad": (2 * 2 * 2 * 5, 8 + 5),  # of a row of taps, as of 7x7
        "Li7ENS_10NarrowGrad": (2 * 2 * 2 * 7, 8 + 7),
    }
    of_tf32 = {1: 4, 3: 9, 5: 5, 7: 7}
    kernels = library_code.kernels("weight_grad_sm80", arch)
    assert len(kernels) == 2 * 6 + 4
    for kernel in kernels:
        copies = {"LDGSTS.E.BYPASS.128", "LDGSTS.E.BYPASS.128.ZFILL"}
        assert set(kernel.forms("LDGSTS")) <= copies, kernel.name
        if "TFloat32" in kernel.name:
            hmma = kernel.count(r"HMMA\.1688\.F32[.\w]*")
            taps = of_tf32[int(re.search(r"Li(\d)ENS_", kernel.name)[1])]
            assert hmma == kernel.count("HMMA") == 2 * 2 * taps, kernel.name
            # Each word of both operands is loaded and rounded.
            assert inner_loop_density(kernel.code) <= 4.0, kernel.name
            continue
        products, fragments = next(v for name, v in steps.items() if name in kernel.name)
        hmma = kernel.count(r"HMMA\.16816\.F32[.\w]*")
        assert hmma == kernel.count("HMMA") == products, kernel.name
        assert kernel.forms("LDSM") == {"LDSM.16.MT88.4": fragments}, kernel.name
        # Hardly a move between the products: it would be one for each word of a fragment.
        assert inner_loop_density(kernel.code) <= 1.3, kernel.name


@pytest.mark.parametrize("arch", ARCHS)
def test_weight_grad_1x1_pools_by_tensor_cores(library_code, arch):
    """No pixel is loaded twice, and none is pooled by other instructions."""
    kernels = library_code.kernels("weight_grad_1x1_sm80", arch)
    assert len(kernels) == 2 * 4
    for kernel in kernels:
        rows, columns = 2, 2  # fragments of 16 channels; each pixel's, and each quad's
        products = (4 + 3) * rows * columns * 2 + 4 * (rows + columns)
        hmma = kernel.count(r"HMMA\.16816\.F32[.\w]*")
        assert hmma == kernel.count("HMMA") == products, kernel.name
        assert kernel.forms("LDSM") == {"LDSM.16.MT88.4": (4 + 1) * (rows + columns)}, kernel.name
        copies = {"LDGSTS.E.BYPASS.128", "LDGSTS.E.BYPASS.128.ZFILL"}
        assert set(kernel.forms("LDGSTS")) <= copies, kernel.name
        assert inner_loop_density(kernel.code) <= 3.1, kernel.name


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


@pytest.mark.parametrize("arch", ARCHS)
def test_pool2x2_moves_16_bytes_at_a_time(library_code, arch):
    kernels = [
        kernel
        for name in ("pool2x2", "pool2x2_input_grad")
        for kernel in library_code.kernels(name, arch)
    ]
    vectorised = [kernel for kernel in kernels if not re.search(r"Li1EE", kernel.name)]
    assert len(kernels) == 8 + 8
    assert len(vectorised) == 4 + 4
    for kernel in vectorised:
        loads, stores = kernel.forms("LDG"), kernel.forms("STG")
        # Of the pixels of a window and one of low, one side is loaded and the other one stored.
        window, other = (loads, stores) if "input_grad" not in kernel.name else (stores, loads)
        assert window.total() == 4 + 1, kernel.name
        assert other.total() <= 2, kernel.name
        assert all(".128" in access for access in [*loads, *stores]), kernel.name


@pytest.mark.parametrize("arch", ARCHS)
def test_gemm_is_made_of_tensor_core_instructions(gemm_code, arch):
    check_registers(gemm_code.resources)
    kernels = gemm_code.kernels("gemm", arch)
    assert len(kernels) == 3
    for kernel in kernels:
        shape = "1688" if "TFloat32" in kernel.name else "16816"
        # A chunk is four steps of 2 x 4 tiles, of which each operand is loaded once.
        assert kernel.count(rf"HMMA\.{shape}\.F32[.\w]*") == kernel.count("HMMA") == 4 * 2 * 4
        assert kernel.forms("LDSM") == {"LDSM.16.M88.4": 4 * (2 + 2)}
        assert set(kernel.forms("LDGSTS")) == {"LDGSTS.E.BYPASS.128"}
        assert kernel.count("ATOMG.E.ADD.STRONG.GPU") == 1


def test_kernels_use_only_the_instructions_of_ptx():
    """So that another file named <device/ptx.cuh> can run them anywhere."""
    kernels = sorted([*CSRC.glob("kernels/**/*.cuh"), *EMULATION.glob("kernels/*.cuh")])
    assert len(kernels) >= 2
    keywords = "global|device|forceinline|grid_constant|launch_bounds"
    foreign = rf"\basm\b|threadIdx|blockIdx|blockDim|gridDim|<<<|torch|cuda|__(?!({keywords})__)\w+"
    for path in kernels:
        code = re.sub(r"//.*", "", path.read_text())
        assert re.search(foreign, code) is None, path
        assert "#include <device/ptx.cuh>" in code or '#include "kernels/' in code, path

"""What the compilers make of the kernels: registers and machine code."""

import re

import pytest
from machine_code import ARCHS, CSRC, EMULATION, instance_of, names_of

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
# are few for the multipliers of the input gradient's small tiles in 16-bit types: what is the same
# for an item or a row of taps is stored.
STACK = {
    ("80", "forward_sm80.*Float16ELb1.*Small"): 48,
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
        # Nothing static lies before the dynamic part, which is aligned like all of it: to 1024.
        assert each.shared % 1024 == 0, each
        if each.arch in ARCHS:
            assert each.stack <= most_stack(each.arch, each.kernel), each
        # What its threads pass on; with fewer a block would wait for ever.
        if each.arch == "90a" and kernel_of(each.kernel) == "forward_sm80":
            assert each.registers == (128 if "Small" in each.kernel else 168), each


@pytest.mark.parametrize("arch", ARCHS)
def test_forward_is_made_of_tensor_core_instructions(library_code, arch):
    """Each product stands once in the code: for phases, for quads of high and of low tiles."""
    kernels = library_code.kernels("forward_sm80", arch)
    assert len(kernels) == 2 * 3 * 3  # directions, types, pairs of tiles
    for kernel in kernels:
        if arch == "80" and "Wide" in kernel.name:
            assert kernel.count("HMMA") == 0  # plans choose them only where registers are passed
            continue
        if arch == "90a":
            assert kernel.count("USETMAXREG") == 2, kernel.name
        tiles = re.search("WideTiles|SmallTilesOfManyTaps|SmallTiles", kernel.name)[0]
        sizes = {"WideTiles": (3,), "SmallTiles": (1, 3), "SmallTilesOfManyTaps": (5, 7)}[tiles]
        wide, tiles_n = tiles == "WideTiles", 8 if tiles == "WideTiles" else 4
        tf32, transposed = "TFloat32" in kernel.name, "Lb1E" in kernel.name
        shape = "1688" if tf32 else "16816"
        hmma = kernel.count(rf"HMMA\.{shape}\.F32[.\w]*")
        assert hmma == kernel.count("HMMA") == sum(sizes) * tiles_n * (4 + 1 + 4), kernel.name
        windows = sum(2 * (taps + 1) + taps * (1 + 4) for taps in sizes)
        weights = 0 if tf32 and transposed else 3 * sum(sizes) * tiles_n // 2
        assert kernel.count("LDSM") == windows + weights, kernel.name
        if transposed and not tf32:
            assert kernel.count(r"LDSM\.16\.MT88\.4") == weights
        copies = {"LDGSTS.E.BYPASS.128", "LDGSTS.E.BYPASS.128.ZFILL"}
        assert set(kernel.forms("LDGSTS")) <= copies, kernel.name
        # Instructions to each of the tensor cores', in the loops over a chunk's phases. tf32 is
        # rounded word by word, and transposed loaded so, too.
        loops = inner_loops(kernel.code)
        for taps in sizes:
            phases = 4 * taps * tiles_n
            longest = max(len(loop) for loop in loops if loop.count("HMMA") == phases)
            of_small = 5.6 if tf32 else {1: 2.2, 3: 1.65}.get(taps, 1.85)
            of_large = 3.8 if tf32 else 1.5
            assert longest <= (of_large if wide else of_small) * phases, kernel.name
        # What is stored of registers is stored outside of them, and comes back there.
        assert not any("STL" in loop or "LDL" in loop for loop in loops), kernel.name


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


@pytest.mark.parametrize("arch", ARCHS)
def test_weight_grad_is_made_of_tensor_core_instructions(library_code, arch):
    """The products of a step stand once in the code; their operands come as whole fragments."""
    steps = {  # HMMA, and LDSM of dy and x, by kernel size and tiles
        "Li3ENS_8WideGrad": (2 * 4 * 9, 8 + 9),
        "Li3ENS_10NarrowGrad": (2 * 2 * 2 * 9, 4 + 2 * 9),
        "Li1ENS_8WideGrad": (2 * 4 * 8, 8 + 8),
        "Li1ENS_10NarrowGrad": (2 * 2 * 8, 4 + 8),
        "Li7ENS_10NarrowGrad": (2 * 2 * 2 * (5 + 7), 2 * 8 + 5 + 7),  # a row of taps of each size
    }
    of_tf32 = {1: 4, 3: 9, 7: 5 + 7}
    kernels = library_code.kernels("weight_grad_sm80", arch)
    assert len(kernels) == 2 * 5 + 3
    for kernel in kernels:
        copies = {"LDGSTS.E.BYPASS.128", "LDGSTS.E.BYPASS.128.ZFILL"}
        assert set(kernel.forms("LDGSTS")) <= copies, kernel.name
        if "TFloat32" in kernel.name:
            hmma = kernel.count(r"HMMA\.1688\.F32[.\w]*")
            taps = of_tf32[int(re.search(r"Li(\d)ENS_", kernel.name)[1])]
            assert hmma == kernel.count("HMMA") == 2 * 2 * taps, kernel.name
            # Each word of both operands is loaded and rounded.
            assert inner_loop_density(kernel.code) <= 4.2, kernel.name
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

"""Each function of the device layer: its host twin against numpy, and a GPU against its twin."""

import ctypes
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from emulation.emulator import RUNS, Emulator
from emulation.gpu import build
from emulation.gpu.device import Gpu, GpuError
from emulators import ASAN, PLAIN, PTX, TSAN
from probes import PROBES
from probes.hopper import HOPPER

Get = Callable[[str], Emulator]
LAYER_TEXT = (build.CSRC / "device" / "ptx.cuh").read_text()
DEVICE_LAYER = [
    *(build.CSRC / name for name in re.findall(r'#include "(.*)"', LAYER_TEXT)),
    *sorted((build.CSRC / "device" / "sm90").glob("*.cuh")),
]
KERNELS = build.EMULATION / "kernels"
PROBE_TEXT = "".join(path.read_text() for path in sorted(KERNELS.glob("probes*.cuh")))


@pytest.fixture(scope="module")
def library(setup_py: ModuleType) -> Path:
    """The launchers for a GPU."""
    cuda_home = setup_py.find_cuda()
    path = build.build(cuda_home / "bin" / "nvcc" if cuda_home else None)
    if path is None:
        pytest.skip("no nvcc, and no library that was built from these sources")
    return path


@pytest.fixture(scope="module")
def gpu(library: Path) -> Iterator[Gpu]:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    if torch.cuda.get_device_capability() < (8, 0):
        pytest.skip("no device of compute capability 8.0 or more")
    device = Gpu(library)
    yield device
    device.close()


@pytest.mark.parametrize("probe", PROBES)
@pytest.mark.parametrize("mode", [PLAIN, ASAN, TSAN, PTX])
def test_twin_does_what_numpy_says(emulator_in: Get, mode, probe):
    """However its threads take turns; under a sanitizer, some of the ways.

    In PTX it is the text of the device layer's asm that does, by the rules of PTX's manual.
    """
    runs = RUNS if mode in ("plain", "ptx") else [r._replace(count=False) for r in RUNS[-2:]]
    wrong = {}
    for name, case in PROBES[probe]():
        for run in runs:
            written, counters = emulator_in(mode)("probe", probe, case.data, run=run)
            assert counters["translated"] == (mode == "ptx")
            if difference := case.difference(written, case.expected):
                wrong[name] = difference
    assert not wrong


@pytest.mark.parametrize("mode", [PLAIN])
def test_twin_counts_what_is_read_through_a_cluster(emulator_in: Get, mode):
    """In each of four rounds, all words."""
    ((_, case),) = PROBES["pass_round_4_128"]()
    _, counters = emulator_in(mode)("probe", "pass_round_4_128", case.data)
    assert counters["cluster_bytes"] == 4 * case.data.nbytes


@pytest.mark.parametrize("mode", [PLAIN])
@pytest.mark.parametrize(("probe", "cold"), [("copy_box_4", 0), ("share_boxes", 4)])
def test_twin_counts_maps_that_blocks_have_not_prefetched(emulator_in: Get, mode, probe, cold):
    ((_, case),) = PROBES[probe]()
    _, counters = emulator_in(mode)("probe", probe, case.data)
    assert counters["cold_maps"] == cold


@pytest.mark.parametrize("mode", [PLAIN])
@pytest.mark.parametrize("probe", PROBES)
def test_gpu_does_what_its_twin_does(emulator_in: Get, gpu: Gpu, mode, probe):
    if probe in HOPPER and torch.cuda.get_device_capability() != (9, 0):
        pytest.skip("no Hopper")
    wrong = {}
    for name, case in PROBES[probe]():
        twin, _ = emulator_in(mode)("probe", probe, case.data)
        written = gpu.probe(probe, case.data, case.expected.nbytes)
        if difference := case.difference(written, twin):
            wrong[name] = difference
    assert not wrong


@pytest.mark.parametrize("mode", [PLAIN])
@pytest.mark.parametrize("splits", [1, 3])
@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_gpu_multiplies_matrices_as_its_twin_does(emulator_in: Get, gpu: Gpu, mode, dtype, splits):
    """On integers, whose sums every order and type gives alike."""
    integers = (torch.randint(-1, 2, (rows, 456)) for rows in (130, 70))
    a, b = (x.to(getattr(torch, dtype)) for x in integers)
    a, b = ((x if dtype == "float32" else x.view(torch.int16)).numpy() for x in (a, b))
    twin, _ = emulator_in(mode)("gemm", dtype, a, b, splits, 1)
    written = gpu.gemm(dtype, a, b, splits)
    assert written.tobytes() == twin.tobytes()


def functions_of(path: Path) -> set[str]:
    """The functions and classes that a file of the device layer, or its twin, declares."""
    text = re.sub(r"//.*", "", path.read_text())
    start = r"^ *(?!return|extern|asm|struct)(?:template <> |inline |__device__ |__forceinline__ )*"
    functions = re.findall(rf"{start}[\w:]+ (\w+)(?:<\w+>)?\(", text, re.MULTILINE)
    return {*functions, *re.findall(r"^class (\w+)", text, re.MULTILINE)}


@pytest.mark.parametrize("path", DEVICE_LAYER, ids=lambda path: path.stem)
def test_every_function_has_a_twin_and_a_probe(path):
    declared = functions_of(path)
    assert declared
    assert declared <= functions_of(build.EMULATION / path.relative_to(build.CSRC))
    probed = set(re.findall(r"(?:ptx::|shared\.)(\w+)", PROBE_TEXT))
    assert declared <= probed


@pytest.mark.parametrize("mode", [PLAIN])
def test_every_probe_is_listed_and_has_cases(library, emulator_in: Get, mode):
    list_text = (KERNELS / "probe_list.cuh").read_text()
    kernels = re.findall(r"__global__ void (\w+)\(", PROBE_TEXT)
    assert kernels
    assert all(re.search(rf"\b{kernel}\b", list_text) for kernel in kernels)

    probes = ctypes.CDLL(str(library)).probes
    probes.restype = ctypes.c_char_p
    lines = [line.split() for line in probes().decode().splitlines()]
    listed = {name: (int(in_bytes), int(out_bytes)) for name, in_bytes, out_bytes in lines}
    sizes = {}
    for name, cases in PROBES.items():
        (sizes[name],) = {(case.data.nbytes, case.expected.nbytes) for _, case in cases()}
    assert listed == sizes
    assert lines == [list(map(str, entry)) for entry in emulator_in(mode)("probes")]


def declared_products() -> set[tuple[str, ...]]:
    """The shapes of warpgroups' products: type, columns, transposed, a through registers."""
    text = (build.CSRC / "device" / "sm90" / "products.cuh").read_text()
    shape = r"OCTCONV_MULTIPLY(_REGISTERS)?\(T, TYPE, (\d+), (\w+)"
    return {
        (dtype, columns, order, str(bool(registers)))
        for registers, columns, transposed in re.findall(shape, text)
        for order in ("01" if transposed == "TRANSPOSED" else transposed)
        for dtype in ("bf16", "f16")
    }


def products_of(ptx: str) -> set[tuple[str, ...]]:
    """The shapes that stand in PTX."""
    shape = r"wgmma\.mma_async\S*m64n(\d+)k16\.f32\.(\w+)\.\w+ {[^}]*}, (\S)[^;]*, (\d);"
    found = re.findall(shape, ptx)
    return {(dtype, columns, order, str(a == "{")) for columns, dtype, a, order in found}


def test_probes_contain_every_instruction(nvcc, tmp_path):
    """Each statement of asm in the device layer stands in what nvcc makes of the probes."""
    ptx = tmp_path / "probes.ptx"
    command = [nvcc, "-x", "cu", "-ptx", "-arch=compute_90a", *build.FLAGS[:3], *build.INCLUDES]
    subprocess.run([*command, KERNELS / "probe_list.cuh", "-o", ptx], check=True)
    made = " ".join(ptx.read_text().split())
    statements = []
    for path in DEVICE_LAYER:
        for strings in re.findall(r'\basm(?: volatile)?\(((?:\s*"[^"]*")+)', path.read_text()):
            statements.append("".join(re.findall(r'"([^"]*)"', strings)))
    assert len(statements) > 40
    patterns = [re.sub(r"%\d", r"[%\\w]+", re.escape(text)) for text in statements]
    patterns = [pattern.replace("%%", "%") for pattern in patterns]
    assert not [pattern for pattern in patterns if not re.search(pattern, made)]
    assert products_of(made) == declared_products()


def test_library_has_code_for_each_target(library):
    content = library.read_bytes()
    assert b".target sm_80" in content
    for arch in ("80", "90a"):
        assert f"-arch sm_{arch} ".encode() in content


def test_library_says_what_went_wrong(library):
    device = Gpu(library)
    with pytest.raises(GpuError, match="no probe is named nothing"):
        device.probe("nothing", np.zeros(1), 1)
    with pytest.raises(GpuError, match="no gemm of float64"):
        device.gemm("float64", np.zeros((1, 8)), np.zeros((2, 8)), 1)
    if not torch.cuda.is_available():
        with pytest.raises(GpuError, match="cudaMalloc"):
            device.probe("ids", np.zeros(1), 1)
    device.close()

"""Which cards the kernels of a build run on."""

from types import ModuleType

import pytest

from octconv_cuda.build import build_info, runs_on


@pytest.mark.parametrize(
    ("archs", "runs", "refuses"),
    [
        ("8.0;9.0a;8.0+PTX", [(8, 0), (8, 6), (8, 9), (9, 0), (10, 0), (12, 0)], [(7, 5), (6, 1)]),
        ("8.0;9.0a", [(8, 0), (8, 6), (9, 0)], [(7, 5), (10, 0)]),
        ("9.0a", [(9, 0)], [(8, 0), (9, 1), (10, 0)]),
        ("8.6", [(8, 6), (8, 9)], [(8, 0), (9, 0)]),
        ("9.0+PTX", [(9, 0), (12, 1)], [(8, 9)]),
    ],
)
def test_runs_on(archs: str, runs: list[tuple[int, int]], refuses: list[tuple[int, int]]) -> None:
    assert all(runs_on(archs, capability) for capability in runs)
    assert not any(runs_on(archs, capability) for capability in refuses)


@pytest.mark.parametrize("archs", ["8.0;9.0a;8.0+PTX", "8.6 9.0+PTX", "12.0"])
def test_targets(setup_py: ModuleType, archs: str) -> None:
    targets = setup_py.checked_archs(archs)
    assert targets == archs.replace(" ", ";")
    runs_on(targets, (8, 0))


@pytest.mark.parametrize("archs", ["Hopper", "8.0;12.0f", "80", "8.0;;9.0a", "native"])
def test_targets_that_no_card_can_be_compared_with(setup_py: ModuleType, archs: str) -> None:
    with pytest.raises(RuntimeError, match=f"TORCH_CUDA_ARCH_LIST must have .* got '{archs}'"):
        setup_py.checked_archs(archs)


def test_build_info() -> None:
    info = build_info()
    assert info.torch
    assert bool(info.nvcc) == bool(info.archs)

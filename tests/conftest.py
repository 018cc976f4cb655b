"""Fixtures of all tests. The same tests run on every device; those of absent ones are skipped."""

import pytest
import torch
from emulated_operators import emulated, emulated_library  # noqa: F401
from emulators import emulator_in, translations  # noqa: F401
from hypothesis import settings
from machine_code import gemm_code, library_code, nvcc, setup_py  # noqa: F401

# The same examples on every run and machine: a failure is then a defect, never luck.
settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=150)
settings.load_profile("repeatable")

NO_CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@pytest.fixture(scope="session", params=["cpu", pytest.param("cuda", marks=NO_CUDA)])
def device(request: pytest.FixtureRequest) -> torch.device:
    return torch.device(request.param)


@pytest.fixture(autouse=True)
def _repeatable() -> None:
    """The same numbers on every run; on one thread, since on tiny tensors threads only wait."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.allow_tf32 = False  # but where a test asks for it

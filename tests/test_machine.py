"""What the benchmarks say of a machine, and what they set on it."""

import platform
from pathlib import Path

import torch

from benchmarks import machine


def test_the_arm_host_of_a_gpu_is_named(monkeypatch):
    cpuinfo = "processor\t: 0\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU part\t: 0xd4f\n"
    read_text = Path.read_text
    monkeypatch.setattr(
        Path, "read_text", lambda path: cpuinfo if path.match("cpuinfo") else read_text(path)
    )
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA GH200 480GB")
    host = machine.describe(torch.device("cuda"))["processor"]
    assert host.startswith(f"{platform.machine()}, implementer 0x41, part 0xd4f, ")


def test_machine_slug():
    assert machine.slug("NVIDIA H100 80GB HBM3") == "nvidia-h100-80gb-hbm3"


def test_precision_is_restored():
    before = torch.backends.cudnn.conv.fp32_precision
    with machine.precision("tf32"):
        assert torch.backends.cudnn.conv.fp32_precision == "tf32"
        assert torch.backends.cuda.matmul.allow_tf32  # raised, to the compiler too, while they mix
        with machine.precision("float32"):
            assert torch.backends.cuda.matmul.fp32_precision == "ieee"
    assert torch.backends.cudnn.conv.fp32_precision == before

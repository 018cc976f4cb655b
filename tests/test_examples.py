"""The examples run in short, and measure what they say."""

import math
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from examples import digits, feature_maps, spectrum
from octconv_cuda import OctaveMaps

ROOT = Path(__file__).parents[1]


def test_digits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "a.png"
    accuracies = digits.main(["--seeds", "2", "--epochs", "3", "--out", str(picture)])
    assert list(accuracies) == [0.0, 0.5]
    for values in accuracies.values():
        assert len(values) == 2
        assert min(values) > 0.75  # chance is 0.1
    assert picture.stat().st_size > 1000
    assert "2.00 M multiply-adds" in capsys.readouterr().out


def test_the_vanilla_twin_of_digits_is_vanilla() -> None:
    net, x = digits.network(0.0), torch.randn(2, 1, 8, 8)
    y = torch.nn.functional.conv2d(x, net[0].weight, padding=1)
    torch.testing.assert_close(net[0](x), y)
    assert sum(p.numel() for p in net.parameters()) == sum(
        p.numel() for p in digits.network(0.5).parameters()
    )


def test_two_processes_train_the_same_digits(tmp_path: Path) -> None:
    """Half of each batch in each of two processes, for one epoch of the same batches."""
    arguments = ["-m", "examples.digits", "--seeds", "1", "--epochs", "1", "--out"]
    launchers = ([], ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"])
    found = []
    for i, launcher in enumerate(launchers):
        command = [sys.executable, *launcher, *arguments, str(tmp_path / f"{i}.png")]
        one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}  # on tiny tensors others only wait
        run = subprocess.run(
            command, cwd=ROOT, env=one_thread, capture_output=True, text=True, timeout=300
        )
        assert run.returncode == 0, run.stderr
        found.append([float(x) for x in re.findall(r"adds: ([\d.]+)%", run.stdout)])
    one, two = found
    assert len(one) == 2
    assert min(one) > 20  # chance is 10
    assert two == pytest.approx(one, abs=1)


def test_feature_maps(tmp_path: Path) -> None:
    maps = feature_maps.main(["--out", str(tmp_path / "a.png")])
    assert maps["stem"].shape == (1, 64, 107, 160)
    block = maps["block 3"]
    assert isinstance(block, OctaveMaps)
    assert block.high.shape == (1, 128, 107, 160)
    assert block.low.shape == (1, 128, 54, 80)
    assert block.high.isfinite().all()
    assert (tmp_path / "a.png").stat().st_size > 1000


def rings_of(maps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return spectrum.radial_spectrum(spectrum.windowed(maps))


@pytest.mark.parametrize("cycles", [3, 8, 20])
def test_a_wave_lies_in_its_ring(cycles: int) -> None:
    x = torch.arange(64) * (2 * math.pi * cycles / 64)
    wave = 5 + x.cos().expand(1, 1, 64, 64)
    frequencies, shares = rings_of(wave)
    assert frequencies[shares.argmax()] == cycles / 64
    assert float(shares.sum()) == pytest.approx(1)
    assert float(shares[cycles - 1 : cycles + 2].sum()) > 0.999  # the window blurs by one ring
    diagonal = (x + x[:, None]).cos().expand(1, 1, 64, 64)
    expected = min(round(cycles * math.sqrt(2)), 32)
    assert abs(int(rings_of(diagonal)[1].argmax()) - expected) <= 1


def test_energies_are_those_of_the_pixels() -> None:
    """Parseval: of white noise each ring has the share of its frequencies."""
    noise = torch.randn(64, 8, 32, 32, generator=torch.Generator().manual_seed(0))
    frequencies, shares = rings_of(noise)
    axis = torch.fft.fftfreq(32).abs()
    radius = torch.hypot(axis[:, None], axis)
    for bound in (0.125, 0.25, 0.375):
        expected = float((radius > bound + 0.5 / 32).float().mean())
        assert spectrum.energy_above(bound, frequencies, shares) == pytest.approx(
            expected, abs=0.01
        )


def test_what_is_brought_to_full_resolution() -> None:
    low = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    full = spectrum.interpolated(low)
    torch.testing.assert_close(full[..., ::2, ::2].float(), low, rtol=1e-4, atol=1e-5)
    # A square's corners reach sqrt(2) times as far as its sides.
    beyond = math.ceil(64 * spectrum.LOW_NYQUIST * math.sqrt(2)) + 1
    full = spectrum.interpolated(spectrum.windowed(low))
    assert float(spectrum.radial_spectrum(full)[1][beyond:].sum()) < 1e-9
    assert float(rings_of(spectrum.repeated(low))[1][beyond:].sum()) > 0.02


def test_spectrum(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = spectrum.main(["--steps", "2", "--out", str(tmp_path / "a.png")])
    for shares in result.values():
        assert float(shares.sum()) == pytest.approx(1)
    assert "high map" in capsys.readouterr().out
    assert (tmp_path / "a.png").stat().st_size > 1000


@pytest.mark.parametrize("arguments", [["--seeds", "0"], ["--epochs", "0"]], ids=" ".join)
def test_digits_refuses(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        digits.main(arguments)
    assert "must be positive" in capsys.readouterr().err

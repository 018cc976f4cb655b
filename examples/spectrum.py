"""Measures what the paper's frequency argument claims, on a photograph.

The paper (Chen et al. 2019, section 1) says that feature maps hold low frequencies that need no
full resolution, and gives them maps of half the resolution. ``python -m examples.spectrum`` trains
a vanilla and an octave network of two layers on patches from the left halves of scikit-learn's two
photographs, to tell from which of the two a patch comes, and takes the radial power spectra of the
second layer's maps on the right halves:

- of the vanilla map, of the high map, and of the low map brought to full resolution;
- before the activation, which would add harmonics of its own, and without the borders, where the
  layers' padding shows;
- of each channel without its mean, under a Hann window, as shares of the channel's energy. The low
  map's window comes before its interpolation, which takes a map for periodic.

The low map is band-limited by construction: nothing can lie above 0.25 cycles a pixel of the high
map, its Nyquist frequency. So the share of energy that the *vanilla* map has above 0.25 is what a
low map could not hold, and that of the *high* map tells whether the octave layer moves the high
frequencies there. Brought to full resolution by repeating pixels, as the layer itself does, the low
map has images of its spectrum above 0.25; by interpolation in the Fourier domain it has none.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from octconv_cuda import OctaveBatchNorm2d, OctConv2d, PerPart

from .photographs import patches, photographs

SIZE, BORDER = 64, 8
LOW_NYQUIST = 0.25  # cycles a pixel of the high map


def windowed(maps: Tensor) -> Tensor:
    """Maps (N, C, S, S) without their means, under a Hann window."""
    window = torch.hann_window(maps.shape[-1], periodic=True, dtype=torch.float64)
    centred = maps.double() - maps.double().mean((2, 3), keepdim=True)
    return centred * window[:, None] * window


def radial_spectrum(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Frequencies in cycles a pixel, and the share of energy in each ring, averaged over maps.

    Args:
        maps: (N, C, S, S), as ``windowed`` gives them.

    Returns:
        S / 2 + 1 frequencies from 0 to 0.5, and as many shares; what lies in the corners beyond 0.5
        counts to the last.
    """
    size = maps.shape[-1]
    power = torch.fft.fft2(maps).abs().square()
    axis = torch.fft.fftfreq(size, dtype=torch.float64).abs()
    ring = (torch.hypot(axis[:, None], axis) * size).round().long().clamp_max(size // 2)
    rings = torch.zeros(*maps.shape[:2], size // 2 + 1, dtype=torch.float64)
    rings.scatter_add_(2, ring.flatten().expand(*maps.shape[:2], -1), power.flatten(2))
    total = rings.sum(2, keepdim=True)
    alive = total[..., 0] > 1e-12 * total.max()  # a channel that is constant has no spectrum
    shares = (rings / total.clamp_min(1e-300))[alive].mean(0)
    return torch.arange(size // 2 + 1) / size, shares


def energy_above(frequency: float, frequencies: Tensor, shares: Tensor) -> float:
    """The share of energy at frequencies above one."""
    return float(shares[frequencies > frequency].sum())


def inner(maps: Tensor, border: int) -> Tensor:
    """The maps without their borders."""
    return maps[..., border:-border, border:-border]


def repeated(low: Tensor) -> Tensor:
    """Twice the resolution by repeating pixels, as the octave layer does."""
    return F.interpolate(low, scale_factor=2, mode="nearest")


def interpolated(low: Tensor) -> Tensor:
    """Twice the resolution by zeros around its spectrum: the only map with nothing added."""
    size = low.shape[-1]
    spectrum = torch.fft.fftshift(torch.fft.fft2(low.double()), (2, 3))
    # Of even sizes the Nyquist frequency stands for both signs; its share is split between them.
    spectrum = F.pad(spectrum, (0, 1, 0, 1))
    spectrum[..., 0, :] /= 2
    spectrum[..., -1, :] = spectrum[..., 0, :]
    spectrum[..., 0] /= 2
    spectrum[..., -1] = spectrum[..., 0]
    padded = F.pad(spectrum, (size // 2, size // 2 - 1, size // 2, size // 2 - 1))
    return 4 * torch.fft.ifft2(torch.fft.ifftshift(padded, (2, 3))).real


def network(alpha: float, channels: int = 32) -> nn.Sequential:
    """Two convolutions and a classifier of means; the maps are those behind the second norm."""
    return nn.Sequential(
        nn.Sequential(
            OctConv2d(3, channels, 5, alpha_in=0, alpha_out=alpha, bias=False),
            OctaveBatchNorm2d(channels, alpha=alpha),
            PerPart(nn.ReLU()),
            OctConv2d(channels, channels, 5, alpha_in=alpha, alpha_out=alpha, bias=False),
            OctaveBatchNorm2d(channels, alpha=alpha),
        ),
        PerPart(nn.Sequential(nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())),
        _Joined(),
        nn.Linear(channels, 2),
    )


class _Joined(nn.Module):
    def forward(self, parts: Tensor | tuple[Tensor, Tensor]) -> Tensor:
        return parts if isinstance(parts, Tensor) else torch.cat(parts, 1)


def trained(alpha: float, halves: Tensor, steps: int) -> nn.Sequential:
    """The network after ``steps`` batches of 16 patches of each photograph."""
    torch.manual_seed(0)
    net = network(alpha)
    generator = torch.Generator().manual_seed(1)
    optimizer = torch.optim.AdamW(net.parameters(), 3e-3)
    classes = torch.arange(2).repeat_interleave(16)
    for _ in range(steps):
        x = torch.cat([patches(half, 16, 32, generator) for half in halves])
        loss = F.cross_entropy(net(x), classes)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return net.eval()


def spectra(steps: int) -> tuple[Tensor, dict[str, Tensor], dict[str, float]]:
    """Frequencies, spectra by map, and the accuracy of each network on the other halves."""
    images = photographs()
    left, right = images.chunk(2, 3)
    generator = torch.Generator().manual_seed(2)
    test = torch.cat([patches(half, 64, SIZE + 2 * BORDER, generator) for half in right])
    classes = torch.arange(2).repeat_interleave(64)
    result: dict[str, Tensor] = {}
    accuracies = {}
    frequencies, result["photograph"] = radial_spectrum(windowed(inner(test, BORDER)))
    for name, alpha in (("vanilla", 0.0), ("octave", 0.5)):
        net = trained(alpha, left, steps)
        with torch.no_grad():
            accuracies[name] = float((net(test).argmax(1) == classes).float().mean())
            maps = net[0](test)
        if alpha == 0:
            shown = {"vanilla map": windowed(inner(maps, BORDER))}
        else:
            low = inner(maps.low, BORDER // 2)
            shown = {
                "high map": windowed(inner(maps.high, BORDER)),
                "low map, interpolated": interpolated(windowed(low)),
                "low map, repeated": windowed(repeated(low)),
            }
        result |= {key: radial_spectrum(value)[1] for key, value in shown.items()}
    return frequencies, result, accuracies


def draw(frequencies: Tensor, result: dict[str, Tensor], path: Path) -> None:
    """Energy against frequency, with what lies above the low map's Nyquist frequency."""
    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    for name, shares in result.items():
        above = energy_above(LOW_NYQUIST, frequencies, shares)
        style = {"photograph": "k:", "low map, repeated": "--"}.get(name, "-")
        label = f"{name}: {above:.1%} above {LOW_NYQUIST}"
        axes.semilogy(
            frequencies[1:].numpy(), shares[1:].clamp_min(1e-9).numpy(), style, label=label
        )
    axes.axvline(LOW_NYQUIST, color="0.5", linewidth=1)
    axes.text(LOW_NYQUIST, 2e-7, " Nyquist frequency of the low map", color="0.4", fontsize=8)
    axes.set_xlabel("cycles a pixel of the high map")
    axes.set_ylabel("share of energy in the ring")
    axes.set_ylim(1e-7, 1)
    axes.set_title("Second layer, trained, on photographs; the low map is band-limited by design")
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main(argv: Sequence[str] | None = None) -> dict[str, Tensor]:
    """Trains, measures and draws; returns the spectra."""
    parser = argparse.ArgumentParser(prog="python -m examples.spectrum", description=__doc__)
    parser.add_argument("--steps", type=int, default=200)
    default = Path(__file__).parent / "pictures/spectrum.png"
    parser.add_argument("--out", type=Path, default=default)
    args = parser.parse_args(argv)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    frequencies, result, accuracies = spectra(args.steps)
    print("accuracy on the other halves:", ", ".join(f"{k} {v:.1%}" for k, v in accuracies.items()))
    for name, shares in result.items():
        above = [energy_above(f, frequencies, shares) for f in (LOW_NYQUIST / 2, LOW_NYQUIST)]
        print(f"{name}: {above[0]:.1%} of the energy above 0.125, {above[1]:.1%} above 0.25")
    draw(frequencies, result, args.out)
    print(f"Wrote {args.out}")
    return result


if __name__ == "__main__":
    main()

"""What inference adds to a call, its formula, and how the emulation takes it."""

from typing import Any

import torch
from cases import Case, Draw, Parts, half, multiples_of
from emulated_forward import memory_of
from torch import Tensor, nn

ACTIVATIONS = (lambda y: y, torch.relu, torch.nn.functional.silu)
# Of FusedConv2d.
MODULES = {"": nn.Identity(), "relu": nn.ReLU(), "silu": nn.SiLU(), "relu6": nn.ReLU6()}


class Extras:
    """Scale and shift; ``residuals`` absent or like the outputs."""

    def __init__(self, case: Case, residual: bool, draw: Draw = torch.randn) -> None:
        channels = sum(case.out_channels)
        self.scale, self.shift = draw(channels), draw(channels)
        shapes = zip(case.out_channels, (case.out_size, half(case.out_size)), strict=True)
        self.residuals = tuple(
            draw(case.batch, c, *size) if residual and c else None for c, size in shapes
        )

    @classmethod
    def integers(cls, case: Case, residual: bool, dtype: torch.dtype) -> "Extras":
        """Whole numbers, for a call in this type; no scale is 0."""
        extras = cls(case, residual, multiples_of(1))
        extras.scale[extras.scale == 0] = 2
        extras.round_to(dtype)
        return extras

    def drop(self, octave: int | None) -> None:
        """Leaves out the residual of the high part, 0, or of the low one, 1."""
        self.residuals = tuple(None if i == octave else r for i, r in enumerate(self.residuals))

    def exact(self, y: Parts, activation: int) -> list[Tensor | None]:
        """The formula in float64."""
        results = []
        first = 0
        for part, residual in zip(y, self.residuals, strict=True):
            if part is None:
                results.append(None)
                continue
            of_part = slice(first, first + part.shape[1])
            scale, shift = (t[of_part, None, None].double() for t in (self.scale, self.shift))
            value = part.double() * scale + shift
            results.append(ACTIVATIONS[activation](value if residual is None else value + residual))
            first = of_part.stop
        return results

    def round_to(self, dtype: torch.dtype) -> None:
        """Rounds the residuals, to those of a call in this type."""
        self.residuals = tuple(None if r is None else r.to(dtype) for r in self.residuals)

    def arrays(self, activation: int) -> dict[str, Any]:
        """For run_forward."""
        arrays = {
            "scale": self.scale.numpy(), "shift": self.shift.numpy(), "activation": activation,
        }  # fmt: skip
        for name, part in zip(("residual_high", "residual_low"), self.residuals, strict=True):
            if part is not None:
                arrays[name] = memory_of(part)
        return arrays

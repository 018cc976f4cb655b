"""Errors of the native library by PyTorch's own types, which it cannot raise itself."""

from collections.abc import Callable
from typing import Any

import torch

__all__ = ["run_native"]


def run_native(operator: Callable[..., Any], *arguments: Any) -> Any:
    """What an operator of the library gives for the arguments.

    Raises:
        torch.OutOfMemoryError: As PyTorch's own operators do.
    """
    try:
        return operator(*arguments)
    except RuntimeError as error:
        text = str(error)
        ours = type(error) is RuntimeError and text.startswith("octconv_cuda: ")
        if ours and "out of memory" in text:
            raise torch.OutOfMemoryError(text) from error
        raise

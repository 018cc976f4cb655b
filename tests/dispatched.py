"""Which operators run."""

from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode


class Dispatched(TorchDispatchMode):
    """The operators that run under it, in their order: their names, and their arguments."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self._arguments: list[tuple[Any, ...]] = []

    def arguments_of(self, name: str) -> list[tuple[Any, ...]]:
        """Of each call of an operator, without trailing ones that are the defaults."""
        calls = zip(self.names, self._arguments, strict=True)
        return [arguments for called, arguments in calls if called == name]

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None):
        self.names.append(function.overloadpacket.__name__)
        self._arguments.append(args)
        return function(*args, **(kwargs or {}))

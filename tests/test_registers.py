"""Registers that threads pass on to others: by the machine code they use none that they gave."""

import re

import pytest
from machine_code import Kernel

INSTRUCTION = re.compile(r"\s+/\*[0-9a-f]{4,5}\*/\s+(@!?U?P\w+)?\s*([A-Z0-9][\w.]*)\s*([^;]*);")
LABEL = r"\.L_x_\d+"


class Flow:
    """The instructions of a kernel, as (guard, name, operands), and what may follow on each."""

    def __init__(self, kernel: Kernel) -> None:
        self.instructions: list[tuple[str, str, str]] = []
        self._labels: dict[str, int] = {}
        for line in kernel.code.splitlines():
            if label := re.match(rf"({LABEL}):", line):
                self._labels[label[1]] = len(self.instructions)
            elif found := INSTRUCTION.match(line):
                self.instructions.append((found[1] or "", found[2], found[3]))

    def behind(self, start: int) -> set[int]:
        """All that may run behind an instruction."""
        seen: set[int] = set()
        todo = [start]
        while todo:
            at = todo.pop()
            if at in seen or at == len(self.instructions):
                continue
            seen.add(at)
            guard, name, operands = self.instructions[at]
            assert not name.startswith("CALL")  # whose code would not be seen
            todo += [self._labels[label] for label in re.findall(rf"`\(({LABEL})\)", operands)]
            leaves = name == "EXIT" or (name == "BRA" and operands.startswith("`("))
            if guard or not leaves:
                todo.append(at + 1)
        return seen

    def highest_register(self, at: int) -> int:
        """Or one above: operands of up to four begin at multiples of their number."""
        _, name, operands = self.instructions[at]
        registers = [int(number) for number in re.findall(r"\bR(\d+)", operands)]
        sums = re.match(r"HGMMA\.64x(\d+)x16\.F32", name)
        of_sums = [registers[0] + int(sums[1]) // 2 - 1] if sums else []
        return max([number | 3 for number in registers] + of_sums, default=-1)


@pytest.mark.parametrize(
    "name",
    [
        "forward_sm80", "forward_sm90", "forward_1x1_sm90", "weight_grad_sm90",
        "weight_grad_1x1_sm90",
    ],
)  # fmt: skip
def test_threads_use_the_registers_that_they_have(library_code, name):
    """What the compiler gives to a kernel is more than some of its threads keep."""
    for kernel in library_code.kernels(name, "90a"):
        flow = Flow(kernel)
        changes = [
            (at, instruction, int(operands.split()[-1], 16))
            for at, (_, instruction, operands) in enumerate(flow.instructions)
            if instruction.startswith("USETMAXREG")
        ]
        assert sorted(change[1].split(".")[1] for change in changes) == ["DEALLOC", "TRY_ALLOC"]
        for at, instruction, registers in changes:
            behind = flow.behind(at)
            multiplies = any("MMA" in flow.instructions[i][1] for i in behind)
            assert multiplies == ("TRY_ALLOC" in instruction), kernel.name  # who takes them
            highest = max(map(flow.highest_register, behind))
            assert highest < registers, (kernel.name, instruction)

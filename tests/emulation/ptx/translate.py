"""Makes C++ of PTX: kernels as nvcc has compiled them, for the emulation to run.

Each line becomes a statement, by the rules in ``instructions``. What ptxas makes of it is not seen.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from .instructions import statement

__all__ = ["Kernel", "kernels", "source"]

REGISTERS = {
    "pred": "bool",
    "b16": "uint16_t",
    "b32": "uint32_t",
    "b64": "uint64_t",
    "f32": "float",
    "f64": "double",
}
_ENTRY = re.compile(
    r"^(?:\.visible |\.weak )?\.entry (\w+)\((.*?)\)(.*?)^\{$(.*?)^\}$", re.M | re.S
)
_REGISTER = re.compile(r"\s*\.reg \.(\w+)\s+%(\w+)<(\d+)>;")
_IN_BRACES = re.compile(r"\{(\.reg .*)\}")
_STATEMENT = re.compile(r"(?:@(!?%?\w+)\s+)?(\S+)\s*(.*)")
_ONE = r"\[[^]]*\]|\{[^}]*\}|[^][{}\s,]+"
_OPERAND, _OPERANDS = re.compile(_ONE), re.compile(rf"(?:(?:{_ONE})(?:\s*,\s*(?:{_ONE}))*)?")
_NUMBERED = re.compile(r"(!?)%([a-z]+)(\d+)")


class Kernel(NamedTuple):
    """An entry of a PTX file: its name, and the lines of its body, numbered as in the file."""

    name: str
    lines: list[tuple[int, str]]


def kernels(text: str) -> list[Kernel]:
    """The entries of a PTX file.

    Raises:
        ValueError: One that has not one parameter.
    """
    found = []
    for entry in _ENTRY.finditer(text):
        name, parameters, _, body = entry.groups()
        if parameters.count(".param") != 1:
            raise ValueError(f"{name} must have one parameter, got {parameters}")
        first = text.count("\n", 0, entry.start(4)) + 1
        lines = [line.partition("//")[0].strip() for line in body.splitlines()]
        found.append(Kernel(name, [(first + i, line) for i, line in enumerate(lines) if line]))
    return found


def source(kernel: Kernel, file: str) -> str:
    """A kernel in C++: a function of its parameters' bytes, known by the name of the kernel.

    ``file`` is where its lines are from, for the emulation's reports.

    Raises:
        ValueError: An instruction without a rule, or memory or operands that kernels do not have.
    """
    declared, body = [], []
    for number, line in kernel.lines:
        if match := _REGISTER.fullmatch(line):
            kind, prefix, count = match.groups()
            declared.append(f"  {_type(kind)} {prefix}[{count}];")
        elif line.endswith(":"):
            body.append(f"{_label(line[:-1])}:;")
        elif not line.startswith(".pragma"):
            body.append(f"#line {number}\n  {' '.join(_statements(line, kernel.name))}")
    return "\n".join(
        [
            '#include "ptx/machine.h"',
            f'extern "C" void {kernel.name}() __attribute__((weak));',
            f"namespace translated_{kernel.name} {{",
            "using namespace emulation::machine;",
            "static void run(const std::byte* params) {",
            *declared,
            "  const uint32_t dynamic_shared = take_dynamic_shared();",
            "  uint32_t tries = 0;",
            "  Products products;",
            f'#line 1 "{file}"',
            *body,
            "}",
            f"static const emulation::Translation translation(&{kernel.name}, &run);",
            "}\n",
        ]
    )


def _statements(line: str, kernel: str) -> Iterator[str]:
    """C++ for a line: one instruction, or several with registers of their own."""
    if match := _IN_BRACES.fullmatch(line):
        yield "{"
        for part in match[1].split(";"):
            if register := re.fullmatch(r"\s*\.reg \.(\w+) (\w+)", part):
                yield f"{_type(register[1])} {register[2]};"
            elif part.strip():
                yield _statement(part.strip(), kernel)
        yield "}"
    else:
        if not line.endswith(";") or line.startswith("."):
            raise ValueError(f"{kernel}: not an instruction: {line}")
        yield _statement(line[:-1], kernel)


def _statement(text: str, kernel: str) -> str:
    match = _STATEMENT.fullmatch(text)
    assert match is not None
    condition, name, rest = match.groups()
    if name in ("bra", "bra.uni"):
        code = f"goto {_label(rest)};"
    else:
        code = statement(name, [_operand(part, kernel) for part in _split(rest)])
    return f"if ({_operand(condition, kernel)}) {code}" if condition else code


def _split(text: str) -> list[str]:
    """Operands, of which one in brackets or braces may hold commas."""
    if not _OPERANDS.fullmatch(text):
        raise ValueError(f"operands must have a comma between them, got {text}")
    return _OPERAND.findall(text)


def _operand(text: str, kernel: str) -> str | list[str]:
    """An operand in C++; a list of them for what is in braces."""
    if match := _NUMBERED.fullmatch(text):
        return "{}{}[{}]".format(*match.groups())
    if text.startswith("{"):
        return [str(_operand(part, kernel)) for part in _split(text[1:-1])]
    if text.startswith("["):
        address, *coordinates = _split(text[1:-1])
        if coordinates:
            return [str(_operand(address, kernel)), *_operand(coordinates[0], kernel)]
        base, _, offset = address.partition("+")
        return f"({_operand(base, kernel)} + {offset})" if offset else str(_operand(base, kernel))
    if text == f"{kernel}_param_0":
        return "reinterpret_cast<uint64_t>(params)"
    if text.endswith("octconv_dynamic_sharedE"):
        return "dynamic_shared"
    if text.startswith(("0f", "0d")):
        kind, bits = ("float", 32) if text[1] == "f" else ("double", 64)
        return f"std::bit_cast<{kind}>(UINT{bits}_C(0x{text[2:]}))"
    if re.fullmatch(r"-?\d+", text):
        return f"INT64_C({text})"
    if text in SPECIAL:
        return SPECIAL[text]
    if re.fullmatch(r"[a-z_]\w*|0x[0-9a-f]+", text):
        return text
    raise ValueError(f"{kernel}: not an operand: {text}")


SPECIAL = {
    "%tid.x": "octconv::ptx::thread_x()",
    "%tid.y": "octconv::ptx::thread_y()",
    "%ntid.x": "octconv::ptx::threads_x()",
    "%ntid.y": "octconv::ptx::threads_y()",
    "%ctaid.x": "octconv::ptx::block_x()",
    "%nctaid.x": "octconv::ptx::blocks_x()",
    "%laneid": "octconv::ptx::lane()",
    "%cluster_ctarank": "octconv::ptx::cluster_rank()",
}


def _type(kind: str) -> str:
    if kind not in REGISTERS:
        raise ValueError(f"registers must be of {', '.join(REGISTERS)}, got {kind}")
    return REGISTERS[kind]


def _label(text: str) -> str:
    return text.strip().replace("$", "label_")

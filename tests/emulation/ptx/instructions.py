"""What each PTX instruction is in C++, as the manual of PTX says it ("Instruction Set").

https://docs.nvidia.com/cuda/parallel-thread-execution. The C++ is that of ``arithmetic.h``, of
``machine.h`` and of the emulation's own device layer, whose functions stand for instructions.
"""

import functools
import re
from collections.abc import Callable, Sequence

__all__ = ["Operand", "statement"]

Operand = str | list[str]  # a list: what stands in braces, or an address with its coordinates
TYPES = {
    **{f"{kind}{n}": f"uint{n}_t" for kind in "ub" for n in (8, 16, 32, 64)},
    **{f"s{n}": f"int{n}_t" for n in (8, 16, 32, 64)},
    "f32": "float",
    "f64": "double",
    "pred": "bool",
}
HALVES = {"f16": "octconv::Float16", "bf16": "octconv::BFloat16", "tf32": "octconv::TFloat32"}
INT, FLOAT, WORDS = "[us](?:16|32|64)", "f32|f64", "b(?:16|32|64)"
BITS = f"pred|{WORDS}"
# By types, T, of operands: what instructions are, as functions of arithmetic.h.
ARITHMETIC = {
    f"{INT}|{FLOAT}|{BITS}": {
        "selp": "select",
        "setp.eq": "equal",
        "setp.lt": "less",
        "setp.le": "less_or_equal",
        "setp.gt": "greater",
        "setp.ge": "greater_or_equal",
    },
    f"{INT}|{FLOAT}": {"add": "add", "sub": "subtract"},
    f"{INT}|{BITS}": {"setp.ne": "unequal"},
    f"{INT}|{WORDS}": {"shr": "shift_right"},
    INT: {
        "mul.lo": "multiply",
        "mul.hi": "multiply_high",
        "mul.wide": "multiply_wide",
        "mad.lo": "multiply_add",
        "div": "divide",
        "rem": "remainder",
        "neg": "negate",
        "min": "least",
        "max": "greatest",
    },
    FLOAT: {
        "mul": "multiply",
        "fma.rn": "fused_multiply_add",
        "abs": "magnitude",
        "setp.geu": "not_less",
    },
    BITS: {
        "not": "invert",
        "and": "bits_of_both",
        "or": "bits_of_either",
        "xor": "bits_of_one",
    },
    WORDS: {"shl": "shift_left"},
}
SPACES = {"global.nc": "constant", "shared::cluster": "cluster"}  # as machine.h has them


def statement(name: str, operands: Sequence[Operand]) -> str:
    """An instruction in C++.

    Raises:
        ValueError: No rule for it, or one that its operands do not fit.
    """
    rule, groups = _rule(name)
    return rule(operands, *groups)


@functools.cache
def _rule(name: str) -> tuple[Callable[..., str], tuple[str, ...]]:
    """The rule for an instruction, and the parts of its name that it asks for."""
    for pattern, rule in RULES:
        if match := re.fullmatch(pattern, name):
            return rule, match.groups()
    raise ValueError(f"no rule for {name}")


def _flat(operands: Sequence[Operand]) -> list[str]:
    return [x for o in operands for x in (o if isinstance(o, list) else [o])]


def _call(function: str) -> Callable[..., str]:
    """A rule: a call with all operands; the name may have parts of the instruction's."""

    def rule(operands: Sequence[Operand], *groups: str) -> str:
        return f"{function.format(*groups)}({', '.join(_flat(operands))});"

    return rule


def _with(constants: dict[int, str], rule: Callable[..., str]) -> Callable[..., str]:
    """A rule for operands of which some, by place, must be these, and are left out."""

    def with_constants(operands: Sequence[Operand], *groups: str) -> str:
        for place, constant in constants.items():
            if operands[place] != constant:
                raise ValueError(f"operand {place} must be {constant}, got {operands}")
        places = {place % len(operands) for place in constants}
        return rule([o for i, o in enumerate(operands) if i not in places], *groups)

    return with_constants


def _out(registers: Sequence[str], name: str) -> str:
    return " ".join(f"{register} = {name}[{i}];" for i, register in enumerate(registers))


def _set(function: str, *types: str) -> Callable[..., str]:
    """A rule: the first operand becomes what a function makes of the others.

    ``types``: template arguments; without any, those that the instruction names.
    """

    def rule(operands: Sequence[Operand], *groups: str) -> str:
        arguments = ", ".join(types or [TYPES[group] for group in groups])
        name = f"{function}<{arguments}>" if arguments else function
        return _call(f"set<{name}>")(operands)

    return rule


def _move(operands: Sequence[Operand], kind: str) -> str:
    """One register or, in braces, two of half as many bits."""
    to, value = operands
    if isinstance(to, list):
        return _call("unpack")([value, to])
    if isinstance(value, list):
        return _set("pack", f"uint{int(kind[1:]) // 2}_t")(operands)
    return _set("same")(operands, kind)


def _load(operands: Sequence[Operand], space: str, count: str | None, kind: str) -> str:
    registers, address = operands
    return _access(f"load_{SPACES.get(space, space)}", address, registers, count, kind)


def _store(operands: Sequence[Operand], space: str, count: str | None, kind: str) -> str:
    address, registers = operands
    return _access(f"store_{space}", address, registers, count, kind)


def _access(
    function: str, address: Operand, registers: Operand, count: str | None, kind: str
) -> str:
    if len(_flat([registers])) != int(count or 1):
        raise ValueError(f"{function} of {count or 1} must have as many registers, got {registers}")
    return _call(f"{function}<{TYPES[kind]}>")([address, registers])


def _shuffle(operands: Sequence[Operand], kind: str) -> str:
    """d, a, b; c and the mask are left out."""
    target, value, lane = operands
    function = {"idx": "shuffle", "bfly": "shuffle_xor"}[kind]
    return f"{target} = octconv::ptx::{function}({value}, {lane});"


def _try_wait(operands: Sequence[Operand]) -> str:
    target, barrier, parity = operands
    return f"{target} = try_wait(tries, {barrier}, {parity});"


def _registers_of_threads(operands: Sequence[Operand]) -> str:
    """Nothing, but that they be as many as the instruction allows."""
    count = _number(operands[0])
    if count % 8 or not 24 <= count <= 256:
        raise ValueError(f"registers must be a multiple of 8 from 24 to 256, got {count}")
    return ";"


def _number_of_sum(register: str) -> str:
    match = re.fullmatch(r"f\[(\d+)\]", register)
    if match is None:
        raise ValueError(f"a sum must be a register of float32, got {register}")
    return match[1]


def _number(operand: Operand) -> int:
    """Of a constant."""
    match = re.fullmatch(r"INT64_C\((-?\d+)\)", str(operand))
    if match is None:
        raise ValueError(f"an operand must be a constant, got {operand}")
    return int(match[1])


def _sync(operands: Sequence[Operand]) -> str:
    """Of the block, if the barrier is 0 and no number of threads is given."""
    if len(operands) == 2:
        return _call("octconv::ptx::sync_named")(operands)
    return _with({0: "INT64_C(0)"}, _call("octconv::ptx::sync_block"))(operands)


def _load_matrix(operands: Sequence[Operand], count: str, transposed: str | None) -> str:
    registers, row = operands
    if len(registers) != int(count):
        raise ValueError(f"{count} matrices must have as many registers, got {registers}")
    call = f"octconv::ptx::load_matrix{'_transposed' * bool(transposed)}(words, {row});"
    return f"{{ uint32_t words[{count}]; {call} {_out(_flat(registers), 'words')} }}"


def _store_matrix(operands: Sequence[Operand]) -> str:
    row, registers = operands
    words = ", ".join(registers)
    return f"{{ const uint32_t words[4] = {{{words}}}; octconv::ptx::store_matrix({row}, words); }}"


def _mma(operands: Sequence[Operand], kind: str) -> str:
    """d, a, b, c."""
    if [len(operand) for operand in operands] != [4, 4, 2, 4]:
        raise ValueError(f"a product must have other operands, got {operands}")
    return _call(f"mma<{HALVES[kind]}>")(operands)


def _wgmma(operands: Sequence[Operand], columns: str, kind: str) -> str:
    """d, a, b, scale-d, imm-scale-a, imm-scale-b, imm-trans-a (of a descriptor alone), imm-trans-b.

    It is done at once: between products PTX moves registers of sums, which ptxas makes one.
    """
    d, a, b, *immediates = operands
    *plain, across = map(_number, immediates)
    in_registers = isinstance(a, list)
    if plain != [1, 1, 1] + [0] * (not in_registers) or len(d) != int(columns) // 2:
        raise ValueError(f"a product must be added as it is, got {operands}")
    first = f"uint32_t a[4] = {{{', '.join(a)}}}" if in_registers else f"uint64_t a = {a}"
    sums = ", ".join(map(_number_of_sum, d))
    call = f"products.multiply<{HALVES[kind]}, {columns}, {across}>(f, sums, a, {b});"
    return f"{{ static constexpr uint32_t sums[] = {{{sums}}}; const {first}; {call} }}"


def _copy_box(operands: Sequence[Operand], rank: str, multicast: str | None) -> str:
    """dstMem, [tensorMap, tensorCoords], mbar, ctaMask (of multicast alone)."""
    shared, (tensor, *coordinates), barrier, *blocks = operands
    if len(coordinates) != int(rank) or len(blocks) != bool(multicast):
        raise ValueError(f"a copy of rank {rank} must have other operands, got {operands}")
    function = "copy_box_to_all" if multicast else "copy_box"
    return _call(f"octconv::ptx::{function}")(
        [shared, f"pointer({tensor})", barrier, *blocks, *coordinates]
    )


def _store_box(operands: Sequence[Operand], rank: str) -> str:
    """[tensorMap, tensorCoords], srcMem."""
    (tensor, *coordinates), shared = operands
    if len(coordinates) != int(rank):
        raise ValueError(f"a store of rank {rank} must have other operands, got {operands}")
    return _call("octconv::ptx::store_box")([f"pointer({tensor})", shared, *coordinates])


def _prefetch_map(operands: Sequence[Operand]) -> str:
    """[tensorMap]."""
    return _call("octconv::ptx::prefetch_map")([f"pointer({operands[0]})"])


def _count(function: str) -> Callable[..., str]:
    """A rule: a template of the number that is the operand."""
    return lambda operands: f"octconv::ptx::{function}<{operands[0]}>();"


_WORD = r"([usb](?:8|16|32|64)|f32|f64)"
_ALL_LANES, _WHOLE_WARP, _NO_STATE = "0xffffffff", "INT64_C(31)", "_"
RULES: list[tuple[str, Callable[..., str]]] = [
    *(
        (rf"{re.escape(name)}\.({types})", _set(function))
        for types, functions in ARITHMETIC.items()
        for name, function in functions.items()
    ),
    (rf"mov\.({INT}|{FLOAT}|{BITS})", _move),
    (r"cvta\.param\.(u64)", _set("same")),
    (r"shf\.l\.wrap\.b32", _set("funnel_left")),
    (r"bfi\.(b32|b64)", _set("insert")),
    (rf"cvt\.({INT})\.({INT})", _set("convert")),
    (r"cvt\.rn\.(f32)\.(f64)", _set("convert")),
    (r"cvt\.f32\.f16", _set("widen_float16")),
    (r"cvt\.rn\.f16\.f32", _set("narrow", HALVES["f16"])),
    (r"cvt\.rn\.bf16\.f32", _set("narrow", HALVES["bf16"])),
    (r"cvt\.rn\.f16x2\.f32", _set("narrow_pair", HALVES["f16"])),
    (r"cvt\.rn\.bf16x2\.f32", _set("narrow_pair", HALVES["bf16"])),
    (r"max\.NaN\.f32", _set("octconv::ptx::max_or_nan")),
    (r"ex2\.approx\.ftz\.f32", _set("octconv::ptx::exp2_approximate")),
    (r"rcp\.approx\.ftz\.f32", _set("octconv::ptx::reciprocal_approximate")),
    (r"cvt\.rna\.tf32\.f32", _set("octconv::ptx::round_tf32")),
    (rf"ld\.(param|shared|global|global\.nc|shared::cluster)(?:\.v(\d))?\.{_WORD}", _load),
    (rf"st\.(shared|global)(?:\.v(\d))?\.{_WORD}", _store),
    (r"atom\.(relaxed|acq_rel)\.gpu\.global\.add\.u32", _call("add_{0}")),
    (r"fence\.acq_rel\.gpu", _call("octconv::ptx::fence_device")),
    (r"cp\.async\.cg\.shared\.global", _with({2: "INT64_C(16)"}, _call("copy_16"))),
    (r"cp\.async\.commit_group", _call("octconv::ptx::commit_copies")),
    (r"cp\.async\.wait_group", _count("wait_copies")),
    (r"ldmatrix\.sync\.aligned\.m8n8\.x(\d)(\.trans)?\.shared\.b16", _load_matrix),
    (r"stmatrix\.sync\.aligned\.m8n8\.x4\.shared\.b16", _store_matrix),
    (r"mma\.sync\.aligned\.m16n8k16\.row\.col\.f32\.(b?f16)\.\1\.f32", _mma),
    (r"mma\.sync\.aligned\.m16n8k8\.row\.col\.f32\.(tf32)\.\1\.f32", _mma),
    (r"bar\.warp\.sync", _with({-1: _ALL_LANES}, _call("octconv::ptx::sync_warp"))),
    (r"shfl\.sync\.(idx|bfly)\.b32", _with({-1: _ALL_LANES, -2: _WHOLE_WARP}, _shuffle)),
    (r"barrier\.sync\.aligned", _sync),
    (r"barrier\.arrive\.aligned", _call("octconv::ptx::arrive_named")),
    (r"barrier\.cluster\.arrive\.release\.aligned", _call("octconv::ptx::arrive_cluster")),
    (r"barrier\.cluster\.wait\.acquire\.aligned", _call("octconv::ptx::wait_cluster")),
    (r"mapa\.shared::cluster\.u32", _call("map_to_rank")),
    (r"mbarrier\.init\.shared::cta\.b64", _call("octconv::ptx::init_barrier")),
    (r"mbarrier\.arrive\.shared::cta\.b64", _with({0: _NO_STATE}, _call("arrive_once"))),
    (r"mbarrier\.arrive\.shared::cluster\.b64", _with({0: _NO_STATE}, _call("arrive_mapped"))),
    (
        r"mbarrier\.arrive\.expect_tx\.shared::cta\.b64",
        _with({0: _NO_STATE}, _call("octconv::ptx::arrive_expecting")),
    ),
    (r"mbarrier\.try_wait\.parity\.shared::cta\.b64", _try_wait),
    (r"fence\.mbarrier_init\.release\.cluster", _call("octconv::ptx::fence_barriers")),
    (r"fence\.proxy\.async\.shared::cta", _call("octconv::ptx::fence_shared")),
    (r"wgmma\.mma_async\.sync\.aligned\.m64n(\d+)k16\.f32\.(b?f16)\.\2", _wgmma),
    (r"wgmma\.(fence|commit_group|wait_group)\.sync\.aligned", _call("products.{0}")),
    (r"setmaxnreg\.(?:inc|dec)\.sync\.aligned\.u32", _registers_of_threads),
    (
        r"cp\.async\.bulk\.tensor\.(\d)d\.shared::cluster\.global\.tile"
        r"\.mbarrier::complete_tx::bytes(\.multicast::cluster)?",
        _copy_box,
    ),
    (r"cp\.async\.bulk\.tensor\.(\d)d\.global\.shared::cta\.tile\.bulk_group", _store_box),
    (r"prefetch\.tensormap", _prefetch_map),
    (r"cp\.async\.bulk\.commit_group", _call("octconv::ptx::commit_stores")),
    (r"cp\.async\.bulk\.wait_group\.read", _count("wait_stores_read")),
    (r"griddepcontrol\.launch_dependents", _call("octconv::ptx::launch_dependents")),
    (r"griddepcontrol\.wait", _call("octconv::ptx::wait_for_prerequisites")),
    (r"ret", _call("return products.finish")),
]

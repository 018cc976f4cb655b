"""What each PTX instruction is in C++, as the manual of PTX says it ("Instruction Set").

https://docs.nvidia.com/cuda/parallel-thread-execution. The C++ is that of ``machine.h``, and of the
emulation's own device layer, whose functions stand for instructions that are no arithmetic.
"""

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
# Of operands a, b and c in the instruction's type, T.
EXPRESSIONS = {
    "mov": "a",
    "cvta.param": "a",
    "add": "plus(a, b)",
    "sub": "minus(a, b)",
    "mul": "times(a, b)",
    "mul.lo": "times(a, b)",
    "mul.hi": "times_high(a, b)",
    "mul.wide": "times_wide(a, b)",
    "mad.lo": "plus(times(a, b), c)",
    "fma.rn": "std::fma(a, b, c)",
    "div": "T(a / b)",
    "rem": "T(a % b)",
    "neg": "minus(T{}, a)",
    "abs": "std::fabs(a)",
    "min": "std::min(a, b)",
    "max": "std::max(a, b)",
    "max.NaN": "octconv::ptx::max_or_nan(a, b)",
    "not": "invert(a)",
    "and": "T(a & b)",
    "or": "T(a | b)",
    "xor": "T(a ^ b)",
    "ex2.approx.ftz": "octconv::ptx::exp2_approximate(a)",
    "rcp.approx.ftz": "octconv::ptx::reciprocal_approximate(a)",
}
SIGNS = {"eq": "==", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
OPPOSITES = {"ne": "==", "lt": ">=", "le": ">", "gt": "<=", "ge": "<"}
SPACES = {"global.nc": "constant", "shared::cluster": "cluster"}  # as machine.h has them


def statement(name: str, operands: Sequence[Operand]) -> str:
    """An instruction in C++.

    Raises:
        ValueError: No rule for it, or one that its operands do not fit.
    """
    for pattern, rule in RULES:
        if match := re.fullmatch(pattern, name):
            return rule(operands, *match.groups())
    raise ValueError(f"no rule for {name}, got operands {operands}")


def _flat(operands: Sequence[Operand]) -> list[str]:
    return [x for o in operands for x in (o if isinstance(o, list) else [o])]


def _call(function: str, which: slice = slice(None)) -> Callable[..., str]:
    """A rule: a call with all operands, or some; the name may have parts of the instruction's."""

    def rule(operands: Sequence[Operand], *groups: str) -> str:
        return f"{function.format(*groups)}({', '.join(_flat(operands[which]))});"

    return rule


def _assign(function: str, which: slice) -> Callable[..., str]:
    """A rule: the first operand is what a call with others returns."""

    def rule(operands: Sequence[Operand], *groups: str) -> str:
        return f"put({operands[0]}, {_call(function, which)(operands, *groups)[:-1]});"

    return rule


def _out(registers: Sequence[str], name: str) -> str:
    return " ".join(f"{register} = {name}[{i}];" for i, register in enumerate(registers))


def _expression(operands: Sequence[Operand], name: str, kind: str) -> str:
    target, *values = operands
    if isinstance(target, list):
        return f"unpack({values[0]}, {', '.join(target)});"
    if isinstance(values[0], list):
        low, high = (f"get<uint{int(kind[1:]) // 2}_t>({value})" for value in values[0])
        return f"put({target}, pack({low}, {high}));"
    taken = "".join(
        f"const auto {letter} = get<T>({value}); "
        for letter, value in zip("abc", values, strict=False)
    )
    return f"{{ using T = {TYPES[kind]}; {taken}put({target}, {EXPRESSIONS[name]}); }}"


def _compare(operands: Sequence[Operand], comparison: str, kind: str) -> str:
    target, a, b = operands
    return f"{target} = get<{TYPES[kind]}>({a}) {SIGNS[comparison]} get<{TYPES[kind]}>({b});"


def _compare_not(operands: Sequence[Operand], comparison: str, kind: str) -> str:
    """What is true where the opposite is false: of floats, where one of them is NaN."""
    target, a, b = operands
    sign = OPPOSITES[comparison]
    return f"{target} = !(get<{TYPES[kind]}>({a}) {sign} get<{TYPES[kind]}>({b}));"


def _select(operands: Sequence[Operand], kind: str) -> str:
    target, a, b, condition = operands
    return f"put({target}, {condition} ? get<{TYPES[kind]}>({a}) : get<{TYPES[kind]}>({b}));"


def _shift(operands: Sequence[Operand], direction: str, kind: str) -> str:
    target, a, count = operands
    return f"put({target}, shift_{direction}(get<{TYPES[kind]}>({a}), get<uint32_t>({count})));"


def _convert(operands: Sequence[Operand], to: str, of: str) -> str:
    target, value = operands
    return f"put({target}, static_cast<{TYPES[to]}>(get<{TYPES[of]}>({value})));"


def _load(operands: Sequence[Operand], space: str, count: str | None, kind: str) -> str:
    targets, address = operands
    registers = _flat([targets])
    if len(registers) != int(count or 1):
        raise ValueError(f"a load of {count} must have as many registers, got {targets}")
    return f"load_{SPACES.get(space, space)}<{TYPES[kind]}>({address}, {', '.join(registers)});"


def _store(operands: Sequence[Operand], space: str, count: str | None, kind: str) -> str:
    address, values = operands
    registers = _flat([values])
    if len(registers) != int(count or 1):
        raise ValueError(f"a store of {count} must have as many registers, got {values}")
    return f"store_{space}<{TYPES[kind]}>({address}, {', '.join(registers)});"


def _of_warp(rule: Callable[..., str]) -> Callable[..., str]:
    """A rule for what has a mask of lanes at the end, which must be all, and is left out."""

    def of_warp(operands: Sequence[Operand], *groups: str) -> str:
        *rest, mask = operands
        if mask != "0xffffffff":
            raise ValueError(f"all lanes must take part, got {mask}")
        return rule(rest, *groups)

    return of_warp


def _shuffle(operands: Sequence[Operand], kind: str) -> str:
    """d, a, b, c."""
    target, value, lane, clamp = operands
    if clamp != "INT64_C(31)":
        raise ValueError(f"a shuffle must be of the whole warp, got {clamp}")
    function = {"idx": "shuffle", "bfly": "shuffle_xor"}[kind]
    return f"{target} = octconv::ptx::{function}({value}, {lane});"


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
    d, a, b, c = (_flat([operand]) for operand in operands)
    return (
        f"{{ float sums[4] = {{{', '.join(c)}}}; const uint32_t a[4] = {{{', '.join(a)}}}; "
        f"const uint32_t b[2] = {{{', '.join(b)}}}; "
        f"octconv::ptx::mma<{HALVES[kind]}>(sums, a, b); {_out(d, 'sums')} }}"
    )


def _wgmma(operands: Sequence[Operand], columns: str, kind: str) -> str:
    """d, a, b, scale-d, imm-scale-a, imm-scale-b, imm-trans-a (of a descriptor alone), imm-trans-b.

    It is done at once: between products PTX moves registers of sums, which ptxas makes one.
    """
    d, a, b, *immediates = operands
    *plain, across = (int(str(i).removeprefix("INT64_C(").removesuffix(")")) for i in immediates)
    in_registers = isinstance(a, list)
    if plain != [1, 1, 1] + [0] * (not in_registers) or len(d) != int(columns) // 2:
        raise ValueError(f"a product must be added as it is, got {operands}")
    first = f"uint32_t a[4] = {{{', '.join(a)}}}" if in_registers else f"uint64_t a = {a}"
    call = f"multiply_now<{HALVES[kind]}, {columns}, {across}>(sums, a, {b});"
    sums = f"float sums[{len(d)}] = {{{', '.join(d)}}};"
    return f"{{ {sums} const {first}; {call} {_out(_flat([d]), 'sums')} }}"


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


def _count(function: str) -> Callable[..., str]:
    """A rule: a template of the number that is the operand."""
    return lambda operands: f"octconv::ptx::{function}<{operands[0]}>();"


def _nothing(operands: Sequence[Operand], *groups: str) -> str:
    return ";"


INT, T = "([usb](?:8|16|32|64))", "([usb](?:8|16|32|64)|f32|f64|pred)"
SECOND, BOTH = slice(1, 2), slice(1, 3)
RULES: list[tuple[str, Callable[..., str]]] = [
    (rf"({'|'.join(map(re.escape, EXPRESSIONS))})\.{T}", _expression),
    (rf"setp\.(eq|lt|le|gt|ge)\.{T}", _compare),
    (rf"setp\.(ne)\.{INT}", _compare_not),
    (r"setp\.(ne|lt|le|gt|ge)u\.(f32|f64)", _compare_not),
    (rf"selp\.{T}", _select),
    (rf"sh(l|r)\.{INT}", _shift),
    (r"shf\.(l|r)\.wrap\.b32", _call("funnel_{0}")),
    (r"bfi\.b(32|64)", _call("insert<uint{0}_t>")),
    (rf"cvt(?:\.rn)?\.{T}\.{T}", _convert),
    (r"cvt\.f32\.f16", _call("widen_float16")),
    (r"cvt\.rn\.f16\.f32", _call("narrow<octconv::Float16>")),
    (r"cvt\.rn\.bf16\.f32", _call("narrow<octconv::BFloat16>")),
    (r"cvt\.rn\.f16x2\.f32", _call("narrow_pair<octconv::Float16>")),
    (r"cvt\.rn\.bf16x2\.f32", _call("narrow_pair<octconv::BFloat16>")),
    (r"cvt\.rna\.tf32\.f32", _call("round_tf32")),
    (rf"ld\.(param|shared|global|global\.nc|shared::cluster)(?:\.v(\d))?\.{T}", _load),
    (rf"st\.(shared|global)(?:\.v(\d))?\.{T}", _store),
    (r"atom\.(relaxed|acq_rel)\.gpu\.global\.add\.u32", _call("add_{0}")),
    (r"fence\.acq_rel\.gpu", _call("octconv::ptx::fence_device")),
    (r"cp\.async\.cg\.shared\.global", _call("copy_16")),
    (r"cp\.async\.commit_group", _call("octconv::ptx::commit_copies")),
    (r"cp\.async\.wait_group", _count("wait_copies")),
    (r"ldmatrix\.sync\.aligned\.m8n8\.x(\d)(\.trans)?\.shared\.b16", _load_matrix),
    (r"stmatrix\.sync\.aligned\.m8n8\.x4\.shared\.b16", _store_matrix),
    (r"mma\.sync\.aligned\.m16n8k(?:16|8)\.row\.col\.f32\.(\w+)\.\1\.f32", _mma),
    (r"bar\.warp\.sync", _of_warp(_call("octconv::ptx::sync_warp"))),
    (r"shfl\.sync\.(idx|bfly)\.b32", _of_warp(_shuffle)),
    (r"barrier\.sync\.aligned", _call("sync")),
    (r"barrier\.arrive\.aligned", _call("octconv::ptx::arrive_named")),
    (r"barrier\.cluster\.arrive\.release\.aligned", _call("octconv::ptx::arrive_cluster")),
    (r"barrier\.cluster\.wait\.acquire\.aligned", _call("octconv::ptx::wait_cluster")),
    (r"mapa\.shared::cluster\.u32", _call("map_to_rank")),
    (r"mbarrier\.init\.shared::cta\.b64", _call("octconv::ptx::init_barrier")),
    (r"mbarrier\.arrive\.shared::cta\.b64", _call("octconv::ptx::arrive", SECOND)),
    (r"mbarrier\.arrive\.shared::cluster\.b64", _call("arrive_mapped", SECOND)),
    (
        r"mbarrier\.arrive\.expect_tx\.shared::cta\.b64",
        _call("octconv::ptx::arrive_expecting", BOTH),
    ),
    (r"mbarrier\.try_wait\.parity\.shared::cta\.b64", _assign("octconv::ptx::try_wait", BOTH)),
    (r"fence\.mbarrier_init\.release\.cluster", _call("octconv::ptx::fence_barriers")),
    (r"fence\.proxy\.async\.shared::cta", _call("octconv::ptx::fence_shared")),
    (r"wgmma\.mma_async\.sync\.aligned\.m64n(\d+)k16\.f32\.(b?f16)\.\2", _wgmma),
    (r"wgmma\.(?:fence|commit_group|wait_group)\.sync\.aligned", _nothing),
    (r"setmaxnreg\.(?:inc|dec)\.sync\.aligned\.u32", _nothing),
    (
        r"cp\.async\.bulk\.tensor\.(\d)d\.shared::cluster\.global\.tile"
        r"\.mbarrier::complete_tx::bytes(\.multicast::cluster)?",
        _copy_box,
    ),
    (r"cp\.async\.bulk\.tensor\.(\d)d\.global\.shared::cta\.tile\.bulk_group", _store_box),
    (r"cp\.async\.bulk\.commit_group", _call("octconv::ptx::commit_stores")),
    (r"cp\.async\.bulk\.wait_group\.read", _count("wait_stores_read")),
    (r"griddepcontrol\.launch_dependents", _call("octconv::ptx::launch_dependents")),
    (r"griddepcontrol\.wait", _call("octconv::ptx::wait_for_prerequisites")),
]

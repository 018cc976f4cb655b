"""Who judges the judge? Probes whose PTX says something else than it should are found.

The device layer's own asm, as nvcc has it in the probes, test_device_layer.py runs in mode "ptx".
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from emulation.emulator import RUNS, EmulationError, Emulator
from emulation.ptx import build, instructions, translate
from emulators import NO_COMPILER
from probes import PROBES

# By probe: a part of its kernel's name, what stands there, and what is put in its place.
WRONG = {
    "shuffles": ("8shuffles", r"(shfl.sync.idx.b32 %r\d+, )(%r\d+), (%r\d+)", r"\1\3, \2"),
    "narrow_pair_bfloat16": ("narrow_pairINS_8BF", r"(%f\d+), (%f\d+);", r"\2, \1;"),
    "reverse_128": ("reverseINS", r"(ld\S+ \{%r\d+), (%r\d+), (%r\d+)", r"\1, \3, \2"),
    "copy_bytes": ("10copy_bytes", r"@p (cp.async)", r"\1"),
    "copy_groups": ("11copy_groups", r"wait_group 1", "wait_group 2"),
    "tickets": ("7tickets", r"(atom.acq_rel.*), %r\d+;", r"\1, 2;"),
    "arrive_named": ("12arrive_named", r"arrive(\S+) (%r\d+), %r\d+", r"arrive\1 \2, 32"),
    "load_matrix_transposed_4": ("load_matrixILj4ELb1", r"\.trans", ""),
    "load_matrix_2": ("load_matrixILj2ELb0", r"\{(%r\d+), (%r\d+)\}, \[", r"{\2, \1}, ["),
    "store_matrix": ("store_matrix", r"(\[%r\d+\], \{%r\d+), (%r\d+), (%r\d+)", r"\1, \3, \2"),
    "mma_bfloat16": ("3mmaINS_8BF", r"(\}, \{%r\d+), (%r\d+), (%r\d+), (%r\d+)", r"\1, \3, \2, \4"),
    "count_arrivals": ("count_arrivals", r"p, \[(%r\d+)\], %r\d+", r"p, [\1], 0"),
    "pass_round_2_32": ("pass_roundIjLj2", r"(mapa\S+ a), (%r\d+), %r\d+", r"\1, \2, 0"),
    "pass_round_4_64": ("pass_roundImLj4", r"barrier.cluster.wait.acquire.aligned;", ""),
    "copy_box_4": ("copy_boxILj4", r"\{(%r\d+), (%r\d+)", r"{\2, \1"),
    "copy_box_5": ("copy_boxILj5", r"(expect_tx\S+ _, \[%r\d+\]), %r\d+", r"\1, 16"),
    "copy_box_3": ("copy_boxILj3", r"fence.mbarrier_init.release.cluster;", ""),
    "share_boxes": ("share_boxes", r"(multicast.*), %rs\d+;", r"\1, 1;"),
    "store_box": ("9store_box", r"fence.proxy.async.shared::cta;", ""),
    "copy_behind_prerequisites": ("copy_behind", r"griddepcontrol.wait;", ""),
    "multiply_bfloat16_32_transposed": (
        "8BFloat16ELi32ELb1ELNS0_5PatchE0", r"0, 1;$", "0, 0;",
    ),
    "multiply_bfloat16_64": ("8BFloat16ELi64ELb0ELNS0_5PatchE0", r"(%rd\d+), (%rd\d+)", r"\2, \1"),
    "multiply_bfloat16_64_registers": (
        "8BFloat16ELi64ELb0ELNS0_5PatchE2", r"(, \{%r\d+), (%r\d+), (%r\d+)", r"\1, \3, \2",
    ),
    "multiply_float16_32": ("7Float16ELi32ELb0ELNS0_5PatchE0", r"f16\.f16", "bf16.bf16"),
    "multiply_float16_64": ("7Float16ELi64ELb0ELNS0_5PatchE0", r"mov.u32\s+%r\d+, 0;", ""),
    "multiply_float16_128": ("7Float16ELi128ELb0ELNS0_5PatchE0", r"(try_wait[^@]*)@.*", r"\1"),
    "multiply_float16_160": ("7Float16ELi160ELb0ELNS0_5PatchE0", r"wgmma.fence.*", ""),
    "multiply_float16_32_transposed": (
        "7Float16ELi32ELb1ELNS0_5PatchE0", r"wgmma.wait_group.sync.aligned 0;", "",
    ),
    "multiply_float16_64_transposed": (
        "7Float16ELi64ELb1ELNS0_5PatchE0", r"wgmma.commit_group.*", "",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def wrong(translations: list[Path]) -> Iterator[Emulator]:
    """The probes, each with what WRONG puts in its PTX."""
    text = (build.FOLDER / "probes.ptx").read_text()
    for name, pattern, replacement in WRONG.values():
        (body,) = re.findall(rf"^\.visible \.entry \S*{name}.*?^\}}", text, re.M | re.S)
        changed = re.sub(pattern, replacement, body, flags=re.M)
        assert changed != body, name
        text = text.replace(body, changed)
    file = build.FOLDER / "wrong" / "wrong_probes.ptx"
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    emulator = Emulator("ptx_wrong", build.objects([file]))
    yield emulator
    emulator.close()


@pytest.mark.parametrize("probe", WRONG)
@NO_COMPILER
def test_wrong_asm_is_found(wrong: Emulator, probe: str):
    found = 0
    for _, case in PROBES[probe]():
        for run in RUNS:
            try:
                written, counters = wrong("probe", probe, case.data, run=run)
            except EmulationError:
                found += 1
            else:
                assert counters["translated"] == 1
                found += bool(case.difference(written, case.expected))
    assert found


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("vote.sync.any.pred %p1, %p2, 0xffffffff;", "no rule for vote.sync.any.pred"),
        ("bar.warp.sync 0x0000ffff;", "operand -1 must be 0xffffffff"),
        ("shfl.sync.idx.b32 %r1, %r2, %r3, 15, 0xffffffff;", r"operand -2 must be INT64_C\(31\)"),
        ("barrier.sync.aligned 7;", r"operand 0 must be INT64_C\(0\)"),
        ("mbarrier.arrive.shared::cta.b64 %rd1, [%r1];", "operand 0 must be _"),
        ("cp.async.cg.shared.global [%r1], [%rd1], 4, %r2;", r"operand 2 must be INT64_C\(16\)"),
        ("setmaxnreg.inc.sync.aligned.u32 255;", "registers must be a multiple of 8"),
        ("mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e4m3.f32 %r1, %r2, %r3, %r4;", "no rule"),
        ("{.reg .b128 a; mov.b128 a, a;}", "registers must be of pred"),
        ("ld.shared.v4.b32 {%r1, %r2}, [%r3];", "must have as many registers"),
        ("{.reg .b32 a; call f;}", "no rule for call"),
        (".local .align 4 .b8 array[16];", "not an instruction"),
        ("mov.u32 %r1, %clock;", "not an operand: %clock"),
        (
            "wgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16 {%f1, %f2, %f3, %f4}, %rd1, %rd2, "
            "1, 1, -1, 0, 0;",
            "a product must be added as it is",
        ),
    ],
)
def test_what_is_not_understood_is_refused(line: str, message: str):
    kernel = translate.Kernel("kernel", [(1, line)])
    with pytest.raises(ValueError, match=message):
        translate.source(kernel, "kernel.ptx")


def test_every_rule_is_of_an_instruction_in_use(translations: list[Path]):
    """Of one of those that a rule is for."""
    text = "\n".join(path.read_text() for path in build.FOLDER.glob("*.ptx"))
    names = set(re.findall(r"(?:^|[\s;{]|@!?%?p\d* )([a-z][\w.:]*)(?=[\s;])", text))
    unused = [
        pattern
        for pattern, _ in instructions.RULES
        if not any(re.fullmatch(pattern, name) for name in names)
    ]
    assert not unused

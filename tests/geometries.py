"""The geometries that tests run through, one list for each purpose."""

from cases import Case, Pair, half
from hypothesis import assume
from hypothesis import strategies as st

from octconv_cuda import split_channels


def split(c_in: int, alpha_in: float, c_out: int, alpha_out: float) -> tuple[Pair, Pair]:
    return split_channels(c_in, alpha_in), split_channels(c_out, alpha_out)


# Every value of every factor that the operators cover.
COVERED = (
    Case(*split(8, 0.5, 8, 0.5)),
    Case(*split(8, 0.5, 8, 0.5), stride=2),
    Case(*split(16, 0.125, 16, 0.75), (1, 1), size=(7, 9)),
    Case(*split(16, 0.25, 8, 0.125), (5, 5), size=(9, 6), bias=False),
    Case(*split(12, 0.75, 20, 0.25), (7, 7), stride=2, size=(10, 7)),
    Case(*split(3, 0.0, 10, 0.5), (7, 7), size=(11, 8), batch=1),
    Case(*split(6, 0.0, 6, 0.25), (3, 3), stride=2, size=(5, 5), bias=False),
    Case(*split(6, 0.0, 5, 0.0), (3, 3), stride=2, size=(7, 6)),
    Case(*split(10, 0.5, 7, 0.0), (3, 3), size=(5, 9)),
    Case(*split(10, 0.5, 7, 0.0), (1, 1), stride=2, size=(8, 5), batch=1),
    Case(*split(5, 1.0, 6, 0.5), (3, 3), size=(7, 5)),
    Case(*split(5, 1.0, 4, 0.0), (5, 5), size=(6, 5), bias=False),
    Case(*split(5, 1.0, 4, 0.5), (1, 1), stride=2, size=(7, 5)),
    Case(*split(4, 1.0, 4, 1.0), (3, 3), stride=2, size=(6, 9)),
    Case(*split(4, 0.5, 3, 1.0), (3, 3), size=(9, 7), bias=False),
    Case(*split(7, 0.25, 9, 0.75), (3, 5), size=(9, 11)),
    Case(*split(7, 0.75, 9, 0.125), (1, 3), stride=2, size=(11, 5)),
    Case(*split(8, 0.5, 8, 0.5), (5, 1), size=(1, 6)),
    Case(*split(8, 0.5, 8, 0.5), (3, 3), size=(1, 1)),
    Case(*split(8, 0.5, 8, 0.5), (5, 5), stride=2, size=(1, 1), batch=1),
    Case(*split(8, 0.5, 8, 0.5), (3, 3), size=(2, 3)),
    Case(*split(2, 0.5, 2, 0.5), (3, 3), stride=2, size=(3, 4)),
    Case((1, 31), (33, 1), (3, 3), size=(5, 4)),
    Case((17, 1), (1, 18), (1, 1), size=(4, 5)),
    Case(*split(8, 0.5, 8, 0.5), size=(5, 7), batch=0),
    Case(*split(8, 0.25, 8, 0.75), stride=2, size=(5, 7), batch=0),
)

# Enough values for the statistics of their rounding errors.
LARGER = (
    Case(*split(16, 0.5, 16, 0.5), size=(14, 15), batch=4),
    Case(*split(16, 0.25, 16, 0.5), (5, 5), size=(13, 12), batch=4, bias=False),
    Case(*split(16, 0.25, 16, 0.5), stride=2, size=(27, 25)),
    Case(*split(3, 0.0, 16, 0.5), (7, 7), size=(17, 16)),
    Case(*split(18, 0.5, 16, 0.0), size=(13, 15)),
    Case(*split(16, 1.0, 16, 0.5), size=(15, 13)),
    Case(*split(16, 0.5, 16, 1.0), size=(15, 14)),
    Case(*split(32, 0.75, 32, 0.5), (1, 1), stride=2, size=(21, 23)),
)

# Small enough for finite differences: every part absent once, odd sizes, both strides.
SMALL = (
    Case((2, 2), (2, 2), size=(3, 4), batch=1),
    Case((2, 1), (1, 2), stride=2, size=(5, 3), batch=1),
    Case((2, 0), (1, 2), size=(4, 3), batch=2, bias=False),
    Case((2, 0), (2, 1), (1, 1), stride=2, size=(5, 4), batch=1),
    Case((1, 2), (2, 0), (3, 1), size=(3, 5), batch=1),
    Case((2, 1), (2, 0), stride=2, size=(3, 5), batch=1, bias=False),
    Case((0, 2), (2, 1), size=(3, 3), batch=1),
    Case((0, 2), (1, 1), stride=2, size=(5, 5), batch=1),
    Case((2, 1), (0, 2), (1, 3), size=(5, 3), batch=1, bias=False),
    Case((0, 2), (2, 0), size=(5, 3), batch=1),
    Case((2, 0), (0, 2), stride=2, size=(5, 6), batch=1),
    Case((1, 1), (1, 1), size=(1, 1), batch=2),
)

# What PyTorch's own operators serve.
UNCOVERED = (
    Case(*split(6, 0.0, 4, 0.0), (3, 3), size=(6, 7)),
    Case(*split(4, 1.0, 6, 1.0), (3, 3), size=(7, 6)),
    Case(*split(8, 0.5, 8, 0.5), size=(7, 9), groups=2),
    Case(*split(12, 0.25, 24, 0.5), (1, 3), stride=2, size=(9, 7), groups=3, bias=False),
    Case((4, 0), (2, 4), groups=2, size=(5, 6)),
    Case((0, 6), (3, 3), groups=3, size=(5, 5)),
    Case(*split(8, 0.25, 8, 0.25), size=(7, 5), groups=8),
    Case(*split(4, 0.5, 8, 0.5), (5, 5), stride=2, size=(9, 7), groups=4, bias=False),
    Case((6, 0), (12, 0), groups=6, size=(5, 8)),
    Case((0, 3), (0, 3), stride=2, groups=3, size=(5, 7)),
    Case(*split(6, 0.5, 8, 0.25), size=(9, 8), dilation=(2, 2)),
    Case(*split(6, 0.5, 8, 0.25), (3, 5), stride=2, size=(11, 10), dilation=(3, 1)),
    *(
        Case(*split(6, 0.5, 4, 0.5), (3, 5), stride, (11, 9), padding_mode=mode)
        for mode in ("reflect", "replicate", "circular")
        for stride in (1, 2)
    ),
    Case(*split(6, 0.0, 4, 0.5), (5, 3), size=(9, 13), dilation=(1, 2), padding_mode="reflect"),
    Case(*split(8, 0.5, 8, 0.5), size=(9, 7), groups=8, dilation=(2, 1), padding_mode="circular"),
    Case(*split(4, 1.0, 4, 0.5), size=(7, 5), batch=1, groups=2, padding_mode="replicate"),
    Case(*split(8, 0.5, 8, 0.5), size=(7, 5), batch=0, groups=2, padding_mode="replicate"),
)

pairs = st.tuples(st.integers(0, 9), st.integers(0, 9)).filter(any)


@st.composite
def covered_cases(draw: st.DrawFn) -> Case:
    odd, extent = st.sampled_from([1, 3, 5, 7]), st.integers(1, 12)
    return Case(
        draw(pairs), draw(pairs), draw(st.tuples(odd, odd)), draw(st.integers(1, 2)),
        draw(st.tuples(extent, extent)), draw(st.integers(0, 3)), draw(st.booleans()),
    )  # fmt: skip


@st.composite
def uncovered_cases(draw: st.DrawFn) -> Case:
    odd, extent, groups = st.sampled_from([1, 3, 5]), st.integers(9, 13), draw(st.integers(1, 3))
    multiple = st.tuples(*2 * [st.integers(0, 2).map(lambda times: groups * times)]).filter(any)
    dilation = st.tuples(st.integers(1, 2), st.integers(1, 2))
    case = Case(
        draw(multiple), draw(multiple), draw(st.tuples(odd, odd)), draw(st.integers(1, 2)),
        draw(st.tuples(extent, extent)), draw(st.integers(1, 2)), draw(st.booleans()),
        draw(dilation), groups,
        draw(st.sampled_from(["zeros", "reflect", "replicate", "circular"])),
    )  # fmt: skip
    assume(sum(case.in_channels) != groups or groups == 1)  # depthwise: its own rule for channels
    padding = max(d * (k // 2) for d, k in zip(case.dilation, case.kernel_size, strict=True))
    assume(padding < min(half(case.out_size)))  # a part can reflect only what it has
    return case

"""How the operator lives in autograd: what runs, for whom, and from which gradients."""

import itertools
from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch
from cases import Case, Operands, Parts, check_equal
from derivatives import check_equal_gradients, exact_gradients, gradients
from dispatched import Dispatched
from geometries import COVERED, split
from oracle import assert_equal_values
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from octconv_cuda import OctConv2d

SUBSETS = [
    names
    for count in range(1, 5)
    for names in itertools.combinations(("x_high", "x_low", "weight", "bias"), count)
]


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("names", SUBSETS, ids="+".join)
def test_only_what_is_asked_for(names: tuple[str, ...], stride: int, device: torch.device) -> None:
    """Each subset gets its gradients, and no operator runs for what nobody asked for."""
    case = Case(*split(8, 0.5, 6, 0.5), stride=stride, size=(7, 5))
    operands, dy = case.integers().to(device), case.integer_gradients()
    exact = dict(zip(operands._fields, exact_gradients(case, operands, dy), strict=True))
    for name in names:
        getattr(operands, name).requires_grad_()
    with Dispatched() as calls:
        torch.autograd.backward(case.call(operands), [g.to(device) for g in dy])
    for name, tensor in zip(operands._fields, operands, strict=True):
        assert (tensor.grad is not None) == (name in names)
        if tensor.grad is not None:
            assert_equal_values(tensor.grad, exact[name])
    assert calls.names.count("forward") == 1
    assert calls.names.count("input_grad") == bool({"x_high", "x_low"} & set(names))
    of_weight = calls.arguments_of("weight_grad")
    assert len(of_weight) == ("weight" in names)  # the bias alone asks for sums, no products
    for arguments in of_weight:  # the last one: whether the bias's gradient is wanted
        assert arguments[10:] == (() if "bias" in names else (False,))


def test_second_derivatives_want_no_gradient_of_the_bias(device: torch.device) -> None:
    case = Case(*split(8, 0.5, 6, 0.5), size=(7, 5))
    leaves = case.integers().leaves(device)
    first = torch.autograd.grad(case.call(leaves)[0].sum(), leaves.x_high, create_graph=True)
    with Dispatched() as calls:
        first[0].sum().backward()
    assert [arguments[10:] for arguments in calls.arguments_of("weight_grad")] == [(False,)]


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_no_graph_where_none_is_wanted(context: Any, device: torch.device) -> None:
    case = Case((4, 4), (3, 3), size=(5, 6))
    leaves = case.integers().leaves(device)
    with context():
        outputs = case.call(leaves)
    assert not any(y.requires_grad for y in outputs)
    check_equal(outputs, case.exact(leaves))


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("used", [0, 1])
def test_one_output_used(used: int, stride: int, device: torch.device) -> None:
    case = Case(*split(8, 0.5, 6, 0.5), stride=stride, size=(7, 6))
    operands, dy = case.integers().to(device), list(case.integer_gradients())
    dy[1 - used].zero_()
    exact = exact_gradients(case, operands, tuple(dy))
    leaves = operands.leaves()
    result = torch.autograd.grad(case.call(leaves)[used], leaves, dy[used].to(device))
    check_equal_gradients(list(result), exact)


def expanded(x: Tensor) -> Tensor:
    """All strides 0, as the gradient of a sum is."""
    return x.flatten()[:1].reshape(1, 1, 1, 1).expand(x.shape)


def broadcast_over_pixels(x: Tensor) -> Tensor:
    """As the gradient of a mean over pixels is."""
    return x[:, :, :1, :1].expand(x.shape)


def channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def every_second(x: Tensor) -> Tensor:
    return x.repeat_interleave(2, 3)[..., ::2]


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(
    "layout",
    [Tensor.contiguous, channels_last, expanded, broadcast_over_pixels, every_second],
    ids=lambda layout: layout.__name__,
)
def test_layouts_of_incoming_gradients(layout: Any, stride: int, device: torch.device) -> None:
    case = Case(*split(8, 0.5, 6, 0.5), stride=stride, size=(7, 6))
    operands = case.integers().to(device)
    dy = [layout(g.to(device)) for g in case.integer_gradients()]
    leaves = operands.leaves()
    result = torch.autograd.grad(case.call(leaves), leaves, dy)
    check_equal_gradients(list(result), exact_gradients(case, operands, tuple(dy)))


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last], ids=str)
@pytest.mark.parametrize("case", COVERED, ids=str)
def test_weight_gradient_has_the_layout_of_the_weight(
    case: Case, memory_format: torch.memory_format, device: torch.device
) -> None:
    operands = case.integers().to(device)
    weight = torch.empty_like(operands.weight, memory_format=memory_format)  # 1x1 ones, too
    operands = operands._replace(weight=weight.copy_(operands.weight))
    dy = case.integer_gradients()
    result = gradients(case.call, operands, dy)
    check_equal_gradients(result, exact_gradients(case, operands, dy))
    dweight = result[-2 if case.bias else -1]
    assert dweight.stride() == weight.stride()


@pytest.mark.parametrize("case", COVERED, ids=str)
def test_gradients_repeat_bit_for_bit(case: Case, device: torch.device) -> None:
    operands, dy = case.normal().to(device), case.normal_gradients()
    first, second = (gradients(case.call, operands, dy) for _ in range(2))
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


@pytest.mark.parametrize("case", COVERED, ids=str)
def test_checkpointing(case: Case, device: torch.device) -> None:
    operands, dy = case.normal().to(device), case.normal_gradients()

    def recomputed(leaves: Operands) -> Parts:
        return checkpoint(case.call, leaves, use_reentrant=False)

    for result, expected in zip(
        gradients(recomputed, operands, dy), gradients(case.call, operands, dy), strict=True
    ):
        assert torch.equal(result, expected)


@pytest.mark.parametrize("case", COVERED, ids=str)
def test_activations_in_place(case: Case, device: torch.device) -> None:
    """Results must not be views of anything: autograd lets nobody change those in place."""
    operands, dy = case.integers().to(device), case.integer_gradients()

    def activated(function: Callable[[Operands], Parts]) -> Callable[[Operands], Parts]:
        return lambda leaves: tuple(None if y is None else y.relu_() for y in function(leaves))

    check_equal_gradients(
        gradients(activated(case.call), operands, dy),
        gradients(activated(case.reference), operands.to("cpu", torch.float64), dy),
    )


@pytest.mark.parametrize("name", ["x_high", "x_low", "weight"])
def test_changed_operands_are_noticed(name: str, device: torch.device) -> None:
    """A backward pass from overwritten values would be silently wrong."""
    case = Case((4, 4), (3, 3), size=(5, 6))
    operands = Operands(*(1 * leaf for leaf in case.normal().leaves(device)))
    y_high, _ = case.call(operands)
    getattr(operands, name).mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y_high.sum().backward()


def saved_by(call: Callable[[], Any]) -> list[Tensor]:
    """What autograd keeps of a call for its backward pass."""
    saved: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        saved.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        call()
    return saved


def bytes_beside(parameters: Iterable[Tensor], saved: list[Tensor]) -> int:
    """Of the storages of saved tensors, but for those of parameters."""
    known = {p.untyped_storage().data_ptr() for p in parameters}
    storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in saved}
    return sum(size for pointer, size in storages.items() if pointer not in known)


def test_inputs_and_weight_are_all_that_is_saved(device: torch.device) -> None:
    """At alpha 0.5 that is 0.625 of what a vanilla layer of the same channels saves."""
    layer = OctConv2d(32, 48, 3, alpha_in=0.5, alpha_out=0.5, device=device)
    high = torch.randn(2, 16, 12, 12, device=device, requires_grad=True)
    low = torch.randn(2, 16, 6, 6, device=device, requires_grad=True)
    saved = saved_by(lambda: layer((high, low)))
    pointers = {t.data_ptr() for t in saved}
    assert pointers == {t.data_ptr() for t in (high, low, layer.weight)}

    vanilla = torch.nn.Conv2d(32, 48, 3, padding=1, device=device)
    x = torch.randn(2, 32, 12, 12, device=device, requires_grad=True)
    of_vanilla = bytes_beside(vanilla.parameters(), saved_by(lambda: vanilla(x)))
    of_octave = bytes_beside(layer.parameters(), saved)
    assert 0 < of_octave <= 0.65 * of_vanilla

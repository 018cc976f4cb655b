"""Names of parameters in the implementations of others, and where they belong in our networks."""

import re
from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

__all__ = ["FORMS", "PARTS", "Name", "locator", "parse"]

PARTS = ("high", "low")
# The slots that make up one parameter: one form, or a tensor would be there twice.
FORMS = ({""}, {"twice"}, {*PARTS}, {"convh", "convl"}, {"hh", "hl", "lh", "ll"})


class Name(NamedTuple):
    """What a parameter's name says.

    Attributes:
        module: Path of its layer, in the names of its source.
        slot: "hh", "hl", "lh", "ll": the path from high or low to high or low; "high", "low": one
            part; "convh", "convl": a path that only its shape tells; "twice": a whole weight whose
            code adds the bias in both paths; "": a whole parameter.
        leaf: "weight", "bias", or one of batch norm's.
    """

    module: str
    slot: str
    leaf: str


# {a}, {b}: h or l, from where to where; {A}, {B}: the same in capitals.
_PATH_FORMS = (
    "conv_{a}2{b}", "{a}2{b}", "{A}2{B}", "{A}to{B}", "w{A}to{B}", "W_{A}{B}", "conv_{a}{b}",
    "w{a}{b}",
)  # fmt: skip
_SLOTS = {
    form.format(a=a, b=b, A=a.upper(), B=b.upper()): a + b
    for form in _PATH_FORMS
    for a in "hl"
    for b in "hl"
} | {
    "hf_conv": "hh", "hf_pool_conv": "hl", "lf_conv": "lh", "lf_down_conv": "ll",
    "convh": "convh", "convl": "convl", "weights": "twice", "high": "high", "low": "low",
}  # fmt: skip
_SLOTS |= {
    form.format(part): {"h": "high", "l": "low"}[part]
    for form in ("bn_{}", "bn{}", "{}f_bn", "bn_{}f")
    for part in "hl"
}
_LEAVES = {
    "weight": "weight", "bias": "bias", "gamma": "weight", "beta": "bias",
    "running_mean": "running_mean", "running_var": "running_var",
    "moving_mean": "running_mean", "moving_var": "running_var",
    "num_batches_tracked": "num_batches_tracked",
}  # fmt: skip
_LEAF = re.compile(rf"(?:(.*)[._])?({'|'.join(_LEAVES)})")
_SLOT = re.compile(rf"(?:(.*)[.-])?({'|'.join(sorted(_SLOTS, key=len, reverse=True))})")
_PART = re.compile(r"(.*)-([hl])")
# DataParallel, MXNet, and torch.compile, which may have compiled any module within.
_WRAPPERS = re.compile(r"^(?:(?:module|_orig_mod)\.|arg:|aux:)+|(?<=\.)_orig_mod\.")


def parse(name: str) -> Name:
    """Takes a parameter's name apart; MXNet's has a hyphen and underscores where others have dots.

    A name without a leaf is that of a weight.
    """
    name = _WRAPPERS.sub("", name)
    name = re.sub(r"(se_block\.conv2)_([hl])\b", r"\1-\2", name)
    found = _LEAF.fullmatch(name)
    module, leaf = (found[1] or "", _LEAVES[found[2]]) if found else (name, "weight")
    if found := _SLOT.fullmatch(module):
        return Name(found[1] or "", _SLOTS[found[2]], leaf)
    if found := _PART.fullmatch(module):
        return Name(found[1], {"h": "high", "l": "low"}[found[2]], leaf)
    return Name(module, "", leaf)


# A source's path of a layer to ours. "v1" and "v2" tell the variant; norms have rules of their own
# where their path is the convolution's. Sources: the authors' symbols (L2_B01_conv1_conv), their
# gluon names (R50_L1_B0_conv1, L1_B0.conv1), and networks of torchvision's form.
_Rule = tuple[str, str | Callable[[re.Match[str]], str]]
_BLOCK = r"L(\d)_B(\d+)[_.]"
_COMMON: tuple[_Rule, ...] = (
    (r"^[A-Z]+\d+_(?=L\d|conv1|bn1|classifier|tail)", ""),
    (r"^conv1_(conv|bn)$", lambda m: f"{m[1]}1"),
    (r"^conv1\.0$", "conv1"),
    (r"^conv1\.1$", "bn1"),
    (r"^(?:tail_bn|tail-bn|tail\.0)$", "norm"),
    (r"^(?:classifier|classifer)$", "fc"),
)
_RESNET: tuple[_Rule, ...] = (
    (r"^L(\d)_B(\d\d)_(?=conv\d_|se_fc)", lambda m: f"layer{int(m[1]) - 1}.{int(m[2]) - 1}."),
    (r"^(layer\d\.\d+\.conv\d)_conv$", r"\1"),
    (r"^(layer\d\.\d+)\.conv(\d)_bn$", r"\1.bn\2"),
    (r"^(layer\d\.\d+)\.se_(fc\d)$", r"\1.se.\2"),
    (rf"^{_BLOCK}(?:se-|se_block\.)conv(\d)$", r"layer\1.\2.se.fc\3"),
    (rf"^{_BLOCK}((?:conv|bn)\d)$", r"layer\1.\2.\3"),
    (r"\.ocb(\d)", r".conv\1"),
    (r"^((?:.*\.)?(?:conv\d|downsample\.0))\.conv$", r"\1"),
)
_SHORTCUT: dict[str, tuple[_Rule, ...]] = {
    "v1": ((r"\.conv4$", ".downsample.0"), (r"\.bn4$", ".downsample.1")),
    "v2": ((r"\.conv4$", ".downsample.2"), (r"\.bn4$", ".downsample.0")),
}
_NORM: tuple[_Rule, ...] = (
    (r"\.conv([123])$", r".bn\1"),
    (r"\.downsample\.0$", ".downsample.1"),
)
_MOBILENET: tuple[_Rule, ...] = (
    (r"^features\.([1-9]\d*)\.(\d)\.conv$", lambda m: f"features.{m[1]}.conv{int(m[2]) + 1}"),
    (r"^conv1$", "features.0.0"),
    (r"^bn1$", "features.0.1"),
    (r"^tail-conv$", "features.18.0"),
    (r"^norm$", "features.18.1"),
)
_MOBILENET_NORM: tuple[_Rule, ...] = (
    (r"^features\.([1-9]\d*)\.([01])$", lambda m: f"features.{m[1]}.bn{int(m[2]) + 1}"),
)


def locator(ours: Collection[str], sources: Iterable[Name]) -> Callable[[Name], str]:
    """The function that gives the path of a name's layer in a network of ours.

    Args:
        ours: Paths of the modules of the network; what one of them names stays as it is.
        sources: All names of the checkpoint.
    """
    mobile = "features.0.0" in ours
    rules: tuple[_Rule, ...]
    if mobile:
        rules, norm_rules = (*_COMMON, *_MOBILENET), _MOBILENET_NORM
    else:
        variant = "v2" if "norm" in ours else "v1"
        rules = (*_COMMON, *_RESNET, *_SHORTCUT[variant])
        norm_rules = _NORM if variant == "v1" else ()
    blocks = sorted({(int(m[1]), int(m[2])) for n in sources if (m := re.search(_BLOCK, n.module))})

    def locate(name: Name) -> str:
        path = name.module
        if path in ours and name.slot not in ("high", "low"):
            return path
        for pattern, replacement in rules:
            path = re.sub(pattern, replacement, path)
        if mobile and (found := re.match(rf"{_BLOCK}(\w+)$", path)):
            position = blocks.index((int(found[1]), int(found[2]))) + 1
            path = f"features.{position}.{found[3]}"
        if name.slot in ("high", "low"):
            for pattern, replacement in norm_rules:
                path = re.sub(pattern, replacement, path)
        return path

    return locate

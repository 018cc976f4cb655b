"""Writes the results into README.md, and in full into benchmarks/results/README.md.

With ``--check`` it only says whether they are current. Shown are all results of layers and networks
but those of quick runs, which stay out of the repository, and of first versions, which the log
tells of.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from . import network_report, report
from .layer_list import HEADLINE_ALPHA

__all__ = ["BEGIN", "END", "block", "full", "main", "replace_block"]

BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
ROOT = Path(__file__).parent.parent
FULL = Path("benchmarks", "results", "README.md")


def main(argv: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Rewrites both files; with --check returns 1 where that would change one."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.readme", description=__doc__)
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args(argv)
    readme = root / "README.md"
    texts = {readme: replace_block(readme.read_text(), block(root)), root / FULL: full(root)}
    stale = [path for path, text in texts.items() if not path.exists() or path.read_text() != text]
    if stale and args.check:
        names = ", ".join(str(path.relative_to(root)) for path in stale)
        print(f"{names}: not the current results: run `python -m benchmarks.readme`")
        return 1
    for path in stale:
        path.write_text(texts[path])
    return 0


def block(root: Path) -> str:
    """For README.md: a line for each result of layers and each network, and pictures of layers."""
    results = list(_results(root))
    layers = {
        f"{path.parent.name}/{path.stem}": result for path, result in results if "rows" in result
    }
    networks = [result for _, result in results if "timings" in result]
    parts = []
    if layers:
        parts.append(report.summary(layers, HEADLINE_ALPHA))
        pictures = [path for path, _ in results if path.stem in ("layers", "one-thread-avx512")]
        parts += [_picture(path, root) for path in pictures]
    if networks:
        parts.append(network_report.summary(networks, HEADLINE_ALPHA))
    if parts:
        parts.append(f"[All results, with their commits and pictures]({FULL}).")
    return "\n\n".join(parts)


def full(root: Path) -> str:
    """A table and a picture for each result."""
    parts = ["# Results", "Written by `python -m benchmarks.readme` from the files beside it."]
    for path, result in _results(root):
        if "rows" in result:
            parts.append(report.markdown(result, HEADLINE_ALPHA))
        elif "timings" in result:
            parts.append(network_report.markdown(result))
        else:
            continue
        parts.append(_picture(path, (root / FULL).parent))
    return "\n\n".join(parts) + "\n"


def _results(root: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    for path in sorted((root / FULL).parent.glob("*/*.json")):
        if path.stem != "quick" and not path.stem.endswith("-first"):
            yield path, json.loads(path.read_text())


def _picture(path: Path, root: Path) -> str:
    result = path.with_suffix(".png").relative_to(root)
    return f"![{path.stem} on {path.parent.name}]({result})"


def replace_block(text: str, new: str) -> str:
    """The text with ``new`` between its two markers.

    Raises:
        ValueError: The markers are missing or in the wrong order.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"README.md must hold {BEGIN} and then {END}")
    body = f"{new}\n" if new else ""
    return f"{before}{BEGIN}\n{body}{END}{after}"


if __name__ == "__main__":
    sys.exit(main())

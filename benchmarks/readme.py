"""Writes the results into README.md; with ``--check`` it only says whether they are current.

Shown are all results of layers and networks under benchmarks/results/ but those of quick runs, which stay out of the
repository.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from . import network_report, report
from .layer_list import HEADLINE_ALPHA

__all__ = ["BEGIN", "END", "block", "main", "replace_block"]

BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
ROOT = Path(__file__).parent.parent


def main(argv: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Rewrites the block; with --check returns 1 where that would change README.md."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.readme", description=__doc__)
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args(argv)
    readme = root / "README.md"
    text = readme.read_text()
    current = replace_block(text, block(root))
    if text == current:
        return 0
    if args.check:
        print("README.md does not show the results: run `python -m benchmarks.readme`")
        return 1
    readme.write_text(current)
    return 0


def block(root: Path) -> str:
    """A table and a picture for each result file of the project, in Markdown."""
    parts = []
    for path in sorted((root / "benchmarks" / "results").glob("*/*.json")):
        if path.stem == "quick":
            continue
        result = json.loads(path.read_text())
        picture = path.with_suffix(".png").relative_to(root)
        if "timings" in result:
            parts.append(network_report.markdown(result))
            parts.append(f"![Time of networks against alpha]({picture})")
        if "rows" not in result:  # of another kind
            continue
        parts.append(report.markdown(result, HEADLINE_ALPHA))
        parts.append(f"![Speed-up over vanilla convolution against alpha]({picture})")
    return "\n\n".join(parts)


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

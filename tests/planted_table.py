"""Runs all planted bugs and writes what reports them into tests/emulation/README.md."""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from emulation.emulator import Emulator
from planted_bugs import BUGS, COLUMNS
from planted_reports import columns_of, report

README = Path(__file__).parent / "emulation" / "README.md"
BEGIN, END = "<!-- planted:begin -->", "<!-- planted:end -->"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="rewrite README.md, not only print")
    args = parser.parse_args(argv)
    new = table()
    print(new)
    if args.write:
        before, rest = README.read_text().split(BEGIN)
        after = rest.split(END)[1]
        README.write_text(f"{before}{BEGIN}\n{new}\n{END}{after}")
    return 0


def table() -> str:
    """Of how many runs each column's report each bug, and what they say."""
    cells: dict[str, list[str]] = {bug.name: [] for bug in BUGS}
    for mode in ("plain", "asan", "tsan"):
        emulator = Emulator(mode)
        for bug in BUGS:
            for runs in columns_of(bug, mode).values():
                count = sum(report(emulator, bug, run) is not None for run in runs)
                cells[bug.name].append(f"{count}/{len(runs)}" if count else "-")
        emulator.close()
    rows = [["planted bug", *COLUMNS, "the report says"], [":--", *[":-:"] * len(COLUMNS), ":--"]]
    for bug in BUGS:
        rows.append([bug.name, *cells[bug.name], said(bug.says)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def said(says: tuple[str, ...]) -> str:
    return "; or ".join(says)


def disagreements(readme: str) -> list[str]:
    """Rows of README.md's table that do not say what the tests check."""
    block = readme.split(BEGIN)[1].split(END)[0]
    rows = [line.strip("| ").split(" | ") for line in block.strip().splitlines()[2:]]
    shown = {name: (cells, text) for name, *cells, text in rows}
    wrong = [f"no kernel is named {name}" for name in shown if name not in {b.name for b in BUGS}]
    for bug in BUGS:
        cells, text = shown.get(bug.name, ([], ""))
        agree = [fits(cell, word) for cell, word in zip(cells, bug.seen.split(), strict=False)]
        if len(agree) != len(COLUMNS) or not all(agree) or text != said(bug.says):
            wrong.append(f"{bug.name}: {cells} {text}")
    return wrong


def fits(cell: str, word: str) -> bool:
    """Whether a cell such as 3/16 is what a word of Bug.seen promises."""
    counts = re.fullmatch(r"(\d+)/(\d+)", cell)
    if word == "all":
        return counts is not None and counts[1] == counts[2]
    return word == "luck" or (counts is not None) == (word == "some")


if __name__ == "__main__":
    sys.exit(main())

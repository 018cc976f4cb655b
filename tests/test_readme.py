"""The README's examples run."""

import re
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", README.read_text(), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("code", EXAMPLES, ids=lambda code: code.strip().splitlines()[-1][:40])
def test_example_runs(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A number behind a ``#`` is one that the example prints."""
    exec(compile(code, str(README), "exec"), {})
    printed = _plain(capsys.readouterr().out)
    for number in re.findall(r"# ([\d,]{6,}|\([\d, ]+\))", code):
        assert _plain(number) in printed


def _plain(text: str) -> str:
    """Digits only; what separates them does not count."""
    return " ".join(re.findall(r"\d+", text.replace(",", "")))

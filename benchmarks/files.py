"""Writing results so that an interruption leaves the last whole file."""

import json
import os
from pathlib import Path
from typing import Any

__all__ = ["write_json", "write_text"]


def write_json(path: Path, data: Any) -> None:
    """Replaces a file by the JSON of data."""
    write_text(path, json.dumps(data, indent=1) + "\n")


def write_text(path: Path, text: str) -> None:
    """Replaces a file at once: whoever is killed meanwhile leaves the old one."""
    new = path.with_name(f"{path.name}.new")
    new.write_text(text)
    os.replace(new, path)

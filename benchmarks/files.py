"""Where results lie, and writing them so that an interruption leaves the last whole file."""

import argparse
import json
import os
from pathlib import Path
from typing import Any

__all__ = ["RESULTS", "json_path", "write_json", "write_text"]

RESULTS = Path(__file__).with_name("results")


def json_path(text: str) -> Path:
    """An argument of a command line: the file that results go to, pictures beside it."""
    path = Path(text)
    if path.suffix != ".json" or path.is_dir():
        raise argparse.ArgumentTypeError(f"must be a .json file, got {text}")
    return path


def write_json(path: Path, data: Any) -> None:
    """Replaces a file by the JSON of data."""
    write_text(path, json.dumps(data, indent=1) + "\n")


def write_text(path: Path, text: str) -> None:
    """Replaces a file at once: whoever is killed meanwhile leaves the old one."""
    new = path.with_name(f"{path.name}.new")
    new.write_text(text)
    os.replace(new, path)

"""A hash of what the native library is compiled of, which tells whether it is of a given checkout.

setup.py loads this file by its path, before there is a package to import; so it imports nothing of
the package.
"""

import hashlib
from pathlib import Path

__all__ = ["sources_digest"]

_SUFFIXES = {".h", ".cpp", ".cuh", ".cu"}  # as in MANIFEST.in: an sdist has the same hash


def sources_digest(root: Path) -> str | None:
    """Of the names and contents of setup.py and csrc in this folder; None if they are not there."""
    setup = root / "setup.py"
    files = sorted(path for path in (root / "csrc").rglob("*") if path.suffix in _SUFFIXES)
    if not files or not setup.exists():
        return None
    parts = []
    for path in (setup, *files):
        parts += [path.relative_to(root).as_posix().encode(), path.read_bytes()]
    # With lengths, for nothing may move from one part to the next unseen.
    return hashlib.sha256(b"".join(b"%d:%b" % (len(part), part) for part in parts)).hexdigest()[:12]

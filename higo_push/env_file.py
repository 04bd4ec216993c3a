"""Read the `.env` file. `setting` in push.sh follows the same rules.

A line is `NAME=value`, with optional `export` in front, and spaces around either. A value may be quoted; without quotes
a `#` after a space begins a comment.
"""

import logging
import os
import re
from pathlib import Path

log = logging.getLogger(__name__)

_LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_]\w*)\s*=(.*)")
_QUOTED = re.compile(r"""'([^']*)'\s*(?:#.*)?|"((?:[^"\\]|\\.)*)"\s*(?:#.*)?""")
_COMMENT = re.compile(r"\s#.*")
#: After a backslash in double quotes these stay unchanged; before any other character the backslash is removed.
_KEPT = "rnt"


def read(path: Path) -> frozenset[str]:
    """Set the file's variables that are not in the environment yet, and return their names. A malformed line is
    reported by its number: it may contain a secret."""
    try:
        text = path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError:
        return frozenset()
    found: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        match = _LINE.fullmatch(line.rstrip())
        if match:
            found[match[1]] = unwrapped(match[2])
        elif line.strip() and not line.lstrip().startswith("#"):
            log.warning("%s, line %s: ignored, because it is not NAME=value", path.name, number)
    new = {name: value for name, value in found.items() if name not in os.environ}
    os.environ.update(new)
    return frozenset(new)


def unwrapped(value: str) -> str:
    """Return a value without its quotes, or without its comment and surrounding spaces."""
    quoted = _QUOTED.fullmatch(value.strip())
    if quoted is None:
        return _COMMENT.sub("", value, count=1).strip()
    if quoted[1] is not None:
        return quoted[1]
    return re.sub(r"\\(.)", lambda escaped: escaped[0] if escaped[1] in _KEPT else escaped[1], quoted[2])

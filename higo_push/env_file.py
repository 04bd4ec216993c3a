"""The `.env` file, and how a value is written there and in the environment. `setting` in push.sh reads it alike.

A line is `NAME=value`, with `export` in front or not, and with blanks around either. A value may stand in quotes;
without them a `#` behind a blank begins a comment.
"""

import logging
import os
import re
from pathlib import Path

log = logging.getLogger(__name__)

_LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_]\w*)\s*=(.*)")
_QUOTED = re.compile(r"""'([^']*)'\s*(?:#.*)?|"((?:[^"\\]|\\.)*)"\s*(?:#.*)?""")
_COMMENT = re.compile(r"\s#.*")
#: Behind a backslash in double quotes these stay as they are; of any other character the backslash goes.
_KEPT = "rnt"


def read(path: Path) -> None:
    """Put what the file sets, and the environment does not, into the environment. A line that sets nothing is
    told by its number: it may hold a secret."""
    try:
        text = path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError:
        return
    found: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        match = _LINE.fullmatch(line.rstrip())
        if match:
            found[match[1]] = unwrapped(match[2])
        elif line.strip() and not line.lstrip().startswith("#"):
            log.warning("%s, line %s: ignored, because it is not NAME=value", path.name, number)
    for name, value in found.items():
        os.environ.setdefault(name, value)


def unwrapped(value: str) -> str:
    """A value without its quotes, or without the comment behind it, and without blanks around it."""
    quoted = _QUOTED.fullmatch(value.strip())
    if quoted is None:
        return _COMMENT.sub("", value, count=1).strip()
    if quoted[1] is not None:
        return quoted[1]
    return re.sub(r"\\(.)", lambda escaped: escaped[0] if escaped[1] in _KEPT else escaped[1], quoted[2])

"""Placeholders that somebody forgot to fill in: a broadcast says the same to everybody, and nothing replaces them."""

import re
import unicodedata
from collections.abc import Iterator
from typing import Any

_NAME = r"[^\W\d][\w.\- ]{0,40}"
_FORMS = re.compile(
    "|".join(
        (
            r"\{\{.{0,60}?\}\}",  # {{nickname}}
            r"[$#@]\{.{0,60}?\}",  # ${nickname}, #{nickname}
            rf"\{{(?:{_NAME}|\d{{0,3}})\}}",  # {nickname}, {0}, {}
            r"\[\[.{0,60}?\]\]",  # [[nickname]]
            r"<%.{0,60}?%>",
            rf"<<{_NAME}>>",
            r"%\(\w{1,40}\)[sd]",  # %(nickname)s
            r"%[^\W\d]\w{0,40}%",  # %nickname%
            r"%[sd](?!\w)",
            r"\$[A-Za-z_]\w{0,40}",  # $nickname
            r"\b__[A-Za-z]\w{0,40}?__\b",
        )
    )
)


def found(*values: Any) -> list[str]:
    """What looks like a placeholder in these texts (or in the texts of these objects and lists), each once.

    Full-width signs, as Chinese keyboards type them, count as the plain ones.
    """
    every = (match for text in _texts(values) for match in _FORMS.findall(unicodedata.normalize("NFKC", text)))
    return list(dict.fromkeys(every))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from _texts([*value.keys(), *value.values()])
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _texts(item)

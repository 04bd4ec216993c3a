"""An answer's header lines as a mapping."""

from collections.abc import Iterator, Mapping


class HeaderLines(Mapping[str, str]):
    """The answer's headers, parsed on demand: a successful answer's are never read."""

    __slots__ = ("_lines", "_parsed")

    def __init__(self, lines: list[bytes]) -> None:
        self._lines = lines
        self._parsed: dict[str, str] | None = None

    def _headers(self) -> dict[str, str]:
        if self._parsed is None:
            self._parsed = {}
            for line in self._lines:
                if line.startswith(b"HTTP/"):
                    self._parsed.clear()  # an interim answer (1xx) came before
                name, colon, value = line.decode("latin-1").partition(":")
                if colon:
                    self._parsed[name.strip().lower()] = value.strip()
        return self._parsed

    def __getitem__(self, name: str) -> str:
        return self._headers()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._headers())

    def __len__(self) -> int:
        return len(self._headers())

"""No secret stands in the repository: keys are 32 hex digits, and the only ones here are published examples."""

import re
import secrets
import subprocess
from collections.abc import Iterator

from tests.environment import PROJECT
from tests.needs import needs

SECRET_LIKE = re.compile(rb"(?<![0-9a-zA-Z])[0-9a-fA-F]{32}(?![0-9a-zA-Z])")
#: Published signatures of the provider's protocol, beside the made-up keys that they belong to.
VECTORS = ("tests/pushes/providers/vectors.json", "tests/pushes/providers/test_xinge_v2.py")
PRIVATE_FILES = (".env", "*.sqlite3", "*.pem", "*.key", "*.ini")


def git(*words: str) -> "subprocess.CompletedProcess[bytes]":
    """A clone on a machine that has no git any more can tell nothing of what is tracked."""
    needs("git")
    return subprocess.run(["git", *words], cwd=PROJECT, capture_output=True, check=False)


def tracked() -> Iterator[str]:
    listed = git("ls-files", "-z")
    assert listed.returncode == 0
    yield from (name for name in listed.stdout.decode().split("\0") if name and (PROJECT / name).is_file())


def is_made_up(digits: bytes) -> bool:
    """Plainly no real key: few different digits, digits that count, doubled ones, or pairs that add up to f."""
    text = digits.decode().lower()
    pairs = list(zip(text[::2], text[1::2], strict=True))
    return (
        len(set(text)) <= 4
        or text in "0123456789abcdef" * 3
        or text in "fedcba9876543210" * 3
        or all(left == right for left, right in pairs)
        or all(int(left, 16) + int(right, 16) == 15 for left, right in pairs)
    )


def test_no_file_holds_what_looks_like_a_secret_key():
    found = {
        f"{name}: {match.decode()[:4]}…"
        for name in tracked()
        if name not in VECTORS
        for match in SECRET_LIKE.findall((PROJECT / name).read_bytes())
        if not is_made_up(match)
    }
    assert found == set()


def test_a_real_key_would_be_found():
    key = secrets.token_hex(16).encode()
    assert SECRET_LIKE.findall(b'SECRET = "' + key + b'"') == [key]
    assert not is_made_up(key)


def test_no_private_file_is_tracked():
    listed = git("ls-files", *PRIVATE_FILES)
    assert (listed.returncode, listed.stdout) == (0, b"")


def test_the_env_file_is_ignored():
    assert git("check-ignore", "-q", ".env").returncode == 0

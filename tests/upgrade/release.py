"""The last release's code: the commit that `last_release` beside this file names, in a folder of its own."""

import io
import subprocess
import tarfile
from pathlib import Path

from tests.environment import PROJECT
from tests.needs import needs


def last_release() -> str:
    return (Path(__file__).parent / "last_release").read_text().strip()


def unpacked(folder: Path) -> Path:
    """`folder` with the release's files in it. Where the history lacks it: a failure in CI, elsewhere the test is
    skipped."""
    needs("last-release")
    archive = subprocess.run(
        ["git", "-c", "safe.directory=*", "archive", last_release()], cwd=PROJECT, capture_output=True, check=True
    )
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as packed:
        packed.extractall(folder, filter="data")
    return folder

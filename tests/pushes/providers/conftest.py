from pathlib import Path

import pytest

from tests.pushes.providers.certificates import write_certificate


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    return write_certificate(tmp_path / "certificate.pem")

"""What /readyz asks besides the database and Redis."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from django.db import OperationalError

from higo_push.readiness import check_directory
from tests.foreign import attached

pytestmark = pytest.mark.django_db


def test_the_directorys_database_is_asked_anew_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "theirs.sqlite3"
    with closing(sqlite3.connect(path)) as theirs:
        theirs.execute("CREATE TABLE hg_user (uid INT)")
    with attached(f"sqlite:///{path}", monkeypatch):
        check_directory()
        path.unlink()
        with pytest.raises(OperationalError):
            check_directory()

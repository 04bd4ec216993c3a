"""The job that writes an export, found and run as a worker does it."""

from collections.abc import Callable

import pytest

from pushes import exports
from pushes.admin import roles
from pushes.models import Export
from pushes.names import ExportStatus
from tests.make import make_delivery, make_operator


@pytest.mark.django_db(transaction=True)
def test_an_export_job_writes_the_file(run_jobs: Callable[..., int]) -> None:
    row = make_delivery()
    export = exports.order(Export(created_by=make_operator(roles.OPERATOR)))
    assert run_jobs() == 1
    export.refresh_from_db()
    assert export.status == ExportStatus.DONE
    assert f"{row.pk},".encode() in b"".join(exports.content(export, ["number"]))

"""RQ's entry point for exports, whose rows are the console's own list: the only job that needs the console.

Like `pushes.jobs` it is imported by nobody: `queues` names it by path.
"""

from django.db import close_old_connections

from pushes import exports
from pushes.admin import export_rows


def write(export_id: int) -> None:
    close_old_connections()
    exports.write(export_id, export_rows.read, export_rows.cells)

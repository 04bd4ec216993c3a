"""Count the accounts on a broadcast's list: known accounts, unknown accounts, duplicates."""

from collections.abc import Iterator
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from pushes.broadcasts.audiences import EXPAND_ACCOUNTS
from pushes.console.site.desk import admin_url
from pushes.console.site.pages import page
from pushes.history import exports
from pushes.models import Broadcast
from pushes.people.directory import DirectoryError, directory
from pushes.storage import batches
from pushes.text import csv_cells


def facts(broadcast: Broadcast) -> list[tuple[Any, Any]]:
    """The facts for the review of a list of accounts; any other audience has none."""
    if broadcast.audience_kind != Broadcast.AudienceKind.ACCOUNTS:
        return []
    try:
        unknown = sum(1 for _account_id in unknown_ids(broadcast))
    except DirectoryError:
        return [(_("Accounts on the list"), _("cannot be checked right now"))]
    return [
        (_("Known accounts"), f"{len(set(broadcast.accounts)) - unknown:,}"),
        (_("Unknown accounts"), _download_link(broadcast, unknown) if unknown else "0"),
        (_("Duplicates on the list"), f"{broadcast.repeated:,}"),
    ]


def _download_link(broadcast: Broadcast, unknown: int) -> str:
    address = admin_url(Broadcast, "unknown_page", broadcast.pk)
    return format_html('{} <a class="console-link" href="{}">{}</a>', f"{unknown:,}", address, _("Download as CSV"))


def unknown_ids(broadcast: Broadcast) -> Iterator[str]:
    """Yield the ids on the list that the directory does not know, in the list's order. Raises
    directory.DirectoryError."""
    known = directory()
    for some in batches.chunks(list(dict.fromkeys(map(str, broadcast.accounts))), EXPAND_ACCOUNTS):
        found = known.accounts(some)
        yield from (account_id for account_id in some if account_id not in found)


class UnknownAccountsPage:
    """The part of the broadcasts' desk that serves the file of unknown accounts."""

    @page(
        gettext_lazy("Unknown accounts"),
        permission="pushes.view_broadcast",
        icon="download",
        applies=lambda _broadcast: False,  # the review has the link
    )
    def unknown_page(self, request: HttpRequest, broadcast: Broadcast) -> HttpResponse:
        lines = csv_cells.lines([["account_id"], *([account_id] for account_id in unknown_ids(broadcast))])
        answer = HttpResponse(exports.BOM + lines, content_type="text/csv; charset=utf-8")
        answer["Content-Disposition"] = f'attachment; filename="broadcast-{broadcast.pk}-unknown-accounts.csv"'
        answer["Cache-Control"] = "no-store"
        return answer

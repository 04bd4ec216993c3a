"""The way to a page, in the console's header: the desk, the row, and the page's own title."""

from collections.abc import Iterator, Mapping
from html import unescape
from typing import Any, NamedTuple

from django import template
from django.contrib.auth.models import Group
from django.db.models import Model
from django.urls import reverse
from django.utils.html import strip_tags
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from pushes.console.site import marks

register = template.Library()


class Step(NamedTuple):
    title: str
    link: str = ""


@register.inclusion_tag("console/way.html", takes_context=True)
def way(context: Mapping[str, Any]) -> dict[str, Any]:
    """The steps to the page with this context; the last is the page itself. A page can name steps between its desk
    and itself as `parents`: titles and links."""
    steps = [*_of_desk(context), *(Step(*parent) for parent in context.get("parents") or ())]
    title = _own_title(context)
    if title and (not steps or steps[-1].title != title):
        steps.append(Step(title))
    return {"steps": steps}


def _of_desk(context: Mapping[str, Any]) -> Iterator[Step]:
    """The sidebar says which app a desk belongs to, so the way begins with the desk."""
    opts = context.get("opts")
    if not opts:
        return
    page = f"admin:{opts.app_label}_{opts.model_name}"
    link = reverse(f"{page}_changelist")
    yield Step(str(marks.desk_name(link) or capfirst(opts.verbose_name_plural)), link)
    if row := _row(context):
        # A row keeps its name to the letter: an account's id with a capital that it does not have is another one.
        yield Step(_name(row), reverse(f"{page}_change", args=[row.pk]))


def _own_title(context: Mapping[str, Any]) -> str:
    """What the page is called, if it is neither a desk's list nor a row's form."""
    if context.get("opts") and ("cl" in context or ("adminform" in context and _row(context))):
        return ""
    if "action_list" in context:
        # Django's title of a history repeats the row.
        return _("History")
    if title := context.get("title"):
        return str(title)
    # A heading can have markup: another maker's template has.
    return str(capfirst(unescape(strip_tags(str(context.get("content_title") or ""))).strip()))


def _row(context: Mapping[str, Any]) -> Model | None:
    found = context.get("original") or context.get("object")
    return found if isinstance(found, Model) else None


def _name(row: Model) -> str:
    # The platform's own roles are translated.
    return _(row.name) if isinstance(row, Group) else str(row)

"""Build the table of a long list without a template for each row.

The theme renders every heading again for every row, with the templates of the box that selects all rows, and resolves
the address of every row: more than half of the time of a page of fifty rows. Here both happen once. The markup is the
theme's own, cell by cell. Columns that the theme draws with templates (`label`, `header`, `dropdown`) and lists that
are edited in place cannot use this table.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.contrib.admin.templatetags.admin_urls import add_preserved_filters
from django.core.exceptions import FieldDoesNotExist, ObjectDoesNotExist
from django.db import models
from django.utils.html import conditional_escape, format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from unfold.templatetags.unfold_list import CHECKBOX_CLASSES, LINK_CLASSES, ROW_CLASSES, result_headers
from unfold.utils import display_for_field, display_for_value

NOWRAP = (models.DateField, models.TimeField, models.ForeignKey)
CHECKBOX = "action_checkbox"


@dataclass(frozen=True, slots=True)
class Table:
    """The headings in the form of the theme's template, and the cells of every row."""

    headers: list[dict[str, Any]]
    rows: list[SafeString]


@dataclass(frozen=True, slots=True)
class Column:
    """The markup around a cell, whether the cell links to the row's page, and the function that reads the cell from a
    row."""

    opening: str
    closing: str
    is_link: bool
    shown: Callable[[Any], Any]


def table(changelist: Any) -> Table:
    """Build the table of `changelist.result_list`."""
    headers = list(result_headers(changelist))
    columns = _columns(changelist, headers)
    address = _Addresses(changelist)
    return Table(headers, [_cells(columns, row, address) for row in changelist.result_list])


def _cells(columns: list[Column], row: Any, address: "_Addresses") -> SafeString:
    parts: list[str] = []
    for column in columns:
        shown = conditional_escape(column.shown(row))
        inner = f'<a href="{address(row)}" class="{" ".join(LINK_CLASSES)}" >{shown}</a>' if column.is_link else shown
        parts += (column.opening, inner, column.closing)
    return mark_safe("".join(parts))  # every part is escaped


def _columns(changelist: Any, headers: list[dict[str, Any]]) -> list[Column]:
    found: list[Column] = []
    for place, name in enumerate(changelist.list_display):
        shown, classes = _shown(changelist.model_admin, changelist.model, name)
        is_link = name in (changelist.list_display_links or ())
        tag = "th" if is_link and not any(column.is_link for column in found) else "td"
        title = headers[place]["text"] if place or is_link else _("Select record")
        opening = format_html('<{} class="{}" data-label="{}">', tag, " ".join(classes), title)
        found.append(Column(opening, f"</{tag}>", is_link, shown))
    return found


def _shown(desk: Any, model: type[models.Model], name: str) -> tuple[Callable[[Any], Any], list[str]]:
    """The function that reads a column's cell from a row, and the cell's classes."""
    classes = CHECKBOX_CLASSES if name == CHECKBOX else [f"field-{name}", *ROW_CLASSES]
    empty = desk.get_empty_value_display()
    try:
        field: Any = model._meta.get_field(name)
    except FieldDoesNotExist:
        return _by_method(getattr(desk, name), empty), classes
    return _by_field(field, empty), [*classes, "nowrap"] if isinstance(field, NOWRAP) else classes


def _by_method(method: Callable[[Any], Any], empty: Any) -> Callable[[Any], Any]:
    empty = getattr(method, "empty_value_display", empty)
    boolean = getattr(method, "boolean", False)

    def shown(row: Any) -> Any:
        try:
            value = method(row)
        except ObjectDoesNotExist:
            return empty
        return value if isinstance(value, SafeString) else display_for_value(value, empty, boolean)

    return shown


def _by_field(field: Any, empty: Any) -> Callable[[Any], Any]:
    name = field.name
    # Once for all rows: to look one value up in them is to translate them all.
    choices = {value: str(text) for value, text in field.flatchoices} if field.flatchoices else None
    if choices is not None:
        return lambda row: choices.get(getattr(row, name), empty)
    return lambda row: display_for_field(getattr(row, name), field, empty)


class _Addresses:
    """The addresses of the rows' pages, each with the way back to the filtered list."""

    def __init__(self, changelist: Any) -> None:
        self.changelist = changelist
        self.query: str | None = None

    def __call__(self, row: Any) -> str:
        path = self.changelist.url_for_result(row)
        if self.query is None:
            filters = {"preserved_filters": self.changelist.preserved_filters, "opts": self.changelist.opts}
            self.query = str(add_preserved_filters(filters, path))[len(path) :]
        return conditional_escape(path + self.query)

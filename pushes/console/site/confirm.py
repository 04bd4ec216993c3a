"""The page that stands before everything that sends, destroys or cannot be taken back."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext as _

from pushes.console.site.desk import Desk


class RefusedError(Exception):
    """The act cannot be done now; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Question:
    """What the operator is asked. `facts` are label and value pairs that help to decide."""

    title: str
    text: str
    button: str
    facts: Sequence[tuple[Any, Any]] = ()
    is_dangerous: bool = False
    form: Callable[..., forms.Form] = forms.Form
    initial: Mapping[str, Any] = field(default_factory=dict)
    warning: str = ""
    #: More of them, below the first.
    warnings: Sequence[str] = ()
    #: What the link says that leaves all as it is: never the name of the act.
    keep: str = ""
    #: Why the act cannot be done as things are: the button is off, and an answer is refused.
    obstacle: str = ""
    #: What the question is about, when that can change while it is read: an answer to another state is refused.
    seen: str = ""
    #: A template below the question, and what it shows.
    panel: str = ""
    panel_context: Mapping[str, Any] = field(default_factory=dict)


#: Does what was asked for and returns a sentence about it. Raises RefusedError.
Act = Callable[[dict[str, Any]], str]


def ask(
    desk: Desk[Any],
    request: HttpRequest,
    question: Question,
    act: Act,
    *,
    row: Model | None = None,
    back: str = "",
    cancel: str = "",
) -> HttpResponse:
    """A GET shows the question, a POST does the act, says so, and leads to `back`: to the page of `row`, or to the
    list, unless told otherwise. The link that leaves all as it is leads to `cancel`, or there, too.

    The sentence that `act` returns goes to the history of `row`, so it must hold no secret.
    """
    back = back or (desk.url("changelist") if row is None else desk.url("change", row.pk))
    if request.method != "POST":
        return _show(desk, request, question, question.form(initial=question.initial), row, cancel or back)
    if question.seen and request.POST.get("seen", question.seen) != question.seen:
        messages.error(request, _("Someone changed this in the meantime. Nothing was done: review it again."))
        return HttpResponseRedirect(request.get_full_path())
    if question.obstacle:
        messages.error(request, question.obstacle)
        return HttpResponseRedirect(request.get_full_path())
    form = question.form(request.POST)
    if not form.is_valid():
        return _show(desk, request, question, form, row, cancel or back)
    try:
        done = act(form.cleaned_data)
    except RefusedError as refusal:
        messages.error(request, str(refusal))
        return HttpResponseRedirect(back)
    if row is not None:
        desk.audit(request, row, done)
    messages.success(request, done)
    return HttpResponseRedirect(back)


def _show(
    desk: Desk[Any], request: HttpRequest, question: Question, form: forms.Form, row: Model | None, back: str
) -> HttpResponse:
    context = {
        "title": question.title,
        "question": question,
        "form": form,
        "back": back,
        "keep": question.keep or _("Go back"),
        **question.panel_context,
    }
    return desk.show(request, "console/confirm.html", context, row=row, status=422 if form.errors else 200)

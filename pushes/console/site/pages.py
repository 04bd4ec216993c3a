"""A desk's pages beside its list and forms, and the actions of its list: who may act, the question, and the act.

A GET changes nothing. A page that sends, destroys or cannot be undone returns a Question; the POST that answers the
question performs the act. This module handles permissions, outdated answers, history and messages.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial, wraps
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext as _

from pushes.console.site.desk import Desk
from pushes.console.site.theme import ActionVariant, action

TEMPLATE = "console/confirm.html"
#: Marks the POST of a question that carries fields over: the page was asked for by a POST, too.
CONFIRMED = "confirm"


class RefusedError(Exception):
    """The act cannot be done now; the message says why and what to do. With `is_noted` the row's history has the
    message too, because something was tried."""

    def __init__(self, text: str, *, is_noted: bool = False) -> None:
        super().__init__(text)
        self.is_noted = is_noted


@dataclass(frozen=True, slots=True)
class Done:
    """What was done, if that is more than one sentence about the page's own row."""

    text: str = ""
    #: What could not be done.
    warnings: Sequence[str] = ()
    #: What goes to the histories of which rows. No secret may be in it.
    history: Sequence[tuple[Model, str]] = ()
    #: What is shown then. Without it, the page that the question leads back to.
    page: HttpResponse | None = None


#: Does what was asked for, given the form's data. A sentence is said, and goes to the history of the page's row, so it
#: must hold no secret. Raises RefusedError.
Act = Callable[[dict[str, Any]], str | Done]


@dataclass(frozen=True, slots=True)
class Question:
    """A question to the operator, and the act after a yes. `facts` are label and value pairs that help to decide."""

    title: str
    text: str
    #: Without a name there is no button: only the way back.
    button: str
    act: Act
    facts: Sequence[tuple[Any, Any]] = ()
    is_dangerous: bool = False
    form: Callable[..., forms.Form] = forms.Form
    initial: Mapping[str, Any] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    #: What the link says that leaves all as it is: never the name of the act.
    keep: str = ""
    #: Why the act cannot be done as things are: the button is off, and an answer is refused.
    obstacle: str = ""
    #: What the question is about, when that can change while it is read: an answer to another state is refused.
    seen: str = ""
    #: Values that the answer brings along, by the names of their fields.
    hidden: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    #: Where the answer leads: to the page of the row, or to the list, unless told otherwise.
    back: str = ""
    #: Where the link leads that leaves all as it is: there, too, unless told otherwise.
    cancel: str = ""
    #: Extends the page of all questions, and what it shows besides.
    template: str = TEMPLATE
    context: Mapping[str, Any] = field(default_factory=dict)


Method = Callable[..., Question | Done | HttpResponse]
View = Callable[..., HttpResponse]


def page(
    title: Any,
    *,
    permission: str,
    icon: str = "",
    variant: str = "default",
    applies: Callable[[Any], bool] = lambda _row: True,
) -> Callable[[Method], View]:
    """Make a method `(desk, request, row)` a page of one row, with a button above the row's form.

    The page answers 403 to a user without `permission` (as `pushes.change_device`), and 404 for an unknown row. The
    button is hidden while `applies(row)` is false; the method itself refuses a POST that comes all the same.
    """

    def decorate(method: Method) -> View:
        @wraps(method)
        def view(desk: Desk[Any], request: HttpRequest, object_id: str) -> HttpResponse:
            _admit(request, permission)
            row = desk.get_object(request, object_id)
            if row is None:
                raise Http404
            return answered(desk, request, partial(method, desk, request, row), desk.url("change", row.pk), row)

        return _offered(view, title, permission, applies, icon, variant)

    return decorate


def list_page(title: Any, *, permission: str, icon: str = "", variant: str = "default") -> Callable[[Method], View]:
    """Make a method `(desk, request)` a page of the whole desk, with a button above its list."""

    def decorate(method: Method) -> View:
        @wraps(method)
        def view(desk: Desk[Any], request: HttpRequest) -> HttpResponse:
            _admit(request, permission)
            return answered(desk, request, partial(method, desk, request), desk.url("changelist"))

        return _offered(view, title, permission, lambda _row: True, icon, variant)

    return decorate


def list_action(title: Any, *, permission: str) -> Callable[[Callable[..., Question]], View]:
    """Make a method `(desk, request, chosen)` an action on the ticked rows of the list. The method returns a Question
    whose hidden fields name the rows."""

    def decorate(method: Callable[..., Question]) -> View:
        @wraps(method)
        def view(desk: Desk[Any], request: HttpRequest, chosen: Any) -> HttpResponse:
            def asked() -> Question:
                question = method(desk, request, chosen)
                return replace(question, hidden={**question.hidden, "action": [method.__name__]})

            _admit(request, permission)
            return answered(desk, request, asked, request.get_full_path())

        return _offered(view, title, permission, lambda _row: True)

    return decorate


def _admit(request: HttpRequest, permission: str) -> None:
    if not request.user.has_perm(permission):
        raise PermissionDenied


def _offered(
    view: View, title: Any, permission: str, applies: Callable[[Any], bool], icon: str = "", variant: str = "default"
) -> View:
    """Offer an action as the theme does. The theme's `permissions` are not used: their checks query the database, which
    may not exist yet when checks run."""
    path = view.__name__.removesuffix("_page").replace("_", "-")
    offered: Any = action(view, description=title, url_path=path, icon=icon, variant=ActionVariant(variant))
    offered.permission, offered.applies = permission, applies
    made: View = offered
    return made


def answered(
    desk: Desk[Any],
    request: HttpRequest,
    method: Callable[[], Question | Done | HttpResponse],
    back: str,
    row: Model | None = None,
) -> HttpResponse:
    """Answer with the method's result: a question, a message, or the response itself. A refusal leads back. Pages
    without a row of a table use this too; `page`, `list_page` and `list_action` make the others."""
    try:
        answer = method()
        if isinstance(answer, Question):
            back = answer.back or back
            answer = _ask(desk, request, answer, row, back)
    except RefusedError as refusal:
        if refusal.is_noted and row is not None:
            desk.audit(request, (row, str(refusal)))
        messages.error(request, str(refusal))
        return HttpResponseRedirect(back)
    return _tell(desk, request, answer, back) if isinstance(answer, Done) else answer


def _ask(
    desk: Desk[Any], request: HttpRequest, question: Question, row: Model | None, back: str
) -> HttpResponse | Done:
    """On a GET show the question, on a POST perform the act."""
    if request.method != "POST" or (question.hidden and CONFIRMED not in request.POST):
        return _show(desk, request, question, question.form(initial=question.initial), row, back)
    if question.seen and request.POST.get("seen", question.seen) != question.seen:
        messages.error(request, _("Someone changed this in the meantime. Nothing was done: review it again."))
        return HttpResponseRedirect(request.get_full_path())
    if question.obstacle:
        messages.error(request, question.obstacle)
        return HttpResponseRedirect(request.get_full_path())
    form = question.form(request.POST)
    if not form.is_valid():
        return _show(desk, request, question, form, row, back)
    done = question.act(form.cleaned_data)
    if isinstance(done, Done):
        return done
    return Done(done, history=[] if row is None else [(row, done)])


def _tell(desk: Desk[Any], request: HttpRequest, done: Done, back: str) -> HttpResponse:
    desk.audit(request, *done.history)
    if done.text:
        messages.success(request, done.text)
    for warning in done.warnings:
        messages.warning(request, warning)
    return done.page or HttpResponseRedirect(back)


def _show(
    desk: Desk[Any], request: HttpRequest, question: Question, form: forms.Form, row: Model | None, back: str
) -> HttpResponse:
    context = {
        "title": question.title,
        "question": question,
        "form": form,
        "confirmed": CONFIRMED,
        "back": question.cancel or back,
        "keep": question.keep or _("Go back"),
        **question.context,
    }
    return desk.show(request, question.template, context, row=row, status=422 if form.errors else 200)

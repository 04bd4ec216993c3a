"""What can be done with dead letters: replay them, corrected or not, or discard them."""

from collections.abc import Collection, Sequence
from functools import partial
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from pushes.console.delivery_log import dead_letter_reasons
from pushes.console.delivery_log.raw_bytes import whole_value
from pushes.console.site.confirm import Question, RefusedError, ask
from pushes.console.site.desk import Desk
from pushes.console.site.theme import widgets
from pushes.history import stored_words
from pushes.inbound import dead_letters
from pushes.models import DeadLetter
from pushes.names import CONFLICT, DeadLetterStatus

MAX_AT_ONCE = 1_000


class CorrectForm(forms.Form):
    """The bytes as text. What is left as it was is replayed byte for byte."""

    text = forms.CharField(
        label=gettext_lazy("Message"),
        required=True,
        strip=False,
        widget=widgets.UnfoldAdminTextareaWidget(attrs={"rows": 12, "spellcheck": "false"}),
        help_text=gettext_lazy("A JSON object or PHP serialize() output. The original bytes are kept."),
    )

    def __init__(self, *args: Any, letter: DeadLetter, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.letter = letter

    def clean_text(self) -> str:
        """What still cannot be read is said beside the text, which stays as it was typed."""
        text: str = self.cleaned_data["text"].replace("\r\n", "\n")
        bad = dead_letters.problem(self.letter, corrected(self.letter, text))
        if bad is not None and self.letter.status == DeadLetterStatus.NEW:
            raise forms.ValidationError(_refused(bad))
        return text


def corrected(letter: DeadLetter, text: str) -> bytes | None:
    """The bytes to read instead of the letter's own; None when nothing was changed."""
    return None if text == editable(letter) else text.encode()


def editable(letter: DeadLetter) -> str:
    """Where correcting starts: the value as JSON if there is one, else the bytes as text ("" when they are none)."""
    raw = bytes(letter.raw)
    value = whole_value(raw)
    if value:
        return value
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return ""


def replay_page(desk: Desk[DeadLetter], request: HttpRequest, letter: DeadLetter) -> HttpResponse:
    question = Question(
        title=_("Correct and replay this dead letter?"),
        text=_("If the message can be read now, it is pushed like any other."),
        button=_("Replay"),
        facts=[
            (_("Reason"), dead_letter_reasons.with_code(letter.reason)),
            (_("Detail"), stored_words.words(letter.detail, "letter") or "–"),
        ],
        form=partial(CorrectForm, letter=letter),
        initial={"text": editable(letter)},
    )

    def act(data: dict[str, Any]) -> str:
        raw = corrected(letter, data["text"])
        counts = dead_letters.replay([letter.pk], by=str(request.user), edited={} if raw is None else {letter.pk: raw})
        if counts.still_bad:
            bad = counts.still_bad[0]
            raise RefusedError(_refused(bad))
        if counts.skipped:
            raise RefusedError(_("Nothing was changed: this dead letter is no longer new."))
        if counts.duplicates:
            return _("The message had already been received another way; nothing was pushed twice.")
        return _("Replayed.")

    return ask(desk, request, question, act, row=letter)


def discard_page(desk: Desk[DeadLetter], request: HttpRequest, letter: DeadLetter) -> HttpResponse:
    question = Question(
        title=_("Discard this dead letter?"),
        text=_("Nothing is pushed. The bytes are kept; the dead letter leaves the list of new ones."),
        button=_("Discard"),
        is_dangerous=True,
    )

    def act(_data: dict[str, Any]) -> str:
        if not dead_letters.discard([letter.pk], by=str(request.user)):
            raise RefusedError(_("Nothing was changed: this dead letter is no longer new."))
        return _("Discarded.")

    return ask(desk, request, question, act, row=letter)


def replay_selected(desk: Desk[DeadLetter], request: HttpRequest, chosen: QuerySet[DeadLetter]) -> HttpResponse | None:
    """The list's action: a page that asks, and its answer."""
    ids = _ids(chosen)
    if "confirm" not in request.POST:
        title = ngettext("Replay %(n)s dead letter as it is?", "Replay %(n)s dead letters as they are?", len(ids))
        return _ask_for_many(desk, request, ids, "replay_selected", title)
    new = _still_new(ids)
    counts = dead_letters.replay(ids, by=str(request.user))
    _audit(desk, request, new - _still_new(ids), _("Replayed in bulk."))
    messages.success(
        request,
        _("%(accepted)s pushed, %(duplicates)s already received, %(skipped)s no longer new.")
        % {"accepted": counts.accepted, "duplicates": counts.duplicates, "skipped": counts.skipped},
    )
    used = [bad for bad in counts.still_bad if bad.reason == CONFLICT]
    unreadable = [bad for bad in counts.still_bad if bad.reason != CONFLICT]
    if unreadable:
        first = _("%(reason)s, %(detail)s") % _words(unreadable[0])
        messages.warning(
            request, _("%(n)s still cannot be read (first: %(why)s).") % {"n": len(unreadable), "why": first}
        )
    if used:
        text = _("%(n)s cannot be replayed: their msg_id is already in use (the first one by push #%(id)s).")
        messages.warning(request, text % {"n": len(used), "id": used[0].record_id})
    return None


def discard_selected(desk: Desk[DeadLetter], request: HttpRequest, chosen: QuerySet[DeadLetter]) -> HttpResponse | None:
    ids = _ids(chosen)
    if "confirm" not in request.POST:
        title = ngettext("Discard %(n)s dead letter?", "Discard %(n)s dead letters?", len(ids))
        return _ask_for_many(desk, request, ids, "discard_selected", title)
    new = _still_new(ids)
    done = dead_letters.discard(ids, by=str(request.user))
    _audit(desk, request, new - _still_new(ids), _("Discarded in bulk."))
    messages.success(
        request, ngettext("%(n)s dead letter discarded.", "%(n)s dead letters discarded.", done) % {"n": done}
    )
    return None


def _ids(chosen: QuerySet[DeadLetter]) -> list[int]:
    return list(chosen.order_by("pk").values_list("pk", flat=True)[:MAX_AT_ONCE])


def _still_new(ids: Sequence[int]) -> set[int]:
    """So that the history of a letter tells only of what was done to it."""
    return set(DeadLetter.objects.filter(pk__in=ids, status=DeadLetterStatus.NEW).values_list("pk", flat=True))


def _refused(bad: dead_letters.StillBad) -> str:
    if bad.reason == CONFLICT:
        return _("Push #%(id)s already has this msg_id: change or remove it.") % {"id": bad.record_id}
    return _("The message still cannot be read: %(reason)s, %(detail)s. Correct it and try again.") % _words(bad)


def _words(bad: dead_letters.StillBad) -> dict[str, str]:
    return {"reason": dead_letter_reasons.words(bad.reason), "detail": stored_words.words(bad.detail, "letter")}


def _audit(desk: Desk[DeadLetter], request: HttpRequest, ids: Collection[int], note: str) -> None:
    for letter in DeadLetter.objects.filter(pk__in=ids).defer("raw"):
        desk.audit(request, letter, note)


def _ask_for_many(
    desk: Desk[DeadLetter], request: HttpRequest, ids: list[int], action: str, title: str
) -> HttpResponse:
    context = {
        "title": title % {"n": len(ids)},
        "ids": ids,
        "action": action,
        "checkbox": ACTION_CHECKBOX_NAME,
        "is_discard": action == "discard_selected",
        "back": desk.url("changelist"),
    }
    return desk.show(request, "console/letters_confirm.html", context)

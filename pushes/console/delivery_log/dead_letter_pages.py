"""Replay dead letters, corrected or not, or discard them."""

from collections.abc import Collection, Sequence
from functools import partial
from typing import Any

from django import forms
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from pushes.console.delivery_log import dead_letter_reasons
from pushes.console.delivery_log.raw_bytes import whole_value
from pushes.console.site.pages import Done, Question, RefusedError
from pushes.console.site.theme import widgets
from pushes.inbound import dead_letters
from pushes.models import DeadLetter
from pushes.names import CONFLICT, DeadLetterStatus
from pushes.text import notes

MAX_AT_ONCE = 1_000


class CorrectForm(forms.Form):
    """The bytes as text. An unchanged text is replayed byte for byte."""

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
        """Show the fault of an unreadable text beside the field; the typed text stays."""
        text: str = self.cleaned_data["text"].replace("\r\n", "\n")
        bad = dead_letters.problem(self.letter, corrected(self.letter, text))
        if bad is not None and self.letter.status == DeadLetterStatus.NEW:
            raise forms.ValidationError(_refused(bad))
        return text


def corrected(letter: DeadLetter, text: str) -> bytes | None:
    """The bytes to read in place of the letter's own; None if the text is unchanged."""
    return None if text == editable(letter) else text.encode()


def editable(letter: DeadLetter) -> str:
    """The first text of a correction: the value as JSON if there is one, else the bytes as text ("" if the bytes are
    not text)."""
    raw = bytes(letter.raw)
    value = whole_value(raw)
    if value:
        return value
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return ""


def replay_question(request: HttpRequest, letter: DeadLetter) -> Question:
    def replay(data: dict[str, Any]) -> str:
        raw = corrected(letter, data["text"])
        counts = dead_letters.replay([letter.pk], by=str(request.user), edited={} if raw is None else {letter.pk: raw})
        if counts.still_bad:
            raise RefusedError(_refused(counts.still_bad[0]))
        if counts.skipped:
            raise RefusedError(_("Nothing was changed: this dead letter is no longer new."))
        if counts.duplicates:
            return _("The message had already been received another way; nothing was pushed twice.")
        return _("Replayed.")

    return Question(
        title=_("Correct and replay this dead letter?"),
        text=_("If the message can be read now, it is pushed like any other."),
        button=_("Replay"),
        act=replay,
        facts=[
            (_("Reason"), dead_letter_reasons.with_code(letter.reason)),
            (_("Detail"), notes.words(letter.detail) or "–"),
        ],
        form=partial(CorrectForm, letter=letter),
        initial={"text": editable(letter)},
    )


def discard_question(request: HttpRequest, letter: DeadLetter) -> Question:
    def discard(_data: dict[str, Any]) -> str:
        if not dead_letters.discard([letter.pk], by=str(request.user)):
            raise RefusedError(_("Nothing was changed: this dead letter is no longer new."))
        return _("Discarded.")

    return Question(
        title=_("Discard this dead letter?"),
        text=_("Nothing is pushed. The bytes are kept; the dead letter leaves the list of new ones."),
        button=_("Discard"),
        act=discard,
        is_dangerous=True,
    )


def replay_many_question(request: HttpRequest, chosen: QuerySet[DeadLetter]) -> Question:
    ids = _ids(chosen)
    title = ngettext("Replay %(n)s dead letter as it is?", "Replay %(n)s dead letters as they are?", len(ids))
    return Question(
        title=title % {"n": len(ids)},
        text=_("Messages that can be read now are pushed; the others stay unchanged, with the reason."),
        button=_("Replay"),
        act=lambda _data: _replay_many(request, ids),
        hidden={ACTION_CHECKBOX_NAME: list(map(str, ids))},
    )


def _replay_many(request: HttpRequest, ids: Sequence[int]) -> Done:
    new = _still_new(ids)
    counts = dead_letters.replay(ids, by=str(request.user))
    done = _("%(accepted)s pushed, %(duplicates)s already received, %(skipped)s no longer new.") % {
        "accepted": counts.accepted,
        "duplicates": counts.duplicates,
        "skipped": counts.skipped,
    }
    history = _history(new - _still_new(ids), _("Replayed in bulk."))
    return Done(done, _still_bad(counts.still_bad), history)


def _still_bad(letters: Sequence[dead_letters.StillBad]) -> list[str]:
    used = [bad for bad in letters if bad.reason == CONFLICT]
    unreadable = [bad for bad in letters if bad.reason != CONFLICT]
    said = []
    if unreadable:
        first = _("%(reason)s, %(detail)s") % _words(unreadable[0])
        said.append(_("%(n)s still cannot be read (first: %(why)s).") % {"n": len(unreadable), "why": first})
    if used:
        text = _("%(n)s cannot be replayed: their msg_id is already in use (the first one by push #%(id)s).")
        said.append(text % {"n": len(used), "id": used[0].record_id})
    return said


def discard_many_question(request: HttpRequest, chosen: QuerySet[DeadLetter]) -> Question:
    ids = _ids(chosen)
    title = ngettext("Discard %(n)s dead letter?", "Discard %(n)s dead letters?", len(ids))
    return Question(
        title=title % {"n": len(ids)},
        text=_("Nothing is pushed. The bytes are kept; the dead letters leave the list of new ones."),
        button=_("Discard"),
        act=lambda _data: _discard_many(request, ids),
        is_dangerous=True,
        hidden={ACTION_CHECKBOX_NAME: list(map(str, ids))},
    )


def _discard_many(request: HttpRequest, ids: Sequence[int]) -> Done:
    new = _still_new(ids)
    number = dead_letters.discard(ids, by=str(request.user))
    done = ngettext("%(n)s dead letter discarded.", "%(n)s dead letters discarded.", number) % {"n": number}
    return Done(done, history=_history(new - _still_new(ids), _("Discarded in bulk.")))


def _ids(chosen: QuerySet[DeadLetter]) -> list[int]:
    return list(chosen.order_by("pk").values_list("pk", flat=True)[:MAX_AT_ONCE])


def _still_new(ids: Sequence[int]) -> set[int]:
    """Keep the new letters only, so that a letter's history tells only of acts on that letter."""
    return set(DeadLetter.objects.filter(pk__in=ids, status=DeadLetterStatus.NEW).values_list("pk", flat=True))


def _refused(bad: dead_letters.StillBad) -> str:
    if bad.reason == CONFLICT:
        return _("Push #%(id)s already has this msg_id: change or remove it.") % {"id": bad.record_id}
    return _("The message still cannot be read: %(reason)s, %(detail)s. Correct it and try again.") % _words(bad)


def _words(bad: dead_letters.StillBad) -> dict[str, str]:
    return {"reason": dead_letter_reasons.words(bad.reason), "detail": notes.words(bad.detail)}


def _history(ids: Collection[int], note: str) -> list[tuple[Model, str]]:
    return [(letter, note) for letter in DeadLetter.objects.filter(pk__in=ids).defer("raw")]

"""What every page of a desk does for itself: who may, what is asked, what is told, what the history keeps."""

from typing import Any

import pytest
from django import forms
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.messages import get_messages
from django.contrib.messages.storage.cookie import CookieStorage
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.test import RequestFactory

from pushes.console.operators import roles
from pushes.console.site.desk import Desk
from pushes.console.site.pages import Done, Question, RefusedError, list_action, list_page, page
from pushes.models import AppKey
from pushes.names import App
from tests.make import make_app_key, make_operator
from tests.pushes.console.conftest import url

pytestmark = pytest.mark.django_db
MAY = "pushes.change_appkey"


class NoteForm(forms.Form):
    note = forms.CharField()


class Doors(Desk[AppKey]):
    """A desk with one page of each kind. `asked` is what they return, `acted` what their acts were given."""

    actions = ("open_selected",)
    actions_list = ("open_all_page",)
    actions_detail = ("open_page",)

    def __init__(self, answer: Any = None, **asked: Any) -> None:
        super().__init__(AppKey, admin.site)
        self.acted: list[Any] = []
        self.answer = answer
        self.asked = {"act": self.opened} | asked

    def opened(self, data: dict[str, Any]) -> str:
        self.acted.append(data)
        return "It is open."

    def question(self, **more: Any) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        fields: Any = {"title": "Open it?", "text": "It is shut.", "button": "Open"} | self.asked | more
        return self.answer or Question(**fields)

    @page("Open", permission=MAY, icon="door", variant="danger", applies=lambda key: key.is_enabled)
    def open_page(self, request: HttpRequest, key: AppKey) -> Any:
        return self.question()

    @list_page("Open all", permission=MAY)
    def open_all_page(self, request: HttpRequest) -> Any:
        return self.question()

    @list_action("Open these", permission=MAY)
    def open_selected(self, request: HttpRequest, chosen: QuerySet[AppKey]) -> Any:
        return self.question(hidden={"_selected_action": [str(key.pk) for key in chosen]})


@pytest.fixture
def key() -> AppKey:
    return make_app_key()


def asked_by(role: str = roles.KEY_MANAGER, /, method: str = "POST", address: str = "/there", **data: Any) -> Any:
    request: Any = getattr(RequestFactory(), method.lower())(address, data)
    request.user = make_operator(role)
    request._messages = CookieStorage(request)
    return request


def html(answer: Any) -> str:
    return str(answer.render().content.decode())


def told(request: HttpRequest) -> list[tuple[str, str]]:
    return [(message.level_tag, str(message)) for message in get_messages(request)]


def history() -> list[Any]:
    return list(LogEntry.objects.values_list("object_id", "change_message"))


def test_a_page_is_closed_to_whoever_may_not(key: AppKey) -> None:
    request = asked_by(roles.VIEWER)
    for view in (
        lambda: Doors().open_page(request, key.pk),
        lambda: Doors().open_all_page(request),
        lambda: Doors().open_selected(request, AppKey.objects.all()),
    ):
        with pytest.raises(PermissionDenied):
            view()


def test_a_page_of_no_row_is_not_found() -> None:
    with pytest.raises(Http404):
        Doors().open_page(asked_by(), 7)


def test_buttons_and_actions_are_offered_to_whoever_may(key: AppKey) -> None:
    desk, manager, viewer = Doors(), asked_by(), asked_by(roles.VIEWER)
    for found in (desk.get_actions_detail(manager, str(key.pk)), desk.get_actions_list(manager)):
        assert len(found) == 1
    assert "open_selected" in desk.get_actions(manager)
    for nothing in (desk.get_actions_detail(viewer, str(key.pk)), desk.get_actions_list(viewer)):
        assert nothing == []
    assert "open_selected" not in desk.get_actions(viewer)


def test_a_button_is_hidden_where_it_makes_no_sense() -> None:
    key = make_app_key(is_enabled=False)
    assert Doors().get_actions_detail(asked_by(), str(key.pk)) == []


def test_a_page_is_named_for_its_method(key: AppKey) -> None:
    (one,) = Doors().get_actions_detail(asked_by(), str(key.pk))
    assert (one.path, one.description, one.icon, one.variant.value) == ("open", "Open", "door", "danger")


def test_a_get_asks_and_does_nothing(key: AppKey) -> None:
    desk = Doors(facts=[("Lock", "rusty")], warnings=["It creaks."], is_dangerous=True)
    shown = html(desk.open_page(asked_by(method="GET"), key.pk))
    for words in (
        "Open it?",
        "It is shut.",
        "rusty",
        "It creaks.",
        "is-danger",
        "Go back",
        url("appkey_change", key.pk),
    ):
        assert words in shown
    assert desk.acted == []


def test_a_yes_acts_says_so_and_stands_in_the_history_of_the_row(key: AppKey) -> None:
    desk, request = Doors(), asked_by()
    answer = desk.open_page(request, key.pk)
    assert answer["Location"] == url("appkey_change", key.pk)
    assert told(request) == [("success", "It is open.")]
    assert history() == [(str(key.pk), "It is open.")]


def test_a_page_of_the_whole_desk_has_no_row_to_note_it_for() -> None:
    request = asked_by()
    assert Doors().open_all_page(request)["Location"] == url("appkey_changelist")
    assert told(request) == [("success", "It is open.")]
    assert history() == []


def test_a_question_may_lead_elsewhere(key: AppKey) -> None:
    desk = Doors(back="/after", cancel="/before")
    assert 'href="/before"' in html(desk.open_page(asked_by(method="GET"), key.pk))
    assert desk.open_page(asked_by(), key.pk)["Location"] == "/after"


def test_a_form_that_is_not_filled_in_is_shown_again(key: AppKey) -> None:
    desk = Doors(form=NoteForm)
    answer = desk.open_page(asked_by(note=""), key.pk)
    assert (answer.status_code, desk.acted) == (422, [])
    desk.open_page(asked_by(note="now"), key.pk)
    assert desk.acted == [{"note": "now"}]


def test_an_answer_to_another_state_is_refused(key: AppKey) -> None:
    desk, request = Doors(seen="blue"), asked_by(seen="red")
    assert desk.open_page(request, key.pk)["Location"] == "/there"
    assert told(request) == [("error", "Someone changed this in the meantime. Nothing was done: review it again.")]
    desk.open_page(asked_by(seen="blue"), key.pk)
    assert len(desk.acted) == 1


def test_an_obstacle_turns_the_button_off_and_refuses_an_answer(key: AppKey) -> None:
    desk, request = Doors(obstacle="It is nailed up."), asked_by()
    assert "disabled" in html(desk.open_page(asked_by(method="GET"), key.pk))
    desk.open_page(request, key.pk)
    assert (told(request), desk.acted) == ([("error", "It is nailed up.")], [])


def test_a_question_without_a_button_has_only_the_way_back(key: AppKey) -> None:
    assert 'type="submit" class="console-button' not in html(Doors(button="").open_page(asked_by(method="GET"), key.pk))


def test_what_the_act_refuses_is_said_and_not_noted(key: AppKey) -> None:
    def refuse(_data: dict[str, Any]) -> str:
        raise RefusedError("It is open already.")

    request = asked_by()
    assert Doors(act=refuse, back="/after").open_page(request, key.pk)["Location"] == "/after"
    assert (told(request), history()) == ([("error", "It is open already.")], [])


def test_a_refusal_after_a_try_is_noted(key: AppKey) -> None:
    def refuse(_data: dict[str, Any]) -> str:
        raise RefusedError("The key does not turn.", is_noted=True)

    request = asked_by()
    Doors(act=refuse).open_page(request, key.pk)
    assert history() == [(str(key.pk), "The key does not turn.")]


def test_a_page_that_cannot_even_ask_says_why_and_leads_back(key: AppKey) -> None:
    request = asked_by(method="GET")
    answer = Doors(RefusedError("There is no door.")).open_page(request, key.pk)
    assert (answer["Location"], told(request)) == (url("appkey_change", key.pk), [("error", "There is no door.")])


def test_an_act_on_several_rows_tells_what_was_done_and_what_was_not(key: AppKey) -> None:
    other, request = make_app_key(app=App.HIGIRL), asked_by()
    done = Done("One is open.", ["One is stuck."], [(key, "Opened."), (other, "Tried.")])
    Doors(act=lambda _data: done).open_page(request, key.pk)
    assert told(request) == [("success", "One is open."), ("warning", "One is stuck.")]
    assert set(history()) == {(str(key.pk), "Opened."), (str(other.pk), "Tried.")}


def test_an_act_may_end_on_a_page_of_its_own(key: AppKey) -> None:
    shown = HttpResponse("the room")
    assert Doors(act=lambda _data: Done(page=shown)).open_page(asked_by(), key.pk) is shown


def test_a_page_may_answer_without_asking(key: AppKey) -> None:
    answer, request = HttpResponse("a picture"), asked_by()
    assert Doors(answer).open_page(request, key.pk) is answer
    Doors(Done("It was open.")).open_page(request, key.pk)
    assert told(request) == [("success", "It was open.")]


def test_a_list_asks_about_its_ticked_rows_and_acts_on_the_confirmation(key: AppKey) -> None:
    desk, chosen = Doors(), AppKey.objects.all()
    shown = html(desk.open_selected(asked_by(), chosen))
    assert desk.acted == []
    for name, value in (("_selected_action", key.pk), ("action", "open_selected"), ("confirm", 1)):
        assert f'<input type="hidden" name="{name}" value="{value}">' in shown
    answer = desk.open_selected(asked_by(confirm="1", address="/there?q=1"), chosen)
    assert (answer["Location"], len(desk.acted)) == ("/there?q=1", 1)

"""What needs attention: each alert says what is wrong, what follows, and what to do."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.core.cache import cache
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from pushes.console.broadcasts import canary_words, review
from pushes.console.site import attention, parts
from pushes.console.site.desk import admin_url
from pushes.console.site.marks import amount
from pushes.history import vitals
from pushes.history.vitals import Waiting
from pushes.ledger import dead_letter_store
from pushes.models import AppKey, Broadcast, DeadLetter, DeliveryResult, PushRecord, PushTypePolicy
from pushes.names import DeadLetterStatus, Kind, RecordStatus
from pushes.storage import clocks
from pushes.text import notes
from pushes.workers import pulse, refused_jobs

#: A push that has been due for longer than this is late, whatever held it up.
LATE = timedelta(minutes=2)
#: The sweeper renews its lease every few seconds, and every round of it ends within this.
SWEEPER_SILENT = timedelta(minutes=1)
SEEN_SECONDS = 3_600
#: A refused job is told of for so long.
STRANGERS = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert. `name` stays the same for as long as the trouble lasts, so that a screen reader announces it once."""

    name: str
    text: str
    advice: str = ""
    url: str = ""
    link: str = ""
    is_urgent: bool = False


def raised(
    request: HttpRequest,
    view: vitals.RedisView | None,
    keys: Sequence[vitals.KeyState],
    waiting: Waiting,
    now: datetime,
) -> list[Alert]:
    """The alerts, the most urgent first: a stopped platform, then single keys and broadcasts, then delays."""
    every = [
        *_processes(view, waiting, now),
        *_keys(keys),
        *_broadcasts(request, now),
        *_dead_letters(request),
        *_push_types(request),
        *late(view, waiting, now),
        *_letters(now),
        *_clocks(),
        *_strangers(request, now),
        *_others(request),
    ]
    return sorted(every, key=lambda alert: not alert.is_urgent)


def _processes(view: vitals.RedisView | None, waiting: Waiting, now: datetime) -> Iterator[Alert]:
    if view is None:
        yield Alert(
            "redis",
            _("Redis does not answer: workers are stalled, and accepted pushes wait in the database."),
            _("Check the server in REDIS_URL. Nothing is lost; work resumes automatically when it is back."),
            is_urgent=True,
        )
    elif view.refuses:
        yield Alert(
            "redis-refuses",
            _("Redis refuses writes (%(why)s): workers are stalled, and accepted pushes wait in the database.")
            % {"why": view.refuses},
            _(
                "Check the server in REDIS_URL. Nothing is lost; work resumes automatically when it accepts writes "
                "again."
            ),
            is_urgent=True,
        )
    elif not view.workers:
        yield Alert("workers", _("No worker is running: pushes wait. Start them with ./push.sh start."), is_urgent=True)
    for lane in view.lanes if view and view.workers else ():
        if not lane.workers:
            text = _("No worker serves the %(lane)s lane: its pushes wait.") % {"lane": Kind(lane.name).label}
            yield Alert(f"lane-{lane.name}", text, _see_status(), is_urgent=True)
    yield from _unwell(view)
    if silence := _sweeper_silence(waiting, now):
        yield Alert(
            "sweeper",
            _("The sweeper has not run for %(time)s: retries, held pushes and scheduled broadcasts are stalled.")
            % {"time": amount(silence)},
            _see_status(),
            is_urgent=True,
        )
    if view and (since := raw_waits_since(view, now)) and now - since > LATE:
        text = _("%(n)s messages wait in the inbound queue, the oldest for more than %(time)s.")
        yield Alert(
            "intake", text % {"n": f"{view.raw_messages:,}", "time": amount(LATE)}, _see_status(), is_urgent=True
        )


def _unwell(view: vitals.RedisView | None) -> Iterator[Alert]:
    for one in view.unwell if view else ():
        facts = {"process": one.process, "host": one.host, "time": amount(timedelta(seconds=one.seconds))}
        if one.what == pulse.DATABASE:
            text = _("%(process)s on %(host)s has not reached the database for %(time)s, and takes no jobs.") % facts
            advice = _(
                "Check the connection from that machine to the database. Other machines do its work in the meantime."
            )
        elif one.what == pulse.CLOCK:
            text = (
                _("The clock of %(host)s is wrong, and a provider refuses its calls: %(process)s sends nothing.")
                % facts
            )
            advice = _(
                "Set that machine's clock by NTP; sending then resumes automatically. Other machines send in "
                "the meantime."
            )
        else:
            text = _("%(process)s on %(host)s has been stalled for %(time)s.") % facts
            advice = _("Check its log, then restart it. Nothing is lost.")
        yield Alert(f"unwell-{one.host}-{one.process}", text, advice, is_urgent=True)


def _see_status() -> str:
    return _("Run ./push.sh status to see what has stopped and check its log; ./push.sh start restarts it.")


def _sweeper_silence(waiting: Waiting, now: datetime) -> timedelta | None:
    """For how long no sweeper has held its lease. A sweeper that never ran is missed only once something waits."""
    since = vitals.sweeper_until() or waiting.oldest_at
    return now - since if since and now - since > SWEEPER_SILENT else None


def raw_waits_since(view: vitals.RedisView | None, now: datetime) -> datetime | None:
    """Since when the producers' list has begun with the same message, as far as this process has seen."""
    if view is None or not view.oldest_raw:
        return None
    key = f"console-raw-{hashlib.sha256(view.oldest_raw).hexdigest()}"
    seen: datetime | None = cache.get_or_set(key, now, SEEN_SECONDS)
    return seen


def _keys(states: Sequence[vitals.KeyState]) -> Iterator[Alert]:
    for key in (state.key for state in states if state.is_stopped):
        text = _("The app key %(key)s is paused; its pushes wait. %(why)s") % {
            "key": key,
            "why": notes.words(key.paused_reason),
        }
        advice = _("Fix the cause, verify the key, then resume it. Waiting pushes go out automatically.")
        yield _about_key(key, f"paused-{key.pk}", text.strip(), advice, is_urgent=True)
    for state in (state for state in states if state.is_refused):
        facts = {"key": state.key, "why": state.endpoint_fault}
        text = _("The app key %(key)s cannot send; its pushes wait. %(why)s") % facts
        advice = _(
            "Correct its endpoint URL, or add the host to PROVIDER_HOSTS on every machine. Waiting pushes go out "
            "automatically."
        )
        yield _about_key(state.key, f"endpoint-{state.key.pk}", text, advice, is_urgent=True)
    for key in (state.key for state in states if state.has_fallen_back):
        text = _("The provider refused the new secret of %(key)s (%(why)s); sending rolled back to the old one.") % {
            "key": key,
            "why": notes.words(key.fell_back_reason) or "–",
        }
        advice = _("No push is waiting. Check the new secret with the provider, then rotate again.")
        yield _about_key(key, f"fell-back-{key.pk}", text, advice)
    for key in (state.key for state in states if state.is_failing):
        text = _("%(key)s is failing. We retry with single test calls until it recovers.") % {"key": key}
        advice = _("Nothing is lost: its pushes are retried until they expire. Check the provider and the network.")
        yield _about_key(key, f"tripped-{key.pk}", text, advice)


def _about_key(key: AppKey, name: str, text: str, advice: str, *, is_urgent: bool = False) -> Alert:
    return Alert(name, text, advice, admin_url(AppKey, "change", key.pk), _("Open the key"), is_urgent)


def _broadcasts(request: HttpRequest, now: datetime) -> Iterator[Alert]:
    if not request.user.has_perm("pushes.view_broadcast"):
        return
    found = attention.broadcasts(request.user, now)
    for broadcast in found.approvals:
        text = _("“%(title)s” is waiting for your approval, requested by %(by)s.") % {
            "title": broadcast.title,
            "by": broadcast.asked_by or broadcast.created_by or "–",
        }
        url = admin_url(Broadcast, "send_page", broadcast.pk)
        yield Alert(f"approval-{broadcast.pk}", text, url=url, link=_("Review"))
    for broadcast in found.paused:
        yield _paused(broadcast)
    for broadcast in found.starting:
        words = {"title": broadcast.title, "audience": review.audience(broadcast)}
        text = (
            _("“%(title)s” starts in %(time)s, to %(audience)s.")
            if broadcast.scheduled_at and broadcast.scheduled_at > now
            else _("“%(title)s” is overdue by %(time)s, to %(audience)s.")
        ) % (words | {"time": amount(abs((broadcast.scheduled_at or now) - now))})
        yield _about_broadcast(broadcast, "starts", text)


def _paused(broadcast: Broadcast) -> Alert:
    if not broadcast.has_halted:
        text = _("“%(title)s” is paused: its unsent pushes wait until it is resumed.") % {"title": broadcast.title}
        return _about_broadcast(broadcast, "broadcast-paused", text)
    text = _("“%(title)s” was stopped automatically. %(why)s") % {
        "title": broadcast.title,
        "why": canary_words.halted(broadcast),
    }
    return _about_broadcast(broadcast, "halted", text.strip())


def _about_broadcast(broadcast: Broadcast, what: str, text: str) -> Alert:
    url = admin_url(Broadcast, "progress_page", broadcast.pk)
    return Alert(f"{what}-{broadcast.pk}", text, url=url, link=_("Open the broadcast"))


def _dead_letters(request: HttpRequest) -> Iterator[Alert]:
    number = attention.new_dead_letters() if request.user.has_perm("pushes.view_deadletter") else 0
    if number:
        text = ngettext("%(n)s new dead letter.", "%(n)s new dead letters.", number) % {"n": attention.shown(number)}
        url = f"{admin_url(DeadLetter, 'changelist')}?status__exact={DeadLetterStatus.NEW}"
        advice = _("These messages could not be read or used. Correct and replay them, or discard them.")
        yield Alert("dead-letters", text, advice, url, _("Show them"))


def _push_types(request: HttpRequest) -> Iterator[Alert]:
    if not request.user.has_perm("pushes.view_pushtypepolicy"):
        return
    for policy in attention.switched_off_types():
        text = _("The push type %(type)s is off: its pushes are skipped. %(why)s") % {
            "type": policy,
            "why": attention.off_because(policy),
        }
        url = admin_url(PushTypePolicy, "change", policy.pk)
        yield Alert(f"off-{policy.pk}", text.strip(), url=url, link=_("Open the push type"))


def late(view: vitals.RedisView | None, waiting: Waiting, now: datetime) -> Iterator[Alert]:
    if waiting.due_at and now - waiting.due_at > LATE:
        text = _("The oldest waiting push has been due for %(time)s.") % {"time": amount(now - waiting.due_at)}
        url = f"{admin_url(DeliveryResult, 'changelist')}?live=1"
        yield Alert("due", text, url=url, link=_("Show waiting deliveries"))
    if waiting.undistributed_at and now - waiting.undistributed_at > LATE:
        text = _("The oldest accepted push has waited %(time)s for distribution.") % {
            "time": amount(now - waiting.undistributed_at)
        }
        url = f"{admin_url(PushRecord, 'changelist')}?status__exact={RecordStatus.PENDING}"
        yield Alert("undistributed", text, url=url, link=_("Show waiting deliveries"))
    for lane in view.lanes if view else ():
        if lane.workers and lane.oldest_at and now - lane.oldest_at > LATE:
            facts: dict[str, Any] = {
                "lane": Kind(lane.name).label,
                "n": f"{lane.jobs:,}",
                "time": amount(now - lane.oldest_at),
            }
            text = _("The %(lane)s lane is behind: %(n)s jobs, the oldest waiting for %(time)s.") % facts
            yield Alert(f"behind-{lane.name}", text, _("If the backlog does not shrink, add workers to the lane."))


def _letters(now: datetime) -> Iterator[Alert]:
    if not_kept := sum(dead_letter_store.not_kept(now).values()):
        text = _("%(n)s dead letters of the last hour were counted but not kept: too many for the same reason.")
        advice = _("Find out who sends them: the list shows the first ones. The limit is DEAD_LETTERS_PER_HOUR.")
        url = admin_url(DeadLetter, "changelist")
        yield Alert("letters-not-kept", text % {"n": f"{not_kept:,}"}, advice, url, _("Show the dead letters"))


def _clocks() -> Iterator[Alert]:
    advice = _("Until then, due times and expiry are off by the same amount.")
    for server, text in clocks.problems().items():
        yield Alert(f"clock-{server}", text, advice)


def _strangers(request: HttpRequest, now: datetime) -> Iterator[Alert]:
    """Alert of foreign jobs in our queues. One job is enough, and the alert stays for a day."""
    found = refused_jobs.since(now - STRANGERS)
    if not found:
        return
    facts = {
        "n": f"{sum(row.count for row in found):,}",
        "time": amount(now - found[0].last_at),
        "why": found[0].get_reason_display(),
    }
    text = _("Jobs in Redis that are not the platform's were refused (%(n)s so far, the last %(time)s ago: %(why)s).")
    may_look = request.user.has_perm("django_rq.admin")
    yield Alert(
        "strangers",
        text % facts,
        _("None of them ran. Find out who can write to Redis, and give every producer its own Redis user."),
        reverse("admin:django_rq_dashboard_changelist") if may_look else "",
        _("Job queues") if may_look else "",
        is_urgent=True,
    )


def _others(request: HttpRequest) -> Iterator[Alert]:
    """The alerts of other apps, from the parts that this user may see."""
    for part in parts.parts_for(request.user):
        for text, url in part.alerts():
            yield Alert(url, text, url=url, link=_("What to do"), is_urgent=True)

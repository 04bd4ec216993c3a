"""RQ's own pages in the reader's language and time zone, and under a title.

The library's templates hold plain English and show times in the server's zone. What they render is gone through once
on its way out: texts between two tags that are known words, and moments. Nothing in here decides anything.
"""

import re
from datetime import datetime

from django.utils.html import escape
from django.utils.translation import gettext
from django.utils.translation import gettext_noop as _

from pushes.console.site.marks import when

#: Every text of the library's templates, whole as it stands between two tags.
WORDS = frozenset(
    {
        _("(no longer available)"), _("Actions:"), _("Active Jobs"), _("Activity"), _("Are you sure you want to"),
        _("Are you sure you want to clear the queue"), _("Are you sure you want to delete"),
        _("Are you sure you want to requeue"), _("Are you sure?"), _("Async"), _("Birth"), _("Birth:"), _("Callable"),
        _("Config file"), _("Configuration"), _("Connection"), _("Created"), _("Created:"), _("Cron Job"),
        _("Cron Jobs"), _("Cron Scheduler"), _("Cron Schedulers"), _("Current Job:"), _("Default timeout"),
        _("Deferred"), _("Deferred Jobs"), _("Delete"), _("Delete All"), _("Deleted"), _("Dependents"),
        _("Depends on"), _("Duration"), _("Empty Queue"), _("Ended"), _("Enqueue"), _("Enqueued"), _("Exception"),
        _("Exception:"), _("Execute selected action"), _("Execution ID"), _("Failed"), _("Failed Jobs"),
        _("Failed job count:"), _("Failure TTL"), _("Finished"), _("Finished Jobs"), _("Function"), _("Go"),
        _("Host"), _("Hostname"), _("Job"), _("Job ID"), _("Job ID:"), _("Job class"), _("Jobs"), _("Last Ended"),
        _("Last Heartbeat"), _("Last Status"), _("Last ended"), _("Last heartbeat"), _("Last started"),
        _("Latest enqueue"), _("Method"), _("Name"), _("Name:"), _("Newest queued"), _("Next Run"),
        _("Next enqueue"), _("No jobs recorded for this cron job"), _("No persisted cron jobs found"),
        _("No running cron schedulers"), _("Oldest queued"), _("PID:"), _("Payload"), _("Port"), _("Process"),
        _("Queue"), _("Queue class"), _("Queued"), _("Queued Jobs"), _("Queues"), _("Queues:"), _("RQ Scheduler"),
        _("Recurring Jobs"), _("Redis Connection"), _("Requeue"), _("Requeue All"), _("Result"), _("Result ID:"),
        _("Result TTL"), _("Return Value:"), _("Schedule"), _("Scheduled"), _("Scheduled Jobs"), _("Scheduler"),
        _("Scheduler Managed Jobs"), _("Scheduler PID"), _("Sentinels"), _("Serializer"), _("Service name"),
        _("Started"), _("State"), _("State:"), _("Status"), _("Stop"), _("Successful job count:"), _("Timeout"),
        _("Timestamps"), _("Toggle sorting"), _("Total working time (seconds):"), _("Trigger"), _("Type"),
        _("Type:"), _("Unix socket"), _("Unpickling Error"), _("Username"), _("View Metrics"), _("View as JSON"),
        _("Webhooks"), _("Worker Info"), _("Worker class"), _("Worker:"), _("Workers"), _("Yes, I'm sure"),
        _("expired or deleted"), _("queued"), _("finished"), _("failed"), _("started"), _("deferred"),
        _("scheduled"), _("idle"), _("busy"), _("? This action can not be undone."),
        _("the following jobs from"),
    }
)  # fmt: skip
#: Texts with a queue's name or a number in them, and the words for them.
_PATTERNS = (
    (re.compile(r"Queued [jJ]obs in (.+)"), _("Queued jobs in {}")),
    (re.compile(r"Failed [jJ]obs in (.+)"), _("Failed jobs in {}")),
    (re.compile(r"Finished [jJ]obs in (.+)"), _("Finished jobs in {}")),
    (re.compile(r"(?:Started|Active) [jJ]obs in (.+)"), _("Active jobs in {}")),
    (re.compile(r"Deferred [jJ]obs in (.+)"), _("Deferred jobs in {}")),
    (re.compile(r"Scheduled [jJ]obs in (.+)"), _("Scheduled jobs in {}")),
    (re.compile(r"Job Executions in (.+)"), _("Job executions in {}")),
    (re.compile(r"Workers in (.+)"), _("Workers of {}")),
    (re.compile(r"Job (\S+)"), _("Job {}")),
    (re.compile(r"(\d+) jobs?"), _("Jobs: {}")),
    (re.compile(r"Delete (\d+) jobs?"), _("Delete (jobs: {})")),
    (re.compile(r"Requeue (\d+) jobs?"), _("Requeue (jobs: {})")),
    (re.compile(r"Stop (\d+) jobs?"), _("Stop (jobs: {})")),
)
_TEXT = re.compile(r">(\s*)([^<>]*?[A-Za-z][^<>]*?)(\s*)<")
_ATTRIBUTE = re.compile(r'(<input type="submit" value|title)="([^"]+)"')
_MOMENT = re.compile(r'<time datetime="([^"]+)" title="UTC: [^"]*">[^<]*</time>')
_TITLE = re.compile(r"<title>\s*(.*?)\s*</title>", re.DOTALL)
#: Without a title of its own the theme greets whoever looks.
_GREETING = re.compile(r"(<span class=\"console-crumb\" aria-current=\"page\">)[^<]*(</span>)")
#: What stands in the page itself runs in no browser that keeps our Content-Security-Policy: a call of a plug-in that
#: Django no longer has, and rows that lead where the link in them leads.
_SCRIPT = re.compile(r'<script(?: type="text/javascript")?>.*?</script>', re.DOTALL)
_HANDLER = re.compile(r'(<(?:tr|a)\b[^>]*?) onclick="[^"]*"')


def translated(page: str, name: str) -> str:
    """A page of the library for this reader. `name` is what the console calls these pages."""
    head, body_tag, body = page.partition("<body")
    head = _SCRIPT.sub("", _TITLE.sub(lambda found: f"<title>{_titled(found[1], name)}</title>", head))
    body = _HANDLER.sub(r"\1", body)
    body = _GREETING.sub(lambda found: f"{found[1]}{escape(name)}{found[2]}", body, count=1)
    body = _MOMENT.sub(lambda found: str(when(datetime.fromisoformat(found[1]))), body)
    body = _TEXT.sub(lambda found: f">{found[1]}{_word(found[2])}{found[3]}<", body)
    body = _ATTRIBUTE.sub(lambda found: f'{found[1]}="{_word(found[2])}"', body)
    return head + body_tag + body


def _titled(own: str, name: str) -> str:
    page, _bar, site = own.partition(" | ")
    return f"{_word(' '.join(page.split())) or escape(name)} | {site or 'HIGO Push'}"


def _word(text: str) -> str:
    """`text`, which is HTML already, in the reader's language; as it is when it is nobody's word."""
    plain = " ".join(text.replace("&#x27;", "'").split())
    if plain in WORDS:
        return escape(gettext(plain))
    for pattern, words in _PATTERNS:
        if found := pattern.fullmatch(plain):
            return escape(gettext(words)).format(found[1])
    return text

"""Translate the sentences that the platform stores in English.

Rows, logs and the API contain the English sentence that was stored when something happened; pages show it in the
reader's language. Other text (a provider's own words, what an operator typed) is shown as it was stored.
"""

import re
from collections.abc import Iterable, Iterator

from django.utils.translation import gettext
from django.utils.translation import gettext_noop as _

#: (pattern of the English sentence, with named parts; the message to translate), in the order of trial.
_Sentences = Iterable[tuple[str, str]]
#: What is added behind a dead letter's reason.
_NOTES = re.compile(r"(.*?)((?: \((?:replayed by|discarded by|only the first) [^()]+\))*)", re.DOTALL)

_BROADCASTS: _Sentences = (
    (r"paused by (?P<who>.+)", _("paused by %(who)s")),
    (r"resumed by (?P<who>.+)", _("resumed by %(who)s")),
    (r"cancelled by (?P<who>.+)", _("cancelled by %(who)s")),
    (r"paused", _("paused")),
    (r"resumed", _("resumed")),
    (r"cancelled", _("cancelled")),
    (
        r"nobody was in the audience when it started",
        _("The audience was empty at the start: no one received the broadcast."),
    ),
    (r"expires_at=.*: it would expire before it is sent", _("The broadcast would expire before it is sent.")),
    (r"tag=.*: without a tag it would go to every device of the app", _("The broadcast has no tag.")),
    (
        r"(?:audience_kind=.*: )?the devices are in another database, and (?P<setting>\w+) is not set: .*",
        _("The devices are in another database, and %(setting)s is not set: the devices of the app cannot be listed."),
    ),
    (
        r"(?P<setting>\w+): the query returns no column '?(?P<column>\w+)'?.*",
        _("%(setting)s: the query returns no column “%(column)s”."),
    ),
    (
        r"(?P<setting>\w+): row_id (?P<row>.+) comes after (?P<before>\d+): .*",
        _("%(setting)s: row_id %(row)s comes after %(before)s; row_id must increase from row to row."),
    ),
    (
        r"(?P<setting>DIRECTORY_\w+): (?P<error>.+)",
        _("The directory's database answers %(setting)s with an error: %(error)s"),
    ),
)
_DEVICES: _Sentences = (
    (r"to (?P<account>\S+)", _("to %(account)s")),
    (r"from (?P<old>\S+) to (?P<new>\S+)", _("from %(old)s to %(new)s")),
    (r"registered again by the app", _("registered again by the app")),
    (r"by (?P<who>[^:]+): (?P<why>.+)", _("by %(who)s: %(why)s")),
    (r"by (?P<who>.+)", _("by %(who)s")),
)
_KEYS: _Sentences = ((r"refused by the provider", _("refused by the provider")),)
_EXPORTS: _Sentences = (
    (r"PermissionDenied: .*", _("The requester no longer has permission to export the log.")),
    (r"(?P<kind>\w+(?:Error|Exception)): (?P<text>.*)", _("The file could not be written (%(kind)s: %(text)s).")),
)
_PUSHES: _Sentences = (
    # Reason.WITHDRAWN, which is not a sentence.
    (r"withdrawn", _("withdrawn before it was sent")),
    (r"(?P<kind>\w+(?:Error|Exception)): (?P<text>.*)", _("%(kind)s while it was distributed: %(text)s")),
)
_LETTERS: _Sentences = (
    (r"no bytes at all", _("no bytes at all")),
    (r"(?P<n>\d+) bytes(?:,|; at most) (?P<most>\d+) are allowed", _("%(n)s bytes, %(most)s are allowed")),
    (
        r"named fields are (?:needed, this|required, but this) is (?P<what>.+)",
        _("named fields are needed, this is %(what)s"),
    ),
    (r"byte (?P<at>\d+) is (?:no|not valid) UTF-8", _("byte %(at)s is not UTF-8")),
    (r"more than (?P<n>\d+) levels(?:, at byte (?P<at>\d+))?", _("more than %(n)s levels of arrays")),
    (r"(?:no|invalid) JSON at character (?P<at>\d+)", _("not valid JSON at character %(at)s")),
    (r"the input ends at byte (?P<at>\d+), inside (?:an array|a value)", _("the input ends at byte %(at)s, too early")),
    (
        r"an array of (?P<n>\d+) items at byte (?P<at>\d+) cannot fit into the rest",
        _("an array of %(n)s items at byte %(at)s cannot fit into the rest"),
    ),
    (r"an integer of more than 64 bits at byte (?P<at>\d+)", _("an integer of more than 64 bits at byte %(at)s")),
    (
        r"a string of (?P<n>\d+) bytes at byte (?P<at>\d+), but the input ends before its end",
        _("a string of %(n)s bytes at byte %(at)s, but the input ends before its end"),
    ),
    (
        r"the string at byte (?P<at>\d+) is not (?P<n>\d+) bytes long",
        _("the string at byte %(at)s is not %(n)s bytes long"),
    ),
    (r"(?P<n>\d+) bytes follow the end at byte (?P<at>\d+)", _("%(n)s bytes follow the end at byte %(at)s")),
    (r"infinity or not-a-number at byte (?P<at>\d+)", _("infinity or not-a-number at byte %(at)s")),
    (r"(?:no|not a) PHP value at byte (?P<at>\d+)", _("no PHP value at byte %(at)s")),
    (
        r"the array that ends at byte (?P<at>\d+) (?:has not|does not have) the (?P<n>\d+) items it announced",
        _("the array that ends at byte %(at)s does not have the %(n)s items it announced"),
    ),
    (
        r"a key that is neither text nor integer, in the array that ends at byte (?P<at>\d+)",
        _("a key that is neither text nor integer, in the array that ends at byte %(at)s"),
    ),
    (
        r"(?P<value>.+) is (?:no|not a valid) push type; accepted: (?P<choices>.+)",
        _("%(value)s is not a valid push type; accepted: %(choices)s"),
    ),
    (
        r"(?P<value>.+) is (?:no|not a valid) app; accepted: (?P<choices>.+)",
        _("%(value)s is not a valid app; accepted: %(choices)s"),
    ),
    (
        r"(?P<value>.+) is (?:no|not a valid) platform; accepted: (?P<choices>.+)",
        _("%(value)s is not a valid platform; accepted: %(choices)s"),
    ),
    (
        r"an account id, or a list of them, is (?:needed|required)",
        _("an account ID, or a list of them, is needed"),
    ),
    (
        r"(?P<value>.+) is (?:no|not a valid) id; (?:one|an id) has 1 to (?P<most>\d+) characters",
        _("%(value)s is not a valid ID; one has 1 to %(most)s characters"),
    ),
    (
        r"a text of at most (?P<most>\d+) characters is (?:needed|required)",
        _("a text of at most %(most)s characters is needed"),
    ),
    (r"a text that is not empty is (?:needed|required)", _("a text that is not empty is needed")),
    (r"(?P<value>.+) is (?:no|not an) array", _("%(value)s is not an array")),
    (
        r"(?P<value>.+) names push #(?P<number>\d+) already, which differs in (?P<fields>.+)",
        _("%(value)s already belongs to push #%(number)s, which differs in %(fields)s"),
    ),
    (
        r"(?P<value>.+) is (?:no|not a valid) account id; an account id has 1 to (?P<most>\d+) characters",
        _("%(value)s is not a valid account ID: one has 1 to %(most)s characters"),
    ),
    (
        r"(?P<value>.+) is (?:no|not a valid) account id; (?P<sign>.+) (?:cannot be seen in it|is invisible): .+",
        _("%(value)s is not a valid account ID: it contains the invisible character %(sign)s"),
    ),
    (
        r"(?P<value>.+) is (?:no|not a valid) account id; (?P<sign>.+) is not the digit or letter that it looks like",
        _("%(value)s is not a valid account ID: %(sign)s only looks like a digit or letter"),
    ),
    (
        r"(?P<value>.+) is (?:no|not a valid) account id; an account id "
        r"(?:neither begins nor ends|must not begin or end) with a slash",
        _("%(value)s is not a valid account ID: it must not begin or end with a slash"),
    ),
    (
        r"(?P<value>.+) is not a duration; write (?P<example>.+)",
        _("%(value)s is not a valid duration; enter seconds, such as 3600"),
    ),
    (
        r"(?P<value>.+) is not a moment; write (?P<example>.+)",
        _("%(value)s is not a valid time; enter it like 2026-11-27T18:00:00+08:00, or as Unix seconds"),
    ),
    (r"infinity or not-a-number", _("infinity or not-a-number")),
    (
        r"(?P<what>an? (?:object|enum case|reference)(?: with its own format| to an object)?) at byte (?P<at>\d+)",
        _("%(what)s at byte %(at)s"),
    ),
)

_LETTER_NOTES: _Sentences = (
    (r" \(replayed by (?P<who>[^()]+)\)", _(" (replayed by %(who)s)")),
    (r" \(discarded by (?P<who>[^()]+)\)", _(" (discarded by %(who)s)")),
    (r" \(only the first (?P<n>\d+) bytes are kept\)", _(" (only the first %(n)s bytes are kept)")),
)
#: The parser's names of values.
_PARTS = frozenset(
    (
        *(_("a list"), _("an empty array"), _("null"), _("a boolean"), _("a string"), _("a number")),
        *(_("an object"), _("an object with its own format"), _("an enum case")),
        *(_("a reference"), _("a reference to an object")),
    )
)
_INDEX = r"db\.getSiblingDB\(.+?\)\.createIndex\(\{.*?\}\)"
_SCANNERS: _Sentences = (
    (r"the lane has more jobs than BACKLOG_JOBS", _("the lane has more jobs than BACKLOG_JOBS")),
    (rf"catching up would be faster with (?P<command>{_INDEX})", _("Catching up would be faster with %(command)s")),
    (
        rf"(?P<name>\S+) has no index on the group id; create it: (?P<command>{_INDEX})",
        _("%(name)s has no index on the group ID. Create it: %(command)s"),
    ),
    (
        r"(?P<name>\S+) has no index on (?P<field>\S+) and is never read without one\. Create it in the mongo shell: "
        rf"(?P<command>{_INDEX})",
        _("%(name)s has no index on %(field)s and is never read without one. Create it: %(command)s"),
    ),
    (
        r"(?P<name>\S+): the change stream was closed \(collection dropped or renamed\?\)",
        _("%(name)s: the change stream was closed (was the collection dropped or renamed?)"),
    ),
)


def _compiled(sentences: _Sentences) -> tuple[tuple[re.Pattern[str], str], ...]:
    return tuple((re.compile(pattern, re.DOTALL), message) for pattern, message in sentences)


_ALL = {
    name: _compiled(sentences)
    for name, sentences in {
        "broadcast": _BROADCASTS,
        "device": _DEVICES,
        "key": _KEYS,
        "export": _EXPORTS,
        "push": _PUSHES,
        "letter": _LETTERS,
        "note": _LETTER_NOTES,
        "scanner": _SCANNERS,
    }.items()
}


def words(noted: str, what: str) -> str:
    """Return `noted` in the reader's language; unchanged when it matches no known sentence. `what` it is about: a
    `broadcast`, `device`, `key`, `export`, `push`, `scanner` or dead `letter`."""
    if what == "letter":
        return _of_letter(noted)
    if what == "scanner":
        return _each(noted, what)
    return _whole(noted, what)


def _whole(noted: str, what: str) -> str:
    for pattern, message in _ALL[what]:
        if found := pattern.fullmatch(noted):
            return gettext(message) % {name: _part(text) for name, text in found.groupdict().items()}
    return noted


def _part(text: str | None) -> str:
    return gettext(text) if text in _PARTS else text or ""


def _each(noted: str, what: str) -> str:
    """Translate several sentences, one after the other."""
    for pattern, message in _ALL[what]:
        noted = "".join(_replaced(pattern, message, noted))
    return noted


def _replaced(pattern: re.Pattern[str], message: str, noted: str) -> Iterator[str]:
    end = 0
    for found in pattern.finditer(noted):
        yield noted[end : found.start()] + gettext(message) % found.groupdict()
        end = found.end()
    yield noted[end:]


def _of_letter(noted: str) -> str:
    found = _NOTES.fullmatch(noted)
    reason, notes = found.groups() if found else (noted, "")
    return _whole(reason, "letter") + _each(notes, "note")

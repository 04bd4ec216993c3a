"""The sentences of notes, each under its code. One list for all apps: what one of them stores, another one shows.

The codes are stored, so rename none of them. A sentence may change, as long as it needs the same facts: rows that were
stored before are shown with the new one.
"""

from django.db.models import TextChoices


def _(sentence: str) -> str:
    """Mark a sentence for the translators; it is translated when its note is shown."""
    return sentence


class Sentence(TextChoices):
    """What a note says; the label is the sentence, with the names of its facts."""

    # somebody else's words, and errors of programs
    SAID = "said", "%(text)s"
    ERROR = "error", _("%(kind)s: %(text)s")
    FIELD = "field", _("%(field)s: %(why)s")
    FIELD_VALUE = "field_value", _("%(field)s=%(value)s: %(why)s")
    # broadcasts
    PAUSED = "paused", _("paused")
    PAUSED_BY = "paused_by", _("paused by %(who)s")
    RESUMED = "resumed", _("resumed")
    RESUMED_BY = "resumed_by", _("resumed by %(who)s")
    CANCELLED = "cancelled", _("cancelled")
    CANCELLED_BY = "cancelled_by", _("cancelled by %(who)s")
    NOBODY = "nobody", _("The audience was empty at the start: no one received the broadcast.")
    EXPIRES_TOO_EARLY = "expires_too_early", _("The broadcast would expire before it is sent.")
    NO_TAG = "no_tag", _("The broadcast has no tag: without one it would go to every device of the app.")
    CANARY_SILENT = "canary_silent", _("None of the %(count)s canary devices has returned a result.")
    CANARY_FAILS = (
        "canary_fails",
        _("%(count)s of %(answered)s canary results are failures: %(percent)s %% (limit: %(most)s %%)."),
    )
    CANARY_TOKENS = (
        "canary_tokens",
        _("%(count)s of %(answered)s canary tokens are invalid: %(percent)s %% (limit: %(most)s %%)."),
    )
    RECENT_FAILS = (
        "recent_fails",
        _(
            "%(count)s of %(answered)s results in the last %(seconds)s s are failures: %(percent)s %% (limit: "
            "%(most)s %%)."
        ),
    )
    RECENT_TOKENS = (
        "recent_tokens",
        _(
            "%(count)s of %(answered)s tokens in the last %(seconds)s s are invalid: %(percent)s %% (limit: %(most)s "
            "%%)."
        ),
    )
    # a directory in another database
    NO_LISTING = (
        "no_listing",
        _("The devices are in another database, and %(setting)s is not set: the devices of the app cannot be listed."),
    )
    KNOWS_NO_TAGS = (
        "knows_no_tags",
        _(
            "The devices are in another database, which knows no tags: “%(tag)s” would reach nobody. "
            "Send to a list of accounts instead."
        ),
    )
    NO_COLUMN = "no_column", _("%(setting)s: the query returns no column “%(column)s”, only %(columns)s")
    ROW_ORDER = (
        "row_order",
        _(
            "%(setting)s: row_id %(row)s comes after %(before)s: it must be a whole number that increases from row to "
            "row (WHERE … > {after} ORDER BY …)"
        ),
    )
    DIRECTORY_FAILS = "directory_fails", _("The directory's database answers %(setting)s with an error: %(error)s")
    # app keys
    TOKENS_DOUBTED = (
        "tokens_doubted",
        _("The provider refuses nearly every device token: check environment, app and access ID."),
    )
    REFUSED_BY_PROVIDER = "refused_by_provider", _("refused by the provider")
    SECRET_UNREADABLE = (
        "secret_unreadable",
        _(
            "The secret cannot be decrypted: put the key that it was stored under back into ENCRYPTION_KEYS (after the "
            "newest one), or enter the secret again."
        ),
    )
    UNKNOWN_PROVIDER = "unknown_provider", _("provider=%(provider)s is unknown: it must be one of %(choices)s")
    NO_CALL = "no_call", _("No call can be written: %(error)s")
    # the history of devices
    TO_ACCOUNT = "to_account", _("to %(account)s")
    FROM_TO = "from_to", _("from %(old)s to %(new)s")
    REGISTERED_AGAIN = "registered_again", _("registered again by the app")
    CHANGED = "changed", _("(changed: %(what)s)")
    IMPORTED = "imported", _("(import)")
    BY = "by", _("by %(who)s")
    BY_BECAUSE = "by_because", _("by %(who)s: %(why)s")
    REFUSALS_UNDONE = "refusals_undone", _("by %(who)s: the provider's refusals were undone")
    REMOVED_BY_API = "removed_by_api", _("removed through the API by %(token)s")
    # pushes and exports
    NOT_DISTRIBUTED = "not_distributed", _("%(kind)s while it was distributed: %(text)s")
    NOT_WRITTEN = "not_written", _("The file could not be written (%(kind)s: %(text)s).")
    MAY_NOT_EXPORT = "may_not_export", _("%(user)s no longer has permission to export the log.")
    # bytes that are no message
    NO_BYTES = "no_bytes", _("no bytes at all")
    TOO_MANY_BYTES = "too_many_bytes", _("%(n)s bytes; at most %(most)s are allowed")
    CUT = "cut", _("(only the first %(n)s bytes are kept)")
    NOT_AN_ARRAY = "not_an_array", _("named fields are required, but this is %(what)s")
    A_LIST, AN_EMPTY_ARRAY = ("a_list", _("a list")), ("an_empty_array", _("an empty array"))
    A_NULL, A_BOOLEAN = ("a_null", _("null")), ("a_boolean", _("a boolean"))
    A_STRING, A_NUMBER = ("a_string", _("a string")), ("a_number", _("a number"))
    AN_OBJECT, AN_ENUM_CASE = ("an_object", _("an object")), ("an_enum_case", _("an enum case"))
    A_CUSTOM_OBJECT = "a_custom_object", _("an object with its own format")
    A_REFERENCE = "a_reference", _("a reference")
    AN_OBJECT_REFERENCE = "an_object_reference", _("a reference to an object")
    VALUE_AT = "value_at", _("%(what)s at byte %(at)s")
    NOT_UTF8 = "not_utf8", _("byte %(at)s is not valid UTF-8")
    NOT_FINITE, NOT_FINITE_AT = (
        ("not_finite", _("infinity or not-a-number")),
        ("not_finite_at", _("infinity or not-a-number at byte %(at)s")),
    )
    TOO_DEEP, TOO_DEEP_AT = (
        ("too_deep", _("more than %(n)s levels")),
        ("too_deep_at", _("more than %(n)s levels, at byte %(at)s")),
    )
    NOT_JSON = "not_json", _("invalid JSON at character %(at)s")
    ENDS_IN_ARRAY = "ends_in_array", _("the input ends at byte %(at)s, inside an array")
    ENDS_IN_VALUE = "ends_in_value", _("the input ends at byte %(at)s, inside a value")
    ENDS_IN_STRING = (
        "ends_in_string",
        _("a string of %(n)s bytes at byte %(at)s, but the input ends before its end"),
    )
    LONG_INTEGER = "long_integer", _("an integer of more than 64 bits at byte %(at)s")
    ARRAY_TOO_LONG = "array_too_long", _("an array of %(n)s items at byte %(at)s cannot fit into the rest")
    ARRAY_TOO_SHORT = (
        "array_too_short",
        _("the array that ends at byte %(at)s does not have the %(n)s items it announced"),
    )
    STRANGE_KEY = (
        "strange_key",
        _("a key that is neither text nor integer, in the array that ends at byte %(at)s"),
    )
    STRING_LENGTH = "string_length", _("the string at byte %(at)s is not %(n)s bytes long")
    BYTES_FOLLOW = "bytes_follow", _("%(n)s bytes follow the end at byte %(at)s")
    NOT_PHP = "not_php", _("not a PHP value at byte %(at)s")
    # fields of a message
    NOT_A_TYPE = "not_a_type", _("%(value)s is not a valid push type; accepted: %(choices)s")
    NOT_AN_APP = "not_an_app", _("%(value)s is not a valid app; accepted: %(choices)s")
    NOT_A_PLATFORM = "not_a_platform", _("%(value)s is not a valid platform; accepted: %(choices)s")
    NO_ACCOUNT_ID = "no_account_id", _("an account id, or a list of them, is required")
    BAD_ACCOUNT_ID = "bad_account_id", _("%(value)s is not a valid account id; %(why)s")
    BAD_ID = "bad_id", _("%(value)s is not a valid id; an id has 1 to %(most)s characters")
    NO_TITLE, NO_TEXT = (
        ("no_title", _("a text of at most %(most)s characters is required")),
        ("no_text", _("a text that is not empty is required")),
    )
    BAD_LINK = (
        "bad_link",
        _(
            "%(value)s is not a link that a push may open; write an https address or the app's own link, such as "
            "higo://order/77, in at most %(most)s visible ASCII characters"
        ),
    )
    BAD_IMAGE = (
        "bad_image",
        _(
            "%(value)s is not the address of an image; write one that begins with https://, in at most %(most)s "
            "visible ASCII characters"
        ),
    )
    BAD_BADGE = "bad_badge", _("%(value)s is not a badge; write a whole number from 0 to %(most)s")
    BAD_WORD = "bad_word", _("%(value)s is not valid; write 1 to %(most)s letters, digits or . _ -")
    NO_DATA = "no_data", _("%(value)s is not an array")
    NOT_A_DURATION = "not_a_duration", _("%(value)s is not a duration; write seconds, such as 3600")
    NOT_A_MOMENT = "not_a_moment", _("%(value)s is not a moment; write %(examples)s")
    ID_LENGTH = "id_length", _("an account id has 1 to %(most)s characters")
    ID_INVISIBLE = "id_invisible", _("%(sign)s is invisible: an account id has visible characters only")
    ID_LOOKALIKE = "id_lookalike", _("%(sign)s is not the digit or letter that it looks like")
    ID_SLASH = "id_slash", _("an account id must not begin or end with a slash")
    ID_BLANKS = "id_blanks", _("it has white space around it")
    ONE_OF = "one_of", _("must be one of %(choices)s")
    UNKNOWN_TYPE = "unknown_type", _("is not a known push type")
    EMPTY = "empty", _("must not be empty")
    NOT_UNICODE = "not_unicode", _("is not valid Unicode text")
    NOBODY_NAMED = "nobody_named", _("at least one recipient is needed")
    TOO_LONG = "too_long", _("is longer than %(most)s characters")
    TOO_LARGE = "too_large", _("is longer than %(most)s bytes")
    TOO_LARGE_AS_JSON = "too_large_as_json", _("is longer than %(most)s bytes as JSON")
    NOT_A_DICT = "not_a_dict", _("must be a dict")
    NO_JSON = "no_json", _("cannot be written as JSON: %(error)s")
    NO_TIME_ZONE = "no_time_zone", _("has no time zone")
    DATABASE_REFUSES = "database_refuses", _("the database refuses it (%(error)s)")
    ID_TAKEN = "id_taken", _("%(value)s names push #%(number)s already, which differs in %(fields)s")
    # what became of a dead letter
    REPLAYED = "replayed", _("(replayed by %(who)s)")
    DISCARDED = "discarded", _("(discarded by %(who)s)")
    NOT_REPLAYABLE = "not_replayable", _("what came from %(source)s is no producer's order")
    # chat messages
    FIELD_MISSING = "field_missing", _("%(field)s is missing")
    FIELD_UNUSABLE = "field_unusable", _("%(field)s=%(value)s cannot be used")
    FIELD_IS = "field_is", _("%(field)s=%(value)s")
    TYPE_NOT_LISTED = "type_not_listed", _("%(field)s=%(value)s: add it to CHAT_TYPES")
    NO_CREATION_TIME = "no_creation_time", _("%(field)s: %(value)s is not a creation time")
    WHILE_READING = "while_reading", _("while the message was read")
    WHILE_COMPOSING = "while_composing", _("while the push was composed")
    # scanners
    BACKLOG = "backlog", _("the lane has more jobs than BACKLOG_JOBS")
    FASTER_INDEX = "faster_index", _("Catching up would be faster with %(command)s")
    NO_GROUP_INDEX = "no_group_index", _("%(name)s has no index on the group ID. Create it: %(command)s")
    NO_INDEX = (
        "no_index",
        _(
            "%(name)s has no index on %(field)s and is never read without one. "
            "Create it in the mongo shell: %(command)s"
        ),
    )
    DESERTED = (
        "deserted",
        _(
            "nobody was found in the group %(groups)s, so nobody gets its messages: are its members where "
            "CHAT_GROUPS_FIELDS says (members, member_id), or in CHAT_GROUP_MEMBERS_SQL?"
        ),
    )
    MONGO_FAILS = "mongo_fails", _("%(name)s: %(text)s")
    NOT_A_MONGO_URL = "not_a_mongo_url", _("%(name)s: %(text)s (is it an URL as mongodb://host:27017/database?)")
    NO_COLLECTION = (
        "no_collection",
        _("%(name)s does not exist: is it the collection that the messages are in?"),
    )
    STREAM_CLOSED = (
        "stream_closed",
        _("%(name)s: the change stream was closed (was the collection dropped or renamed?)"),
    )
    STREAM_MISSED = "stream_missed", _("%(name)s: the change stream missed %(n)s new messages")

from datetime import date, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from pushes.distribution.windows import SEND_NOW, DailyWindow, Decision, decide, next_opening, parse

SHANGHAI, BERLIN, NEW_YORK = ZoneInfo("Asia/Shanghai"), ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")
LORD_HOWE, APIA = ZoneInfo("Australia/Lord_Howe"), ZoneInfo("Pacific/Apia")
UTC = timezone.utc
DAY = DailyWindow(time(8), time(23))
MINUTE = timedelta(minutes=1)


def at(zone: ZoneInfo, text: str, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).astimezone(UTC)


# --- reading a window -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "window"),
    [
        ("08:00-23:00", DAY),
        (" 08:00 - 23:00 ", DAY),
        ("22:30-06:15", DailyWindow(time(22, 30), time(6, 15))),
        ("00:00-00:00", DailyWindow(time(0), time(0))),
        ("off", None),
    ],
)
def test_a_window_is_read(text: str, window: DailyWindow | None):
    assert parse(text) == window


@pytest.mark.parametrize(
    "text",
    [
        "",
        "08:00",
        "8:00-23:00",
        "08:00-",
        "-23:00",
        "08.00-23.00",
        "24:00-08:00",
        "08:60-23:00",
        "+8:00-23:00",
        "a-b",
        "on",
    ],
)
def test_an_unreadable_window_is_refused_by_its_value(text: str):
    with pytest.raises(ValueError, match=r"not a valid delivery window.*08:00-23:00") as refused:
        parse(text)
    assert repr(text) in str(refused.value)


# --- what a window contains -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("window", "local", "is_open"),
    [
        ("08:00-23:00", "07:59:59.999999", False),
        ("08:00-23:00", "08:00", True),
        ("08:00-23:00", "22:59:59.999999", True),
        ("08:00-23:00", "23:00", False),
        ("08:00-23:00", "00:00", False),
        ("22:00-06:00", "21:59:59", False),
        ("22:00-06:00", "22:00", True),
        ("22:00-06:00", "00:00", True),
        ("22:00-06:00", "05:59:59", True),
        ("22:00-06:00", "06:00", False),
        ("22:00-00:00", "23:59:59", True),
        ("22:00-00:00", "00:00", False),
        ("00:00-06:00", "00:00", True),
        ("09:30-09:30", "09:29", True),
        ("09:30-09:30", "09:30", True),
    ],
)
def test_the_edges_of_a_window(window: str, local: str, is_open: bool):
    daily = parse(window)
    assert daily
    assert daily.contains(time.fromisoformat(local)) is is_open


TIMES = st.times().map(lambda value: value.replace(second=0, microsecond=0, fold=0))


@given(TIMES, TIMES, st.times())
def test_a_window_and_its_reverse_divide_the_day(opens: time, closes: time, local: time):
    assume(opens != closes)
    assert DailyWindow(opens, closes).contains(local) != DailyWindow(closes, opens).contains(local)


# --- the decision -----------------------------------------------------------------------------

NOON, NIGHT = at(SHANGHAI, "2026-03-01T12:00"), at(SHANGHAI, "2026-03-01T23:30")
MORNING = at(SHANGHAI, "2026-03-02T08:00")


@pytest.mark.parametrize(
    ("policy", "window", "now", "decision"),
    [
        ("hold", "08:00-23:00", NOON, SEND_NOW),
        ("drop", "08:00-23:00", NOON, SEND_NOW),
        ("send", "08:00-23:00", NOON, SEND_NOW),
        ("hold", "08:00-23:00", NIGHT, Decision(hold_until=MORNING)),
        ("drop", "08:00-23:00", NIGHT, Decision(is_dropped=True)),
        ("send", "08:00-23:00", NIGHT, SEND_NOW),
        ("hold", "off", NIGHT, SEND_NOW),
        ("drop", "off", NIGHT, SEND_NOW),
        ("drop", "07:00-07:00", NIGHT, SEND_NOW),
        ("hold", "22:00-06:00", NIGHT, SEND_NOW),
        ("hold", "22:00-06:00", NOON, Decision(hold_until=at(SHANGHAI, "2026-03-01T22:00"))),
        ("drop", "22:00-06:00", NOON, Decision(is_dropped=True)),
    ],
)
def test_the_policy_decides_outside_the_window(policy: str, window: str, now: datetime, decision: Decision):
    assert decide(policy, window, now, SHANGHAI) == decision


def test_an_unreadable_window_is_no_permission_to_send():
    with pytest.raises(ValueError, match="always"):
        decide("send", "always", NOON, SHANGHAI)


@pytest.mark.parametrize(("local", "opening"), [("2026-03-01T00:10", "2026-03-01"), ("2026-03-01T23:00", "2026-03-02")])
def test_before_midnight_the_next_morning_is_meant_and_after_it_the_same(local: str, opening: str):
    assert next_opening(DAY, at(SHANGHAI, local), SHANGHAI) == at(SHANGHAI, f"{opening}T08:00")


# --- daylight saving --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "night", "opening", "hours"),
    [
        (BERLIN, "2026-03-28T23:00", "2026-03-29T08:00", 8),  # clocks go forward: a short night
        (BERLIN, "2026-10-24T23:00", "2026-10-25T08:00", 10),  # and back: a long one
        (NEW_YORK, "2026-03-07T23:00", "2026-03-08T08:00", 8),
        (NEW_YORK, "2026-10-31T23:00", "2026-11-01T08:00", 10),
        (SHANGHAI, "2026-03-28T23:00", "2026-03-29T08:00", 9),
    ],
)
def test_a_night_with_a_clock_change_ends_at_eight_on_the_clock(zone: ZoneInfo, night: str, opening: str, hours: int):
    now = at(zone, night)
    found = next_opening(DAY, now, zone)
    assert found == at(zone, opening)
    assert found - now == timedelta(hours=hours)


@pytest.mark.parametrize(
    ("zone", "opens", "now", "opening"),
    [
        (BERLIN, time(2, 30), "2026-03-29T01:00", "2026-03-29T03:00"),
        (BERLIN, time(2), "2026-03-29T01:00", "2026-03-29T03:00"),
        (NEW_YORK, time(2, 59), "2026-03-08T01:00", "2026-03-08T03:00"),
        (LORD_HOWE, time(2, 15), "2026-10-04T01:00", "2026-10-04T02:30"),  # half an hour of change
        (BERLIN, time(3), "2026-03-29T01:00", "2026-03-29T03:00"),
    ],
)
def test_an_opening_that_the_clock_skips_is_at_the_end_of_the_gap(zone: ZoneInfo, opens: time, now: str, opening: str):
    assert next_opening(DailyWindow(opens, time(12)), at(zone, now), zone) == at(zone, opening)


@pytest.mark.parametrize(
    ("zone", "now", "opening"),
    [(BERLIN, "2026-10-25T01:00", "2026-10-25T02:30"), (NEW_YORK, "2026-11-01T00:30", "2026-11-01T01:30")],
)
def test_an_opening_that_the_clock_repeats_is_its_first(zone: ZoneInfo, now: str, opening: str):
    opens = time.fromisoformat(opening[11:])
    assert next_opening(DailyWindow(opens, time(12)), at(zone, now), zone) == at(zone, opening, fold=0)


@pytest.mark.parametrize(
    ("zone", "window", "now", "fold", "opening", "opening_fold"),
    [
        # Within the repeated hour, before its second showing of the opening time.
        (BERLIN, "02:30-12:00", "2026-10-25T02:15", 1, "2026-10-25T02:30", 1),
        (BERLIN, "02:30-02:45", "2026-10-25T02:50", 0, "2026-10-25T02:30", 1),
        (NEW_YORK, "01:30-12:00", "2026-11-01T01:00", 1, "2026-11-01T01:30", 1),
        (LORD_HOWE, "01:45-12:00", "2026-04-05T01:40", 1, "2026-04-05T01:45", 1),
        # Shut before the clock is set back into it.
        (BERLIN, "01:00-02:30", "2026-10-25T02:40", 0, "2026-10-25T02:00", 1),
        (BERLIN, "22:00-02:30", "2026-10-25T02:59", 0, "2026-10-25T02:00", 1),
        (LORD_HOWE, "08:00-01:50", "2026-04-05T01:55", 0, "2026-04-05T01:30", 1),
        # Over for good after the second showing.
        (BERLIN, "01:00-02:30", "2026-10-25T02:40", 1, "2026-10-26T01:00", 0),
        (BERLIN, "02:30-12:00", "2026-10-24T13:00", 0, "2026-10-25T02:30", 0),
        # The hour that is left out: opening in it, closing in it, both.
        (BERLIN, "02:30-12:00", "2026-03-29T01:59", 0, "2026-03-29T03:00", 0),
        (BERLIN, "22:00-02:30", "2026-03-29T03:00", 0, "2026-03-29T22:00", 0),
        (BERLIN, "02:10-02:50", "2026-03-29T01:59", 0, "2026-03-30T02:10", 0),
        (LORD_HOWE, "02:10-02:20", "2026-10-04T01:59", 0, "2026-10-05T02:10", 0),
    ],
)
def test_hours_that_a_clock_change_repeats_or_leaves_out(
    zone: ZoneInfo, window: str, now: str, fold: int, opening: str, opening_fold: int
):
    instant = at(zone, now, fold)
    decision = decide("hold", window, instant, zone)
    assert decision.hold_until == at(zone, opening, opening_fold)


@pytest.mark.parametrize("now", [NIGHT, at(BERLIN, "2026-10-25T02:40")], ids=["on the clock", "at a change"])
def test_an_opening_is_in_utc(now: datetime):
    assert next_opening(DailyWindow(time(1), time(2, 30)), now, BERLIN).tzinfo is UTC


def test_an_opening_at_a_change_is_on_its_second():
    now = at(BERLIN, "2026-10-25T02:40") + timedelta(seconds=12, microseconds=345_678)
    daily = DailyWindow(time(1), time(2, 30))
    assert next_opening(daily, now, BERLIN) == datetime(2026, 10, 25, 1, tzinfo=UTC)


def test_a_day_that_a_zone_leaves_out_is_no_opening():
    # Samoa had no 30 December 2011: the window of that day never opened.
    now = at(APIA, "2011-12-29T23:30")
    assert next_opening(DAY, now, APIA) == at(APIA, "2011-12-31T08:00")


def _days() -> st.SearchStrategy[tuple[ZoneInfo, date]]:
    """Any day of some years, and often one on which the clocks change."""
    changes = {
        BERLIN: [date(2026, 3, 29), date(2026, 10, 25), date(2027, 3, 28)],
        NEW_YORK: [date(2026, 3, 8), date(2026, 11, 1), date(2027, 3, 14)],
        LORD_HOWE: [date(2026, 10, 4), date(2026, 4, 5)],
        SHANGHAI: [date(2026, 6, 1)],
    }
    around = [(zone, day + timedelta(days=n)) for zone, days in changes.items() for day in days for n in (-1, 0, 1)]
    anywhere = st.tuples(st.sampled_from(list(changes)), st.dates(date(2025, 1, 1), date(2028, 12, 31)))
    return st.sampled_from(around) | anywhere


def _length(window: DailyWindow) -> timedelta:
    day = date(2026, 1, 1)
    return datetime.combine(day, window.closes) - datetime.combine(day, window.opens)


def _is_open(window: DailyWindow, instant: datetime, zone: ZoneInfo) -> bool:
    return window.contains(instant.astimezone(zone).time())


@given(_days(), TIMES, TIMES, st.integers(0, 25 * 60 - 1))
@example((BERLIN, date(2026, 3, 29)), time(2, 30), time(5), 30)
@example((BERLIN, date(2026, 10, 25)), time(2, 30), time(12), 195)
@example((BERLIN, date(2026, 10, 25)), time(1), time(2, 30), 160)
@example((NEW_YORK, date(2026, 3, 8)), time(2, 30), time(2, 45), 30)
def test_an_opening_is_the_first_open_minute(where: tuple[ZoneInfo, date], opens: time, closes: time, minute: int):
    """Checked minute by minute; a day ahead at most, unless a change leaves the whole window out."""
    zone, day = where
    window = DailyWindow(opens, closes)
    now = datetime.combine(day, time(), tzinfo=zone).astimezone(UTC) + minute * MINUTE
    assume(opens != closes and not _is_open(window, now, zone))
    opening = next_opening(window, now, zone)
    assert _is_open(window, opening, zone)
    passed = 0
    while (now := now + MINUTE) < opening:
        assert not _is_open(window, now, zone), now.astimezone(zone)
        passed += 1
    assert now == opening
    is_left_out = timedelta(0) < _length(window) <= timedelta(hours=1)
    assert passed <= (49 if is_left_out else 25) * 60

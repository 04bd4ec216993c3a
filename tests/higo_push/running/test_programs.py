"""The process set that `./push.sh start` runs."""

import configparser

import pytest
from django.core.exceptions import ImproperlyConfigured

from higo_push.running import programs
from pushes import lanes


def arguments(name: str) -> tuple[str, ...]:
    return next(program.arguments[1:] for program in programs.programs() if program.name == name)


def test_every_lane_has_one_worker_process_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch):
    for lane in lanes.LANES:
        monkeypatch.delenv(f"WORKERS_{lane.upper()}", raising=False)
        assert arguments(f"workers-{lane}") == ("runworkers", lane)


@pytest.mark.parametrize("lane", lanes.LANES)
def test_a_lane_has_as_many_worker_processes_as_it_is_given(monkeypatch: pytest.MonkeyPatch, lane: str):
    monkeypatch.setenv(f"WORKERS_{lane.upper()}", "3")
    assert arguments(f"workers-{lane}") == ("runworkers", lane, "--processes", "3")
    assert f"runworkers {lane} --processes 3" in programs.supervisor_config(programs.programs())


def test_no_process_is_ever_given_up():
    """supervisord gives one up after so many starts that it did not survive; each try waits a second longer."""
    config = configparser.ConfigParser(interpolation=None)
    config.read_string(programs.supervisor_config(programs.programs()))
    sections = [config[f"program:{program.name}"] for program in programs.programs()]
    assert sections
    for section in sections:
        assert section.getboolean("autorestart")
        tries = int(section["startretries"])
        assert tries * tries / 2 > 100 * 365 * 86_400


@pytest.mark.parametrize("value", ["0", "65", "two", "-1"])
def test_a_number_of_processes_that_cannot_be_is_refused_with_its_name(monkeypatch: pytest.MonkeyPatch, value: str):
    monkeypatch.setenv("WORKERS_GROUP", value)
    with pytest.raises(ImproperlyConfigured, match=f"WORKERS_GROUP='?{value}"):
        programs.programs()

"""The settings' system checks, by their stable ids."""

import pytest
from django.core.checks import run_checks
from pytest_django import Settings

from pushes.checks import check_directory, check_lease
from pushes.people.directory import chosen


def test_our_own_directory_needs_nothing():
    assert check_directory() == []


def test_a_directory_that_is_not_there(settings: Settings):
    settings.DIRECTORY = "pushes.people.directory.Nowhere"
    [error] = check_directory()
    assert (error.id, "DIRECTORY='pushes.people.directory.Nowhere' cannot be imported" in error.msg) == (
        "pushes.E001",
        True,
    )


def test_a_directory_over_sql_says_what_it_lacks(settings: Settings):
    settings.DIRECTORY = "pushes.people.sql_directory.SqlDirectory"
    errors = check_directory()
    assert {error.id for error in errors} == {"pushes.E002"}
    assert [error.msg.split()[0] for error in errors] == [
        "DIRECTORY_DATABASE_URL",
        "DIRECTORY_ACCOUNTS_SQL",
        "DIRECTORY_DEVICES_SQL",
    ]


@pytest.mark.parametrize(
    ("former", "new"),
    [
        ("pushes.directory.TableDirectory", "pushes.people.directory.TableDirectory"),
        ("pushes.sqldirectory.SqlDirectory", "pushes.people.sql_directory.SqlDirectory"),
    ],
)
def test_a_former_path_works_and_the_new_one_is_told(settings: Settings, former: str, new: str):
    settings.DIRECTORY = former
    first = check_directory()[0]
    assert (first.id, first.hint) == ("pushes.W011", f"Set DIRECTORY={new}.")
    assert f"{chosen().__module__}.{chosen().__name__}" == new


def test_manage_py_check_asks_it(settings: Settings):
    settings.DIRECTORY = "pushes.people.directory.Nowhere"
    assert "pushes.E001" in {message.id for message in run_checks()}


@pytest.mark.parametrize(("lease", "call"), [(60, 10.0), (6, 2.0), (30, 10)])
def test_a_lease_that_outlives_its_calls(settings: Settings, lease: float, call: float):
    settings.LEASE_SECONDS, settings.CALL_TIMEOUT_SECONDS = lease, call
    assert check_lease() == []


def test_a_lease_shorter_than_its_calls_is_refused_with_both_values(settings: Settings):
    settings.LEASE_SECONDS, settings.CALL_TIMEOUT_SECONDS = 20, 10.0
    [error] = check_lease()
    assert error.id == "pushes.E005"
    assert "LEASE_SECONDS=20" in error.msg
    assert "CALL_TIMEOUT_SECONDS=10.0" in error.msg
    assert "at least 30" in str(error.hint)
    assert "pushes.E005" in {message.id for message in run_checks()}

"""What met another transaction runs again, and nothing else does."""

import pytest
from django.db import OperationalError, transaction

from pushes.storage import conflicts

pytestmark = pytest.mark.django_db(transaction=True)


class Work:
    """Fails so many times, with this error number."""

    def __init__(self, failures: int, number: int = conflicts.DEADLOCK) -> None:
        self.calls, self._failures, self._number = 0, failures, number
        self.__qualname__ = "Work"

    def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self._failures:
            raise OperationalError(self._number, "Deadlock found when trying to get lock; try restarting transaction")
        return "done"


def test_a_transaction_that_met_another_runs_again():
    work = Work(failures=2)
    assert (conflicts.repeated(work)(), work.calls) == ("done", 3)


def test_it_gives_up_after_some_tries():
    work = Work(failures=conflicts.TRIES)
    with pytest.raises(OperationalError):
        conflicts.repeated(work)()
    assert work.calls == conflicts.TRIES


def test_another_error_is_not_repeated():
    work = Work(failures=1, number=1205)
    with pytest.raises(OperationalError):
        conflicts.repeated(work)()
    assert work.calls == 1


def test_a_part_of_a_transaction_is_not_repeated():
    work = Work(failures=1)
    with pytest.raises(OperationalError), transaction.atomic():
        conflicts.repeated(work)()
    assert work.calls == 1

"""Mutation tests: mutmut's mutants, each against the tests that call the mutated function.

    .venv/bin/python bench/mutants.py                           # all modules of [tool.mutmut]
    .venv/bin/python bench/mutants.py pushes.sending.retry      # the mutants whose names begin so
    .venv/bin/python bench/mutants.py pushes.keys --sample 60   # so many of each module, always the same

`mutmut run` starts pytest and makes a database for every mutant. Here one session collects the tests, runs them as
they are and makes the database; every mutant is a fork of that. What was found stands where mutmut looks for it:
`mutmut show NAME` prints a mutant.
"""

import argparse
import contextlib
import os
import random
import shutil
import signal
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from _pytest.runner import runtestprotocol
from mutmut.__main__ import create_mutants
from mutmut.configuration import config
from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.trampoline import set_mutant_under_test
from mutmut.state import state
from mutmut.utils.file_utils import copy_also_copy_files, copy_src_dir, setup_source_paths, walk_mutatable_files
from mutmut.utils.format_utils import mangled_name_from_mutant_name

# As mutmut writes them down.
SURVIVED, KILLED, NO_TESTS, TIMED_OUT = 0, 1, 33, 36
WORDS = {SURVIVED: "survived", NO_TESTS: "no test calls it"}
#: With a mutant a test has this many times as long as without, and some seconds for a busy machine.
PATIENCE, SECONDS = 10, 10


class Mutants:
    """A plugin of pytest's that runs the tests once as they are, and then the mutants in place of the tests."""

    def __init__(self, prefixes: list[str], sample: int | None) -> None:
        self.prefixes, self.sample = tuple(prefixes or [""]), sample
        self.sources: list[SourceFileMutationData] = []
        self.tests: dict[str, list[pytest.Item]] = defaultdict(list)
        self.seconds: dict[pytest.Item, float] = {}

    def pytest_collection_finish(self) -> None:
        # Not before pytest has loaded its plugin.
        import hypothesis

        # The same examples for every mutant, and no search for the shortest one that fails.
        phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
        suite = hypothesis.settings.get_profile("suite")
        hypothesis.settings.register_profile(
            "mutants", suite, derandomize=True, phases=phases, database=None, max_examples=30
        )
        hypothesis.settings.load_profile("mutants")

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        # The tests that come last empty the tables of what the migrations wrote.
        database = self.run_unchanged(session)
        if self.outcome(session, "", database) != SURVIVED:
            pytest.exit("a test fails in a fork without a mutant", returncode=1)
        for data in self.sources:
            self.run_module(session, data, database)
        return True

    def run_unchanged(self, session: pytest.Session) -> "Database":
        """Note which tests call which function, the fastest first. Returns the database as the first test left it."""
        database: Database | None = None
        set_mutant_under_test("stats")
        for item in session.items:
            state()._stats.clear()
            self.forget_results()
            started = time.monotonic()
            if fails(item, session):
                pytest.exit(f"{item.nodeid} fails without a mutant", returncode=1)
            self.seconds[item] = time.monotonic() - started
            database = database or Database()
            for function in state()._stats:
                self.tests[function].append(item)
        for items in self.tests.values():
            items.sort(key=self.seconds.__getitem__)
        assert database is not None
        return database

    def run_module(self, session: pytest.Session, data: SourceFileMutationData, database: "Database") -> None:
        names = [name for name in sorted(data.exit_code_by_key) if name.startswith(self.prefixes)]
        if self.sample is not None and self.sample < len(names):
            names = sorted(random.Random(1).sample(names, self.sample))
        killed: Counter[bool] = Counter()
        for name in names:
            code = data.exit_code_by_key[name] = self.outcome(session, name, database)
            killed[code not in WORDS] += 1
            if code in WORDS:
                say(f"  {name}: {WORDS[code]}")
        if names:
            data.save()
            say(f"{data.path}: {killed[True]} of {len(names)} killed")

    def outcome(self, session: pytest.Session, name: str, database: "Database") -> int:
        items = self.tests.get(mangled_name_from_mutant_name(name)) if name else session.items
        if not items:
            return NO_TESTS
        database.close()
        pid = os.fork()
        if pid == 0:
            database.begin_anew()
            self.forget_results()
            set_mutant_under_test(name)
            os._exit(KILLED if any(self.fails_in_time(item, session) for item in items) else SURVIVED)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        return TIMED_OUT if code < 0 else code

    def forget_results(self) -> None:
        """A cached function would not call again what it called for an earlier test."""
        for data in self.sources:
            module = sys.modules.get(".".join(data.path.with_suffix("").parts))
            for function in vars(module).values() if module else ():
                if hasattr(function, "cache_clear"):
                    function.cache_clear()

    def fails_in_time(self, item: pytest.Item, session: pytest.Session) -> bool:
        """Whether the test fails. A test that takes too long ends the process."""
        signal.alarm(SECONDS + PATIENCE * round(self.seconds[item]))
        return fails(item, session)


class Database:
    """SQLite's file as it is between two tests: what a mutant's tests left in it must not fail those of the next."""

    def __init__(self) -> None:
        # Not before the tests have made the settings' environment.
        from django.db import connections

        self.close = connections.close_all
        self.path = Path(connections["default"].settings_dict["NAME"])
        self.copy = self.path.with_suffix(".copy")
        self.close()
        shutil.copy(self.path, self.copy)

    def begin_anew(self) -> None:
        for journal in ("-wal", "-shm"):
            self.path.with_name(self.path.name + journal).unlink(missing_ok=True)
        shutil.copy(self.copy, self.path)


def fails(item: pytest.Item, session: pytest.Session) -> bool:
    # With the session for the next item, all is torn down but what belongs to the session.
    reports = runtestprotocol(item, log=False, nextitem=session)  # type: ignore[arg-type]
    return any(report.failed for report in reports)


def say(text: str) -> None:
    """Past pytest, which keeps what is printed."""
    print(text, file=sys.__stderr__, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prefixes", nargs="*")
    parser.add_argument("--sample", type=int)
    given = parser.parse_args()
    mutants = Mutants(given.prefixes, given.sample)
    Path("mutants").mkdir(exist_ok=True)
    set_mutant_under_test("mutant_generation")
    with contextlib.redirect_stdout(None):
        copy_src_dir()
        copy_also_copy_files()
        setup_source_paths()
        create_mutants(1)
    for path in walk_mutatable_files():
        data = SourceFileMutationData(path=path)
        data.load()
        data.meta_path = data.meta_path.absolute()
        mutants.sources.append(data)
    chosen = config()
    os.chdir("mutants")
    selection = chosen.pytest_add_cli_args_test_selection
    return pytest.main(["-q", "-p", "no:randomly", *chosen.pytest_add_cli_args, *selection], plugins=[mutants])


if __name__ == "__main__":
    sys.exit(main())

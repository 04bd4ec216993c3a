"""The directions of imports, the few importers of what opens connections, and the paths that RQ calls."""

import ast
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest
from django.utils.module_loading import import_string

from pushes.workers import queues
from tests.environment import PROJECT

PACKAGES = ("higo_push", "pushes", "chatscan")
#: Who may import what opens a connection or belongs to one place. `x.*` stands for a package.
ONLY_IMPORTERS = {
    # The admin's module puts RQ's own pages behind a permission.
    "django_rq": ("pushes.workers.queues", "pushes.console.job_queues"),
    "rq": (
        "pushes.workers.queues",
        "pushes.workers.job_check",
        "pushes.workers.foreign_values",
        "pushes.workers.worker",
        "pushes.workers.shards",
        "pushes.console.job_queues",
    ),
    "pycurl": ("pushes.providers.http",),
    # Beside the scanners' store: what starts or asks the server, and who plays the chat server in the demo.
    "pymongo": ("chatscan.store", "higo_push.embedded", "higo_push.preflight", "higo_push.demo.*"),
    "uvloop": ("pushes.sandbox.*",),
    "httptools": ("pushes.sandbox.*",),
    # The provider's low-rate calls, and what asks the sandbox's control API.
    "requests": ("pushes.providers.http", "pushes.management.commands.audit", "higo_push.demo.*"),
    "axes": ("pushes.console.login.lockout", "pushes.models.operators"),
    # The desk of the operators takes the library's own pages away.
    "django_otp": ("pushes.console.login.second_factor", "pushes.models.operators", "pushes.console.operators.desk"),
    "cryptography": ("higo_push.env", "higo_push.demo.stage", "pushes.vault"),
}
#: Of our own modules, these may import no others than the ones named.
MAY_IMPORT = {
    "pushes.names": (),
    "pushes.lanes": (),
    "pushes.values": ("pushes.names",),
    "pushes.distribution.eligibility": ("pushes.names", "pushes.values"),
    "pushes.distribution.windows": ("pushes.names", "pushes.values"),
    "pushes.text.characters": (),
    "pushes.text.ids": ("pushes.text.characters",),
    "pushes.text.device_tokens": ("pushes.names",),
    "pushes.text.exact_json": (),
    "pushes.inbound.payload": ("pushes.text.exact_json",),
    "pushes.inbound.expiry": ("pushes.text.ids",),
    "pushes.inbound.orders": (
        "pushes.text.characters",
        "pushes.text.ids",
        "pushes.names",
        "pushes.values",
        "pushes.inbound.expiry",
    ),
    "pushes.providers.*": (
        "pushes.names",
        "pushes.values",
        "pushes.text.characters",
        "pushes.text.exact_json",
        "pushes.providers.*",
    ),
    "pushes.vault": (),
    "pushes.models": ("pushes.models.*",),
    "pushes.models.*": ("pushes.names", "pushes.values", "pushes.vault", "pushes.models.*"),
    "higo_push.env_file": (),
    "higo_push.env": ("higo_push.env_file",),
    "higo_push.settings": ("higo_push.env", "pushes.lanes"),
}
#: What `chatscan` may use of the platform (the directory's database counts as directory); its admin pages also use
#: the platform's.
CHATSCAN_USES = (
    "pushes.submit",
    "pushes.text.exact_json",
    "pushes.values",
    "pushes.names",
    "pushes.text.characters",
    "pushes.text.ids",
    "pushes.people.directory",
    "pushes.people.sql_source",
    "pushes.storage.clocks",
    "pushes.admin.*",
)


@cache
def modules() -> dict[str, Path]:
    """Every module of ours by its dotted name, without migrations."""
    found: dict[str, Path] = {}
    for package in PACKAGES:
        for path in sorted((PROJECT / package).rglob("*.py")):
            parts = path.relative_to(PROJECT).with_suffix("").parts
            if "migrations" not in parts:
                found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def trees() -> dict[str, ast.Module]:
    return {name: ast.parse(path.read_text(), str(path)) for name, path in modules().items()}


@cache
def imported(name: str) -> frozenset[str]:
    """Every module that `name` imports: ours by their full name, `from package import module` resolved."""
    found: set[str] = set()
    for node in ast.walk(trees()[name]):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: a relative import"
            parent = node.module or ""
            names = {f"{parent}.{alias.name}" for alias in node.names}
            ours = names & set(modules())
            found |= ours
            if len(ours) < len(names):
                found.add(parent)
    return frozenset(found)


def ours(name: str) -> frozenset[str]:
    return imported(name) & set(modules())


def matches(name: str, patterns: Iterable[str]) -> bool:
    return any(name == p or (p.endswith(".*") and f"{name}.".startswith(p[:-1])) for p in patterns)


def importers_of(top: str) -> list[str]:
    return [name for name in modules() if any(f"{other}.".startswith(f"{top}.") for other in imported(name))]


def cycles() -> Iterator[list[str]]:
    """Each group of modules that import one another, found by looking for a way back."""
    edges = {name: ours(name) - {name} for name in modules()}
    seen: set[str] = set()
    for start in edges:
        if start in seen:
            continue
        group = [other for other in _reachable(start, edges) if start in _reachable(other, edges)]
        seen.update(group)
        if len(group) > 1:
            yield sorted(group)


def _reachable(start: str, edges: Mapping[str, frozenset[str]]) -> set[str]:
    found, waiting = {start}, [start]
    while waiting:
        new = edges[waiting.pop()] - found
        found |= new
        waiting.extend(new)
    return found


def test_imports_go_round_in_no_circle():
    assert list(cycles()) == []


def test_no_function_imports():
    found = [
        f"{name}:{inner.lineno}"
        for name, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in ast.walk(node)
        if isinstance(inner, ast.Import | ast.ImportFrom)
    ]
    assert found == []


@pytest.mark.parametrize("top", ONLY_IMPORTERS)
def test_connections_have_few_importers(top):
    strangers = [name for name in importers_of(top) if not matches(name, ONLY_IMPORTERS[top])]
    assert strangers == []
    assert importers_of(top), f"nobody imports {top} any more: drop the rule"


@pytest.mark.parametrize("pattern", MAY_IMPORT)
def test_the_lower_layers_know_nothing_of_the_upper(pattern):
    concerned = [name for name in modules() if matches(name, [pattern])]
    assert concerned, f"{pattern} is gone: drop the rule"
    allowed = MAY_IMPORT[pattern]
    found = {name: sorted(other for other in ours(name) if not matches(other, allowed)) for name in concerned}
    assert {name: others for name, others in found.items() if others} == {}


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [("pushes", ("chatscan.*", "higo_push.*")), ("chatscan", ("higo_push.*",)), ("pushes.providers", ("django.db.*",))],
)
def test_packages_that_must_not_know_one_another(package, forbidden):
    found = {
        (name, other)
        for name in modules()
        if matches(name, [f"{package}.*"])
        for other in imported(name)
        if matches(other, forbidden)
    }
    assert found == set()


@pytest.mark.parametrize("top", ["pushes.admin", "pushes.api", "pushes.management"])
def test_no_stage_knows_the_console_or_another_entrance(top):
    # The jobs are no stage: imported by nobody, and an export's rows are the console's.
    found = {
        (name, other)
        for name in modules()
        if matches(name, ["pushes.*"]) and not matches(name, [f"{top}.*", "pushes.jobs"])
        for other in ours(name)
        if matches(other, [f"{top}.*"])
    }
    assert found == set()


def test_chatscan_uses_the_front_door_only():
    found = {
        (name, other)
        for name in modules()
        if matches(name, ["chatscan.*"])
        for other in ours(name)
        if other.startswith("pushes.") and not matches(other, CHATSCAN_USES)
    }
    assert found == set()


@pytest.mark.parametrize("path", queues.JOB_PATHS)
def test_what_rq_calls_exists_and_is_imported_by_nobody(path):
    assert callable(import_string(path))
    assert importers_of(path.rpartition(".")[0]) == []


def test_no_module_is_too_long():
    lengths = {name: len(path.read_text().splitlines()) for name, path in modules().items()}
    too_long = {name: length for name, length in lengths.items() if length > 400}
    assert too_long == {}

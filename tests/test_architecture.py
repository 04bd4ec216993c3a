"""The directions of imports, the few importers of what opens connections, and the paths that RQ calls."""

import ast
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest
from django.utils.module_loading import import_string

from pushes.names import ProviderKind
from pushes.providers.registry import PROVIDERS
from pushes.workers import queues
from tests.environment import PROJECT

PACKAGES = ("higo_push", "pushes", "chatscan")
#: The rooms of `pushes`, from the roof to the ground: each imports only those on lines below its own.
ORDER = (
    "admin apps management templatetags",
    "console api",
    "checks jobs upkeep",
    "sending",
    "broadcasts",
    "history",
    "inbound",
    "submit sandbox",
    "distribution",
    "keys",
    "people",
    "ledger",
    "workers",
    "models providers",
    "storage",
    "text",
    "values vault lanes",
    "names",
)
#: The same of the rooms of `pushes.console`.
CONSOLE_ORDER = (
    "overview",
    "broadcasts",
    "job_queues push_types",
    "people",
    "delivery_log",
    "keys operators",
    "login",
    "site",
)
#: The same of the rooms of `chatscan`.
CHAT_ORDER = (
    "admin apps management",
    "checks metrics positions recalls",
    "scanning",
    "sqlgroups",
    "groups",
    "mongo models",
    "messages",
    "names",
)
#: The same of the rooms of `higo_push`.
PROJECT_ORDER = (
    "demo",
    "running",
    "asgi command_line formats log_lines management mariadb readiness settings urls web wsgi",
    "database_url",
    "env",
    "env_file",
)
MAX_MODULES = 14
#: One file for each provider, and one for each part of what a phone and a provider do.
CROWDED = ("pushes.providers", "pushes.sandbox")
MAX_ENTRIES = 33
MAX_LINES = 350
#: Who may import what opens a connection or belongs to one place. `x.*` stands for a package.
ONLY_IMPORTERS = {
    # The admin's module puts RQ's own pages behind a permission.
    "django_rq": ("pushes.workers.queues", "pushes.console.job_queues.rq_pages"),
    "rq": (
        "pushes.workers.queues",
        "pushes.workers.job_check",
        "pushes.workers.job_fetch",
        "pushes.workers.foreign_values",
        "pushes.workers.worker",
        "pushes.workers.shards",
        "pushes.workers.failed_jobs",
        "pushes.workers.worker_states",
        "pushes.console.job_queues.rq_pages",
    ),
    "pycurl": ("pushes.providers.http", "pushes.providers.http_slot"),
    "hpack": ("pushes.providers.http2_wire",),
    # Beside the scanners' store: what starts or asks the server, and who plays the chat server in the demo.
    "pymongo": ("chatscan.mongo.*", "higo_push.running.embedded", "higo_push.running.preflight", "higo_push.demo.*"),
    "uvloop": ("pushes.sandbox.*",),
    "httptools": ("pushes.sandbox.*",),
    # What asks the sandbox's control API.
    "requests": ("pushes.management.commands.audit", "higo_push.demo.*"),
    "axes": ("pushes.console.login.lockout", "pushes.models.operators"),
    # The desk of the operators takes the library's own pages away.
    "django_otp": ("pushes.console.login.second_factor", "pushes.models.operators", "pushes.console.operators.desk"),
    "cryptography": (
        "higo_push.env",
        "higo_push.demo.stage",
        "pushes.vault",
        "pushes.providers.signed_tokens",
        "pushes.sandbox.jwt",
        "pushes.sandbox.certificates",
        "pushes.sandbox.sample_keys",
    ),
    "h2": ("pushes.sandbox.*",),
}
#: What may speak of notes.
NOTES = ("pushes.text.notes", "pushes.text.sentences")
#: Of our own modules, these may import no others than the ones named.
MAY_IMPORT = {
    "pushes.names": (),
    "pushes.lanes": (),
    "pushes.values": ("pushes.names",),
    "pushes.distribution.eligibility": ("pushes.names", "pushes.values"),
    "pushes.distribution.windows": ("pushes.names", "pushes.values"),
    "pushes.text.characters": (),
    "pushes.text.ids": ("pushes.text.characters", *NOTES),
    "pushes.text.sentences": (),
    "pushes.text.notes": ("pushes.text.characters", "pushes.text.exact_json", "pushes.text.sentences"),
    "pushes.text.device_tokens": ("pushes.names",),
    "pushes.text.exact_json": (),
    "pushes.text.presentation": (
        *("pushes.text.characters", "pushes.text.ids", "pushes.names", "pushes.values"),
        *NOTES,
    ),
    "pushes.inbound.payload": ("pushes.text.exact_json", *NOTES),
    "pushes.inbound.expiry": ("pushes.text.ids", *NOTES),
    "pushes.inbound.orders": (
        "pushes.text.characters",
        "pushes.text.ids",
        "pushes.text.presentation",
        "pushes.names",
        "pushes.values",
        "pushes.inbound.expiry",
        *NOTES,
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
    "pushes.models.*": (
        *("pushes.names", "pushes.values", "pushes.vault", "pushes.models.*"),
        # The lengths of columns.
        "pushes.text.device_tokens",
    ),
    "higo_push.env_file": (),
    "higo_push.env": ("higo_push.env_file",),
    "higo_push.database_url": ("higo_push.env",),
    "higo_push.settings": ("higo_push.database_url", "higo_push.env", "pushes.lanes", "pushes.storage.shared_redis"),
}
#: Who may speak of one provider: the providers, what plays them, and the vocabulary.
SPEAK_OF_A_PROVIDER = ("pushes.providers.*", "pushes.sandbox.*", "pushes.names")
#: What names a provider in a string. The sandbox is also a process of ours, and a command.
VENDORS = frozenset(known.kind for known in PROVIDERS if known.reaches_phones)
#: What all others may use of the providers: nothing of it is one provider's own.
OF_EVERY_PROVIDER = (
    "pushes.providers.answers",
    "pushes.providers.base",
    "pushes.providers.hosts",
    "pushes.providers.http",
    "pushes.providers.one_shot",
    "pushes.providers.registry",
    "pushes.providers.reserved",
)
#: What `chatscan` may use of the platform (the directory's database counts as directory); its admin pages also use
#: the platform's.
CHATSCAN_USES = (
    "pushes.submit",
    "pushes.text.exact_json",
    "pushes.values",
    "pushes.names",
    "pushes.text.characters",
    "pushes.text.ids",
    *NOTES,
    "pushes.people.directory",
    "pushes.people.sql_source",
    "pushes.storage.clocks",
    "pushes.storage.conflicts",
    "pushes.console.*",
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


def levels(order: Iterable[str]) -> dict[str, int]:
    return {room: level for level, rooms in enumerate(order) for room in rooms.split()}


def dotted_paths(name: str) -> frozenset[str]:
    """Modules of ours that `name` names in a string, as `import_string` and RQ would import them."""
    values = (node.value for node in ast.walk(trees()[name]) if isinstance(node, ast.Constant))
    texts = {value for value in values if isinstance(value, str) and value.startswith("pushes.")}
    return frozenset(module for text in texts for module in (text, text.rpartition(".")[0]) if module in modules())


@pytest.mark.parametrize(
    ("top", "order"),
    [("pushes", ORDER), ("pushes.console", CONSOLE_ORDER), ("chatscan", CHAT_ORDER), ("higo_push", PROJECT_ORDER)],
)
def test_a_room_imports_only_those_below_it(top, order):
    level, depth = levels(order), top.count(".") + 1
    inside = [name for name in modules() if name.startswith(f"{top}.")]
    rooms = {name: name.split(".")[depth] for name in inside}
    assert set(rooms.values()) == set(level), "the list names every room, and no other"
    upward = {
        (name, other)
        for name in inside
        for other in (ours(name) | dotted_paths(name)) & set(inside)
        # What RQ calls stands above whoever enqueues it, and is enqueued by its path for that reason.
        if rooms[other] not in (rooms[name], "jobs") and level[rooms[other]] <= level[rooms[name]]
    }
    assert upward == set()


def test_no_room_is_crowded():
    packages = {name.rpartition(".")[0] for name in modules() if "." in name}
    sizes = {
        package: len([path for path in directory.glob("*.py") if path.name != "__init__.py"])
        for package in packages
        if (directory := PROJECT.joinpath(*package.split("."))).is_dir()
    }
    assert {package: n for package, n in sizes.items() if n > MAX_MODULES and package not in CROWDED} == {}
    entries = [path for path in (PROJECT / "pushes").iterdir() if not path.name.startswith("__")]
    assert len(entries) <= MAX_ENTRIES


def test_nobody_changes_another_modules_registry():
    """Such as `alerts.PANELS.append(...)` at the top of a module: other apps plug in by settings."""
    found = [
        f"{name}:{node.lineno}"
        for name, tree in trees().items()
        for node in tree.body
        if isinstance(node, ast.Expr | ast.AugAssign | ast.Assign) and _changes_another(node, tree)
    ]
    assert found == []


def _changes_another(node: ast.stmt, tree: ast.Module) -> bool:
    from_ours = {
        alias.asname or alias.name
        for other in tree.body
        if isinstance(other, ast.ImportFrom) and (other.module or "").split(".")[0] in PACKAGES
        for alias in other.names
    }
    target = _changed(node)
    while isinstance(target, ast.Attribute | ast.Subscript):
        target = target.value
    return isinstance(target, ast.Name) and target.id in from_ours


def _changed(node: ast.stmt) -> ast.expr | None:
    """What a statement at the top of a module changes, beside the module's own new names."""
    if isinstance(node, ast.AugAssign):
        return node.target
    if isinstance(node, ast.Assign):
        return next((target for target in node.targets if not isinstance(target, ast.Name)), None)
    call = node.value if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) else None
    if call is None or not isinstance(call.func, ast.Attribute):
        return None
    return call.func if call.func.attr in ("append", "extend", "add", "update") else None


def test_nobody_else_speaks_of_one_provider():
    others = [name for name in modules() if not matches(name, SPEAK_OF_A_PROVIDER)]
    uses = {(name, other) for name in others for other in ours(name) if matches(other, ["pushes.providers.*"])}
    assert {(name, other) for name, other in uses if not matches(other, OF_EVERY_PROVIDER)} == set()
    found = [(name, node) for name in others for node in ast.walk(trees()[name]) if _names_a_provider(node)]
    assert [f"{name}:{node.lineno}" for name, node in found if isinstance(node, ast.expr)] == []


def _names_a_provider(node: ast.AST) -> bool:
    if isinstance(node, ast.Attribute):
        return isinstance(node.value, ast.Name) and node.value.id == "ProviderKind" and node.attr in ProviderKind.names
    return isinstance(node, ast.Constant) and node.value in VENDORS


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
    too_long = {name: length for name, length in lengths.items() if length > MAX_LINES}
    assert too_long == {}


def test_a_name_that_begins_with_test_is_a_tests():
    assert [name for name in modules() if name.rpartition(".")[2].startswith("test_")] == []


def test_no_test_reads_the_clock_while_it_is_imported():
    """What is "now" at an import is long ago when a whole run gets to the test."""
    at_import = {path: _run_at_import(ast.parse(path.read_text())) for path in (PROJECT / "tests").rglob("*.py")}
    assert [str(path) for path, nodes in at_import.items() if any(map(_reads_clock, nodes))] == []


def test_the_tests_can_be_imported_without_mysqlclient():
    """A fresh machine has none. What needs it is imported by the test that has asked for MariaDB."""
    needing = ("bench", "MySQLdb", "higo_push.mariadb.base", "higo_push.mariadb.nodes")
    found = {
        str(path.relative_to(PROJECT)): sorted(names)
        for path in (PROJECT / "tests").rglob("*.py")
        if (names := {name for name in _imported_at_once(path) if matches(name, [*needing, "bench.*", "MySQLdb.*"])})
    }
    assert found == {}


def _imported_at_once(path: Path) -> Iterator[str]:
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _run_at_import(tree: ast.Module | ast.ClassDef) -> Iterator[ast.AST]:
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            yield from _run_at_import(node)
        elif isinstance(node, ast.FunctionDef):
            yield from (*node.decorator_list, *node.args.defaults)
        else:
            yield node


def _reads_clock(node: ast.AST) -> bool:
    calls = (part for part in ast.walk(node) if isinstance(part, ast.Call))
    return any(ast.unparse(call.func).endswith((".now", "time.time", "time.monotonic")) for call in calls)

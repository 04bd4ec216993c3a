"""The documents say what the code does: settings with their defaults, commands, legacy parts, links."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.management import get_commands

from pushes.history.answers import Answer, Event
from tests.environment import PROJECT

DOCS = PROJECT / "docs"
PACKAGES = ("higo_push", "pushes", "chatscan")
#: Every part that the replaced system's description names.
LEGACY_PARTS = re.findall(
    r"\S+",
    """
hg_message_queue hg_xinge_queue hgDistributeStart hgDistribution distribute hgXingeStart hgXingeSending HgXinge
groupChatStart group_pusher group_hgDistributeStart group_hgDistribe group_distribute group_hgXingeStart
group_xingeSending GroupHGDistribution GroupDistribute GroupXingeSending hgXinge higo_group_chat_message1
higo_group_xinge_queue{n} message_ok accept_push queue_max push_status createAt
privateChatStart private_pusher private_hgDistributeStart private_hgDistribute private_distribute
private_hgXingeStart private_hgXingeSending higo_private_chat_message{n} higo_private_xinge_queue{n}
android_higo_appid android_higo_skey android_higirl_appid android_higirl_skey ios_higo_appid ios_higo_skey
ios_higirl_appid ios_higirl_skey local_ios_higirl_appid local_ios_higirl_skey local_ios_higo_appid local_ios_higo_skey
logs/err.log mlogging phpserialize
PUSH_TYPE_CHAT PUSH_TYPE_NEW_ORDER PUSH_TYPE_GOODS_SOLDOUT PUSH_TYPE_GOODS_SENT PUSH_TYPE_BUYER_PAID
PUSH_TYPE_BUYER_CONFIRM PUSH_TYPE_SYS_CONFIRM PUSH_TYPE_SHOP_SENDGOODS PUSH_TYPE_SHOP_OK PUSH_TYPE_SHOP_REJ
PUSH_TYPE_GOODS_OFFSALE PUSH_TYPE_BUYER_PERMIT PUSH_TYPE_BUYER_DENY PUSH_TYPE_GOODS_DETAIL PUSH_TYPE_REPORTED
PUSH_TYPE_DEFAULT
""",
)
#: Read outside the settings' readers, so the search below does not see it.
OTHER_VARIABLES = {"ENV_FILE"}


def sources() -> Iterator[Path]:
    for package in PACKAGES:
        yield from (path for path in (PROJECT / package).rglob("*.py") if "migrations" not in path.parts)


def variables_read() -> dict[str, str | None]:
    """Every environment variable that the code reads, with its default as the docs write it; None: computed."""
    found: dict[str, str | None] = {}
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and _is_reader(node.func) and isinstance(node.args[0], ast.Constant):
                found[str(node.args[0].value)] = _default(node)
    return found


def _is_reader(function: ast.expr) -> bool:
    return (
        isinstance(function, ast.Attribute)
        and isinstance(function.value, ast.Name)
        and function.value.id in ("env", "database_url")
    )


def _default(call: ast.Call) -> str | None:
    assert isinstance(call.func, ast.Attribute)
    if len(call.args) < 2 or call.func.attr == "required":
        return ""
    default = call.args[1]
    if not isinstance(default, ast.Constant):
        return None
    if isinstance(default.value, bool):
        return "on" if default.value else "off"
    return str(default.value)


def documented() -> dict[str, str]:
    """The rows of the settings document: the variable and its default, "" when there is none."""
    rows = re.findall(r"^\| `([A-Z_]+)` \| ([^|]+) \|", (DOCS / "settings.md").read_text(), re.MULTILINE)
    return {name: "" if default.strip().startswith("*") else default.strip().strip("`") for name, default in rows}


def commands() -> list[str]:
    return [
        path.stem
        for package in ("pushes", "chatscan")
        for path in (PROJECT / package / "management" / "commands").glob("[a-z]*.py")
    ]


def test_every_variable_that_is_read_is_documented():
    assert set(variables_read()) - set(documented()) == set()


def test_no_documented_variable_is_gone():
    assert set(documented()) - set(variables_read()) - OTHER_VARIABLES == set()


def test_the_documented_defaults_are_the_code_s():
    shown = documented()
    computed = {"DATABASE_URL"}
    wrong = {
        name: (default, shown[name])
        for name, default in variables_read().items()
        if default is not None and name in shown and name not in computed and default != shown[name]
    }
    assert wrong == {}


def test_the_example_environment_uses_known_variables():
    lines = (PROJECT / "deploy" / "env.example").read_text().splitlines()
    names = {line.lstrip("#").split("=")[0] for line in lines if re.match(r"#?[A-Z_]+=", line)}
    assert names
    assert names <= set(documented())


@pytest.mark.parametrize("command", commands())
def test_every_command_is_documented(command):
    texts = [(DOCS / "operations.md").read_text(), (PROJECT / "README.md").read_text()]
    assert any(f"manage.py {command}" in text for text in texts)


def test_every_documented_command_exists():
    texts = [path.read_text() for path in [PROJECT / "README.md", *DOCS.glob("*.md")]]
    named = {name for text in texts for name in re.findall(r"manage\.py ([a-z]\w+)", text)}
    assert named
    assert named - set(get_commands()) == set()


@pytest.mark.parametrize("part", LEGACY_PARTS)
def test_every_legacy_part_has_its_row(part):
    assert any(line.startswith("|") and part in line for line in (DOCS / "legacy.md").read_text().splitlines())


def test_the_readme_starts_with_the_two_commands():
    block = re.search(r"```\w*\n(.*?)```", (PROJECT / "README.md").read_text(), re.DOTALL)
    assert block
    commands_shown = [line.split("#")[0].strip() for line in block[1].splitlines()]
    assert commands_shown == ["./push.sh demo", "./push.sh test"]


@pytest.mark.parametrize("document", ["README.md", "CHANGELOG.md", *(f"docs/{p.name}" for p in DOCS.glob("*.md"))])
def test_links_and_named_files_lead_somewhere(document):
    path = PROJECT / document
    text = path.read_text()
    links = [link.split("#")[0] for link in re.findall(r"\]\((?!https?:)([^)]+)\)", text)]
    assert [link for link in links if link and not (path.parent / link).exists()] == []
    named = re.findall(r"`((?:higo_push|pushes|chatscan|tests|docs|deploy|bench)/[\w/.-]+\.\w+)`", text)
    assert [name for name in named if not (PROJECT / name).exists()] == []


def test_documents_name_nobody_s_machine():
    for path in [PROJECT / "README.md", PROJECT / "CHANGELOG.md", *DOCS.glob("*.md")]:
        assert not re.search(r"/(work|home|root|Users)/", path.read_text()), path.name


RULES = (PROJECT / "deploy" / "prometheus-rules.yml").read_text()


@pytest.mark.parametrize("code", [*Answer.values, *Event.values])
def test_every_code_of_a_timeline_is_documented(code):
    assert f"`{code}`" in (DOCS / "console.md").read_text().partition("| `outcome` |")[2]


def test_alerting_rules_ask_for_documented_metrics():
    documented = set(re.findall(r"`(higo_\w+)`", (DOCS / "api.md").read_text()))
    asked = set(re.findall(r"\bhigo_\w+", RULES))
    assert asked
    assert asked <= documented


def test_every_alert_has_a_line_that_says_what_to_do():
    alerts = re.findall(r"- alert: (\w+)", RULES)
    listed = re.findall(r"^\| `(Higo\w+)` \| \S", (DOCS / "operations.md").read_text(), re.MULTILINE)
    assert alerts == listed


@pytest.mark.parametrize("path", sorted(DOCS.glob("*.md")), ids=lambda path: path.name)
def test_a_document_begins_with_its_readers(path):
    first = path.read_text().split("\n\n")[1]
    assert first.startswith("For ")
    assert "After reading you" in first


def test_every_path_that_ci_names_is_there():
    lists = re.search(r"^INDEPENDENT=.*?(?=^tests_on_sqlite)", (PROJECT / ".ci" / "run").read_text(), re.S | re.M)
    assert lists
    words = subprocess.run(
        ["bash", "-c", f'{lists[0]}\nprintf "%s\\n" "${{INDEPENDENT[@]}}" "${{PROCESSES[@]}}" "${{PAGES[@]}}"'],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert words
    assert [word for word in words if not (PROJECT / word).exists()] == []

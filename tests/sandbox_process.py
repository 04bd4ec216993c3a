"""The sandbox provider as a process of its own, and its control API in Python.

with running_sandbox(keys={2100000001: "secret"}) as sandbox:
    sandbox.url                      # where a provider's endpoint_url points to
    sandbox.received(token="aa…")    # what reached the phones, oldest first
    sandbox.set_profile("error500", access_id=2100000001)
"""

import re
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from higo_push.env import BASE_DIR
from higo_push.running import processes

START_SECONDS = 30.0
LISTENING = "sandbox listening on "
SECURE = re.compile(r"(\S+) \(certificate authority: (.+)\)")


class Sandbox:
    """A running sandbox. Every method raises requests.HTTPError when the sandbox refuses it."""

    def __init__(self, url: str, pid: int, tls_url: str = "", ca_file: str = "") -> None:
        self.url, self.pid = url, pid
        #: Where it speaks TLS, and whom to trust for that; "" unless it was started with `tls`.
        self.tls_url, self.ca_file = tls_url, ca_file
        self._session = requests.Session()
        self._session.trust_env = False

    def close(self) -> None:
        self._session.close()

    def received(self, *, after: int = 0, limit: int = 100_000, token: str = "", access_id: int | str = 0) -> list[Any]:
        """The pushes that reached a token, oldest first, as dicts with `seq`, `time`, `access_id`, `token`,
        `platform`, `title`, `content`, `custom`, `n_id`, `push_id`, `path`, `link` and `image`."""
        asked = {"after": after, "limit": limit, "token": token, "access_id": access_id or ""}
        return list(self._get("received", asked)["entries"])

    def counts(self, *, least: int = 2, by: str = "access_id,token,n_id") -> dict[str, Any]:
        """How often each group of entries was seen; `groups` lists those seen at least `least` times."""
        return dict(self._get("counts", {"least": least, "by": by}))

    def stats(self) -> dict[str, Any]:
        return dict(self._get("stats", {}))

    def set_profile(self, name: str, **options: Any) -> None:
        """Switch the fault profile; the options are those of the control API (`access_id`, `times`, …)."""
        self._post("profile", {"profile": name, **options})

    def set_latency(self, milliseconds: float) -> None:
        self._post("latency", {"latency_ms": milliseconds})

    def set_codes(self, era: str) -> None:
        """`legacy` (to mid 2017) or `gateway`: which return codes Xinge v2 uses."""
        self._post("codes", {"codes": era})

    def add_key(self, access_id: int | str, secret: str) -> None:
        """`secret` is as an app key has it: what `Provider.sealed` makes."""
        self._post("keys", {"access_id": access_id, "secret": secret})

    def expire_tokens(self, access_id: str) -> None:
        """Refuse from now on the access tokens that a key has used until now."""
        self._post("expire", {"access_id": access_id})

    def set_limit(self, calls_a_minute: int) -> None:
        """How many calls JPush takes from one app key."""
        self._post("limits", {"calls_a_minute": calls_a_minute})

    def set_first_streams(self, number: int) -> None:
        """How many streams a new connection over HTTP/2 may have until a call was answered on it; then 1,000."""
        self._post("streams", {"first": number})

    def bind_account(self, access_id: int, account: str, tokens: Sequence[str]) -> None:
        """What the provider's client SDK does on a phone: bind `tokens` to `account`."""
        self._post("accounts", {"access_id": access_id, "account": account, "tokens": list(tokens)})

    def reset(self) -> None:
        """Forget all entries, counters, bindings and fault profiles, and be as at the start; the keys stay."""
        self._post("reset", {})

    def _get(self, name: str, asked: Mapping[str, Any]) -> Any:
        answer = self._session.get(f"{self.url}/_sandbox/{name}", params=dict(asked), timeout=60)
        answer.raise_for_status()
        return answer.json()

    def _post(self, name: str, body: Mapping[str, Any]) -> None:
        answer = self._session.post(f"{self.url}/_sandbox/{name}", json=dict(body), timeout=60)
        if answer.status_code == 400:
            raise ValueError(answer.text)
        answer.raise_for_status()


@contextmanager
def running_sandbox(
    *,
    latency_ms: float = 0,
    profile: str = "ok",
    keys: Mapping[int, str] | None = None,
    port: int = 0,
    tls: bool = False,
    options: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    prefix: Sequence[str] = (),
) -> Iterator[Sandbox]:
    """Start `manage.py runsandbox` (on a free port unless told which) and stop it at the end, whatever happened. With
    `tls` it also speaks that, on a port of its own. `prefix` comes before the command."""
    command = [*prefix, sys.executable, BASE_DIR / "manage.py", "runsandbox", "--port", str(port)]
    command += ["--latency-ms", str(latency_ms), "--profile", profile, *options]
    command += ["--tls-port", "0"] if tls else []
    for access_id, secret in (keys or {}).items():
        command += ["--key", f"{access_id}:{secret}"]
    with tempfile.TemporaryDirectory(prefix="sandbox-") as folder:
        log = Path(folder) / "log"
        with log.open("wb") as output:
            process = processes.start(command, log=output, environment=environment, folder=BASE_DIR)
        try:
            url, *secure = _addresses(log, process, 2 if tls else 1)
            found = SECURE.fullmatch(secure[0]) if secure else None
            sandbox = Sandbox(url, process.pid, *(found.groups() if found else ()))
            try:
                yield sandbox
            finally:
                sandbox.close()
        finally:
            processes.stop(process)


def _addresses(log: Path, process: Any, count: int) -> list[str]:
    """Where it listens, the plain address first."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        lines = log.read_text(errors="replace").splitlines(keepends=True)
        found = [
            line.removeprefix(LISTENING).strip() for line in lines if line.startswith(LISTENING) and line[-1] == "\n"
        ]
        if len(found) == count:
            return sorted(found)
        if process.poll() is not None:
            break
        time.sleep(0.02)
    raise RuntimeError(f"the sandbox did not start: {log.read_text(errors='replace')!r}")

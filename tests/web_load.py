"""Clients that push over the API without a pause, and repeat nothing: what fails, fails."""

import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from pushes.models import ApiToken

#: So many make a new connection for each push, and so many keep one for as long as the server does.
NEW_CONNECTIONS, KEPT_CONNECTIONS = 3, 3
ANSWER_SECONDS = 20
PAUSE_SECONDS = 0.03


class Load:
    """`accepted` are the numbers of the pushes that were answered with 202, `failures` what became of the others."""

    def __init__(self, url: str) -> None:
        self.accepted: list[int] = []
        self.failures: list[str] = []
        self._place = urlsplit(url)
        token = ApiToken.issue("load", ["push"])[1]
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._over = threading.Event()

    def wait(self, number: int) -> None:
        """Until so many more were answered or have failed."""
        wanted, deadline = self._ended + number, time.monotonic() + 60
        while self._ended < wanted:
            assert time.monotonic() < deadline, "the clients get no answers"
            time.sleep(PAUSE_SECONDS)

    @property
    def _ended(self) -> int:
        return len(self.accepted) + len(self.failures)

    def stop(self) -> None:
        self._over.set()

    def push(self, keeps: bool, client: int) -> None:
        connection = self._connection()
        number = 0
        while not self._over.wait(PAUSE_SECONDS):
            if connection.sock is None:
                # A server that closes says so with its last answer: whoever keeps a connection makes a new one then.
                connection = self._connection()
            number += 1
            try:
                self._push_one(connection, f"{'kept' if keeps else 'new'}-{client}-{number}")
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(f"{'kept' if keeps else 'new'}: {error!r}")
                connection.close()
            if not keeps:
                connection.close()
        connection.close()

    def _push_one(self, connection: http.client.HTTPConnection, message_id: str) -> None:
        body = {"to_id": "7", "app": "higo", "message": "你好", "msg_id": message_id}
        connection.request("POST", "/api/v1/pushes", json.dumps(body).encode(), self._headers)
        answer = connection.getresponse()
        said = answer.read()
        if answer.status == 202:
            self.accepted.append(json.loads(said)["id"])
        else:
            self.failures.append(f"{answer.status}: {said[:200]!r}")

    def _connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(str(self._place.hostname), self._place.port, timeout=ANSWER_SECONDS)


@contextmanager
def loaded(url: str) -> Iterator[Load]:
    """While the body runs, clients push to the server at `url`."""
    load = Load(url)
    kinds = [False] * NEW_CONNECTIONS + [True] * KEPT_CONNECTIONS
    threads = [threading.Thread(target=load.push, args=(keeps, n)) for n, keeps in enumerate(kinds)]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        load.stop()
        for thread in threads:
            thread.join()

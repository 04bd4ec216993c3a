"""The vendors' own clients, or what their users have instead: each push to another token, nothing recorded.

Reads JSON from standard input: `kind`, `url`, `ca_file`, `entered` (the key), `token` (a format), `first` (a number),
`pushes`. Writes `rate` and `cpu_us` of a push; the start of the process and the first push, which opens the connection,
do not count. aioapns has as many calls under way as one of our sending threads, and firebase-admin's send_each as many;
the others make one call at a time, over a connection that stays open. firebase-admin is in `requirements-bench.txt`;
where it is missing, google-auth takes its place.
"""

import asyncio
import importlib.util
import itertools
import json
import os
import ssl
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, cast

import aioapns
import aioapns.connection
import jpush
from google.auth.transport.requests import AuthorizedSession, Request
from google.oauth2 import service_account
from jpush import common

from pushes.names import ProviderKind

#: SEND_CONCURRENCY divided by SEND_THREADS.
IN_FLIGHT = 500
EXPIRE_SECONDS = 86_400
SCOPES = ["https://www.googleapis.com/auth/firebase.messaging"]
TITLE = "新订单"
FIREBASE, GOOGLE_AUTH = "firebase-admin", "google-auth, requests"
CLIENTS = {
    ProviderKind.APNS: "aioapns",
    ProviderKind.FCM: FIREBASE if importlib.util.find_spec("firebase_admin") else GOOGLE_AUTH,
    ProviderKind.JPUSH: "jpush",
}
#: Clients that have many calls under way.
CONCURRENT = ("aioapns", FIREBASE)
#: What is pushed: a token, a text and the order's number.
Push = tuple[str, str, int]


def main() -> None:
    asked = json.load(sys.stdin)
    first, count = asked["first"], asked["pushes"]
    pushes = (
        (asked["token"].format(number), f"您有一个新订单 {number}，请及时处理", number)
        for number in range(first, first + count + 1)
    )
    if asked["kind"] == ProviderKind.APNS:
        seconds, cpu = asyncio.run(by_aioapns(asked, pushes))
    elif CLIENTS.get(asked["kind"]) == FIREBASE:
        seconds, cpu = by_firebase(asked, pushes)
    else:
        seconds, cpu = one_by_one({"fcm": google_auth, "jpush": jiguang}[asked["kind"]](asked), pushes)
    print(json.dumps({"rate": count / seconds, "cpu_us": cpu / count * 1e6}))


def one_by_one(send: Callable[[Push], None], pushes: Iterator[Push]) -> tuple[float, float]:
    """Seconds and CPU seconds."""
    send(next(pushes))
    begun, cpu = time.monotonic(), time.process_time()
    for push in pushes:
        send(push)
    return time.monotonic() - begun, time.process_time() - cpu


async def by_aioapns(asked: dict[str, Any], pushes: Iterator[Push]) -> tuple[float, float]:
    protocol: Any = aioapns.connection.APNsProductionClientProtocol
    protocol.APNS_SERVER, protocol.APNS_PORT = "localhost", int(asked["url"].rpartition(":")[2])
    context = ssl.create_default_context(cafile=asked["ca_file"])
    context.set_alpn_protocols(["h2"])
    key = asked["entered"]
    names = {"key": key["key_file"], "key_id": key["key_id"], "team_id": key["team_id"], "topic": key["topic"]}
    client = aioapns.APNs(**names, max_connections=1, ssl_context=context)

    async def send(push: Push) -> None:
        token, text, number = push
        message = {"aps": {"alert": {"title": TITLE, "body": text}, "sound": "default"}, "order_id": number}
        kind = aioapns.PushType.ALERT
        request = aioapns.NotificationRequest(token, message, time_to_live=EXPIRE_SECONDS, push_type=kind)
        answer = await client.send_notification(request)
        if not answer.is_successful:
            raise SystemExit(f"the sandbox refused aioapns' push: {answer.description}")

    await send(next(pushes))
    begun, cpu = time.monotonic(), time.process_time()
    await asyncio.gather(*(one_after_the_other(send, pushes) for _ in range(IN_FLIGHT)))
    spent = time.monotonic() - begun, time.process_time() - cpu
    client.pool.close()
    return spent


async def one_after_the_other(send: Callable[[Push], Awaitable[None]], pushes: Iterator[Push]) -> None:
    for push in pushes:
        await send(push)


def by_firebase(asked: dict[str, Any], pushes: Iterator[Push]) -> tuple[float, float]:
    """Seconds and CPU seconds of `send_each`, which sends up to 500 messages at once."""
    os.environ["REQUESTS_CA_BUNDLE"] = asked["ca_file"]
    firebase, messaging = map(importlib.import_module, ("firebase_admin", "firebase_admin.messaging"))
    messaging._MessagingService.FCM_URL = f"{asked['url']}/v1/projects/{{0}}/messages:send"
    account = json.loads(asked["entered"]["service_account"]) | {"token_uri": f"{asked['url']}/token"}
    firebase.initialize_app(firebase.credentials.Certificate(account))
    android = messaging.AndroidConfig(ttl=EXPIRE_SECONDS, priority="high")

    def send(some: Iterator[Push]) -> int:
        messages = [
            messaging.Message(
                token=token,
                notification=messaging.Notification(title=TITLE, body=text),
                data={"order_id": str(number)},
                android=android,
            )
            for token, text, number in some
        ]
        answer = messaging.send_each(messages) if messages else None
        if answer and answer.failure_count:
            refusal = next(one.exception for one in answer.responses if not one.success)
            raise SystemExit(f"the sandbox refused firebase-admin's push: {refusal}")
        return len(messages)

    send(itertools.islice(pushes, 1))
    begun, cpu = time.monotonic(), time.process_time()
    while send(itertools.islice(pushes, IN_FLIGHT)):
        pass
    return time.monotonic() - begun, time.process_time() - cpu


def google_auth(asked: dict[str, Any]) -> Callable[[Push], None]:
    account = json.loads(asked["entered"]["service_account"]) | {"token_uri": f"{asked['url']}/token"}
    credentials: Any = service_account.Credentials  # google-auth has no types
    credentials, request = credentials.from_service_account_info(account, scopes=SCOPES), Request()
    session = cast(Any, AuthorizedSession)(credentials, auth_request=request)
    for one in (request.session, session):
        one.trust_env, one.verify = False, asked["ca_file"]
    url = f"{asked['url']}/v1/projects/{account['project_id']}/messages:send"

    def send(push: Push) -> None:
        token, text, number = push
        android = {"ttl": f"{EXPIRE_SECONDS}s", "priority": "HIGH"}
        words = {"notification": {"title": TITLE, "body": text}, "data": {"order_id": str(number)}}
        session.post(
            url, json={"message": {"token": token, **words, "android": android}}, timeout=10
        ).raise_for_status()

    return send


def jiguang(asked: dict[str, Any]) -> Callable[[Push], None]:
    common.ZONES["DEFAULT"]["PUSH"] = f"{asked['url']}/v3/"
    client = jpush.JPush(asked["entered"]["app_key"], asked["entered"]["master_secret"])
    client.session.trust_env, client.session.verify = False, asked["ca_file"]

    def send(push: Push) -> None:
        """The client raises what the provider refuses."""
        token, text, number = push
        made = client.create_push()
        made.audience = jpush.audience(jpush.registration_id(token))
        made.notification = jpush.notification(android=jpush.android(text, title=TITLE, extras={"order_id": number}))
        made.platform, made.options = jpush.platform("android"), {"time_to_live": EXPIRE_SECONDS}
        made.send()

    return send


if __name__ == "__main__":
    main()

"""The loop of the replaced system, in Python 3: LPOP, phpserialize.loads, one `requests.post` a push.

It looks nothing up, stores nothing and retries nothing; it only signs and sends, with a new connection
for each push as the vendor's SDK made it. `python -m bench.original REDIS_URL ENDPOINT SECRET` drains the
list and exits after a quiet second.
"""

import hashlib
import json
import sys
import time
from typing import Any
from urllib.parse import urlsplit

import phpserialize
import redis
import requests

from bench.harness import ACCESS_ID

LIST = "original_message_queue"


def sign(url: str, params: dict[str, Any], secret: str) -> str:
    parts = urlsplit(url)
    source = f"POST{parts.hostname}{parts.path}" + "".join(f"{key}={params[key]}" for key in sorted(params)) + secret
    return hashlib.md5(source.encode()).hexdigest()


def parameters(url: str, secret: str, token: str, title: str, text: str) -> dict[str, Any]:
    message = {"title": title, "content": text, "builder_id": 0, "custom_content": {"type": "5"}}
    params: dict[str, Any] = {
        "access_id": ACCESS_ID,
        "timestamp": int(time.time()),
        "device_token": token,
        "message_type": 1,
        "message": json.dumps(message, ensure_ascii=False),
        "expire_time": 86_400,
        "environment": 0,
        "multi_pkg": 0,
    }
    return params | {"sign": sign(url, params, secret)}


def send(url: str, secret: str, order: dict[bytes, Any]) -> None:
    """One push, as the original made it."""
    text = order[b"message"].decode()
    params = parameters(url, secret, order[b"token"].decode(), order[b"title"].decode(), text)
    answer = requests.post(url, data=params, timeout=10).json()
    if answer["ret_code"] != 0:
        raise RuntimeError(f"the sandbox refused the original's push: {answer}")


def main() -> None:
    redis_url, endpoint, secret = sys.argv[1:]
    url = f"{endpoint}/v2/push/single_device"
    client = redis.Redis.from_url(redis_url)
    client.blpop(["original_start"])
    while raw := client.lpop(LIST):
        send(url, secret, phpserialize.loads(raw))


if __name__ == "__main__":
    main()

"""What the faces of APNs, FCM, JPush and Huawei have in common: JSON, access tokens, and refusals that are a whole
answer."""

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import orjson

from pushes.names import Platform
from pushes.sandbox import jwt
from pushes.sandbox.bearers import Bearer
from pushes.sandbox.face import Call, Face, RefusedError
from pushes.sandbox.faults import Fault, TokenFault
from pushes.sandbox.jwt import Jwt
from pushes.sandbox.keys import AccessId, Key
from pushes.sandbox.store import describe
from pushes.sandbox.wire import Ending, Reply, Request


class VendorRefusedError(RefusedError):
    """A call that is refused; `code` is the vendor's word for it."""

    def __init__(self, code: str, reply: Reply) -> None:
        super().__init__(code)
        self.code = code
        self.reply = reply


class Shown(NamedTuple):
    """What a phone shows of a push, and what its app gets."""

    platform: Platform
    title: str
    content: str
    custom: dict[str, Any]
    n_id: int = 0
    link: str = ""
    image: str = ""


class VendorFace(Face[Call, VendorRefusedError]):
    @abstractmethod
    def reply(self, call: Call, fault: Fault) -> Reply:
        """Check and act. Raises VendorRefusedError, and StaleKeyError as `answer` does."""

    def answer(self, call: Call, fault: Fault) -> Reply:
        try:
            reply = self.reply(call, fault)
        except VendorRefusedError as refused:
            return self.refuse(call, refused)
        self._world.answers["0"] += 1
        return reply

    def refuse(self, _call: Call, refused: VendorRefusedError) -> Reply:
        self._world.answers[refused.code] += 1
        return refused.reply

    def _show(self, access_id: AccessId, tokens: list[str], shown: Shown, push_id: str, path: str) -> None:
        self._world.deliver(access_id, tokens, describe(*shown[:-2], push_id, path, shown.link, shown.image))

    def _signed(
        self, text: str, token: Jwt, algorithm: str, candidates: Iterable[tuple[Key, str]], expires_at: float
    ) -> Bearer | None:
        """What is known of a token that its bearer signed with one of these keys; None when none of them did.
        `candidates` are keys with their private key files."""
        keys = list(candidates)
        known = self._world.bearers.find(text)
        if known is not None and any(known.secret == key.secret for key, _ in keys):
            return known
        issued_at = token.number("iat") or 0
        for key, pem in keys:
            if jwt.is_signed(token, algorithm, pem):
                return self._world.bearers.know(text, Bearer(key.access_id, key.secret, issued_at, expires_at))
        return None


def bearer_of(request: Request) -> str:
    """The access token of a call; "" without one."""
    scheme, _, text = request.headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    return text.strip() if scheme.lower() == "bearer" else ""


def json_object(data: bytes) -> dict[str, Any] | None:
    try:
        found = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


def ending_of(fault: TokenFault | None) -> Reply | None:
    """The answer that a token's name keeps from being sent; None for all others. Of HANGS nothing was recorded."""
    if fault is TokenFault.HANGS:
        return Reply(b"", ending=Ending.NEVER)
    return Reply(b"", ending=Ending.CUT) if fault is TokenFault.CUT_AFTER else None


def texts(values: object, most: int) -> Sequence[str] | None:
    """A list of 1 to `most` texts; None for anything else."""
    if not isinstance(values, list) or not 0 < len(values) <= most:
        return None
    return values if all(isinstance(value, str) and value for value in values) else None


def text_of(values: dict[str, Any], name: str) -> str:
    """A text among others; "" when it is missing or of another type."""
    value = values.get(name)
    return value if isinstance(value, str) else ""


def object_of(values: dict[str, Any], name: str) -> dict[str, Any]:
    """An object among others; empty when it is missing or of another type."""
    value = values.get(name)
    return value if isinstance(value, dict) else {}


def number_of(value: object) -> int:
    """A number that replaces a notification, as number or text; 0 for anything else."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19:
        return int(value)
    return value if type(value) is int and abs(value) < 2**63 else 0

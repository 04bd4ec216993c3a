"""Xinge v2's push endpoints: the message's receivers, and the answer to the caller."""

import time
from typing import Any

import orjson

from pushes.sandbox import xinge_checks
from pushes.sandbox.faults import PREFIX_LENGTH, TOKEN_PREFIXES, TokenFault
from pushes.sandbox.keys import AccessId
from pushes.sandbox.phones import PushTask
from pushes.sandbox.store import ALL_DEVICES
from pushes.sandbox.wire import Ending, Reply
from pushes.sandbox.world import LEGACY, World
from pushes.sandbox.xinge_checks import Asked
from pushes.sandbox.xinge_refusals import Refusal, XingeRefusedError

MAX_ACCOUNTS = 100
MAX_LIST = 1000
MAX_TAGS = 50
DEFAULT_EXPIRE_SECONDS = 259_200
BROADCAST_PAUSE_SECONDS = 3.0
BROADCASTS_AN_HOUR = 30
OK = Reply(b'{"ret_code":0,"err_msg":"ok","result":""}')
SINGLE_DEVICE, LIST_PATH = "/v2/push/single_device", "/v2/push/device_list_multiple"
_TOKEN_REFUSALS = {
    TokenFault.UNREGISTERED: Refusal.UNREGISTERED,
    TokenFault.ILLEGAL: Refusal.ILLEGAL_TOKEN,
    TokenFault.BUSY: Refusal.BUSY,
    TokenFault.THROTTLED: Refusal.THROTTLED,
}
_UNKNOWN_TOKENS = (TokenFault.UNREGISTERED, TokenFault.ILLEGAL)


def result(content: object) -> Reply:
    return Reply(orjson.dumps({"ret_code": 0, "err_msg": "ok", "result": content}))


class XingePush:
    def __init__(self, world: World) -> None:
        self._world = world

    def single_device(self, asked: Asked) -> Reply:
        message = xinge_checks.message_of(asked)
        token = asked.needed("device_token")
        if not xinge_checks.is_token(token, asked.platform):
            raise XingeRefusedError(Refusal.ILLEGAL_TOKEN)
        fault = TOKEN_PREFIXES.get(token[:PREFIX_LENGTH].lower())
        if fault in _TOKEN_REFUSALS:
            raise XingeRefusedError(_TOKEN_REFUSALS[fault])
        if fault is TokenFault.HANGS:
            return Reply(b"", ending=Ending.NEVER)
        self._world.deliver(asked.access_id, [token], message.described(asked.platform, "", asked.path))
        return Reply(b"", ending=Ending.CUT) if fault is TokenFault.CUT_AFTER else OK

    def single_account(self, asked: Asked) -> Reply:
        message = xinge_checks.message_of(asked)
        tokens = self._world.phones.tokens_of(asked.access_id, asked.needed("account"))
        if not tokens:
            raise XingeRefusedError(Refusal.NO_ACCOUNT)
        self._world.deliver(asked.access_id, tokens, message.described(asked.platform, "", asked.path))
        return OK

    def account_list(self, asked: Asked) -> Reply:
        rest = xinge_checks.message_of(asked).described(asked.platform, "", asked.path)
        return result(self._to_accounts(asked.access_id, asked.strings("account_list", MAX_ACCOUNTS), rest))

    def all_device(self, asked: Asked) -> Reply:
        """Push to every device of the app: one entry with the token "*"."""
        message = xinge_checks.message_of(asked)
        times = xinge_checks.loop_times(asked)
        self._throttle_broadcast(asked)
        task = self._numbered(asked, message, asked.path)
        self._to_tokens(task, [ALL_DEVICES])
        return self._pushed(task, times)

    def tags_device(self, asked: Asked) -> Reply:
        message = xinge_checks.message_of(asked)
        times = xinge_checks.loop_times(asked)
        tags = asked.strings("tags_list", MAX_TAGS)
        operation = asked.params.get("tags_op")
        if operation not in ("AND", "OR"):
            raise XingeRefusedError(Refusal.VALUE, f"tags_op={operation!r}")
        task = self._numbered(asked, message, asked.path)
        self._to_tokens(task, self._world.phones.tagged(asked.access_id, tags, needs_all=operation == "AND"))
        return self._pushed(task, times)

    def create_multipush(self, asked: Asked) -> Reply:
        task = self._numbered(asked, xinge_checks.message_of(asked), LIST_PATH)
        task.is_for_lists = True
        return result({"push_id": task.push_id})

    def device_list_multiple(self, asked: Asked) -> Reply:
        """Push to a list; unregistered tokens are silently dropped, as in the real service."""
        task = self._list_task(asked)
        tokens = asked.strings("device_list", MAX_LIST)
        if not all(xinge_checks.is_token(token, asked.platform) for token in tokens):
            raise XingeRefusedError(Refusal.ILLEGAL_TOKEN)
        faults = TOKEN_PREFIXES.get
        self._to_tokens(task, [t for t in tokens if faults(t[:PREFIX_LENGTH].lower()) not in _UNKNOWN_TOKENS])
        return OK

    def account_list_multiple(self, asked: Asked) -> Reply:
        task = self._list_task(asked)
        self._to_accounts(asked.access_id, asked.strings("account_list", MAX_LIST), task.rest)
        return OK

    # -------------------------------------------------------------------------------------------
    def _to_accounts(self, access_id: AccessId, accounts: list[str], rest: bytes) -> list[int]:
        """Push to accounts; the answer has a code for each account, in their order."""
        codes = []
        for account in accounts:
            tokens = self._world.phones.tokens_of(access_id, account)
            self._world.deliver(access_id, tokens, rest)
            codes.append(0 if tokens else XingeRefusedError(Refusal.NO_ACCOUNT).code(self._world.codes))
        return codes

    def _to_tokens(self, task: PushTask, tokens: list[str]) -> None:
        self._world.deliver(task.access_id, tokens, task.rest)
        task.delivered += len(tokens)

    def _list_task(self, asked: Asked) -> PushTask:
        task = self._world.phones.task(asked.access_id, asked.needed("push_id"))
        if task is None or not task.is_for_lists or task.ends_at < time.time():
            raise XingeRefusedError(Refusal.VALUE, f"push_id={asked.params['push_id']!r}")
        return task

    def _numbered(self, asked: Asked, message: xinge_checks.Message, path: str) -> PushTask:
        push_id = self._world.phones.new_push_id()
        seconds = int(asked.params.get("expire_time") or 0) or DEFAULT_EXPIRE_SECONDS
        rest = message.described(asked.platform, push_id, path)
        task = PushTask(push_id, asked.access_id, rest, is_for_lists=False, ends_at=time.time() + seconds)
        if xinge_checks.is_later(asked.params.get("send_time", "")):
            task.status = 0
        self._world.phones.keep_task(task)
        return task

    def _pushed(self, task: PushTask, times: int) -> Reply:
        content: dict[str, Any] = {"push_id": task.push_id}
        if times:
            content["sub_push_ids"] = [self._world.phones.new_push_id() for _ in range(times)]
        return result(content)

    def _throttle_broadcast(self, asked: Asked) -> None:
        """Limit broadcasts: one in 3 s until mid 2017; after that 30 an hour, and the same content once."""
        now, message = time.time(), asked.params["message"]
        recent = [(at, said) for at, said in self._world.broadcasts[asked.access_id] if now - at < 3600]
        if self._world.codes == LEGACY:
            is_too_much = any(now - at < BROADCAST_PAUSE_SECONDS for at, _ in recent)
        else:
            is_too_much = len(recent) >= BROADCASTS_AN_HOUR or any(said == message for _, said in recent)
        if is_too_much:
            raise XingeRefusedError(Refusal.THROTTLED)
        self._world.broadcasts[asked.access_id] = [*recent, (now, message)]

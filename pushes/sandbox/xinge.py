"""Xinge REST v2, the provider's side: from a request to an endpoint, in the order of checks of the real service."""

from collections.abc import Callable
from dataclasses import dataclass

import orjson

from pushes.sandbox import forms
from pushes.sandbox import xinge_checks as checks
from pushes.sandbox.faults import Fault
from pushes.sandbox.keys import Key
from pushes.sandbox.refusals import Refusal, RefusedError, StaleKeyError
from pushes.sandbox.wire import Reply, Request
from pushes.sandbox.world import World
from pushes.sandbox.xinge_checks import Asked, Params
from pushes.sandbox.xinge_data import XingeData
from pushes.sandbox.xinge_push import LIST_PATH, OK, SINGLE_DEVICE, XingePush

PREFIX = "/v2/"
FORM = b"application/x-www-form-urlencoded"


@dataclass(slots=True)
class Call:
    """One call; `params` is None when the form cannot be read."""

    request: Request
    params: Params | None
    access_id: int | None


def open_call(request: Request) -> Call:
    try:
        params = forms.parse(request.query if request.method == "GET" else request.body)
    except UnicodeDecodeError:
        return Call(request, None, None)
    text = params.get("access_id", "")
    return Call(request, params, int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None)


class Xinge:
    def __init__(self, world: World) -> None:
        self._world = world
        push, data = XingePush(world), XingeData(world)
        self._endpoints: dict[str, Callable[[Asked], Reply]] = {
            SINGLE_DEVICE: push.single_device,
            "/v2/push/single_account": push.single_account,
            "/v2/push/account_list": push.account_list,
            "/v2/push/all_device": push.all_device,
            "/v2/push/tags_device": push.tags_device,
            "/v2/push/create_multipush": push.create_multipush,
            LIST_PATH: push.device_list_multiple,
            "/v2/push/account_list_multiple": push.account_list_multiple,
            "/v2/push/get_msg_status": data.get_msg_status,
            "/v2/push/cancel_timing_task": data.cancel_timing_task,
            "/v2/push/delete_offline_msg": data.delete_offline_msg,
            "/v2/application/get_app_device_num": data.get_app_device_num,
            "/v2/application/get_app_token_info": data.get_app_token_info,
            "/v2/application/get_app_account_tokens": data.get_app_account_tokens,
            "/v2/application/del_app_account_tokens": data.del_app_account_tokens,
            "/v2/application/del_app_account_all_tokens": data.del_app_account_all_tokens,
            "/v2/tags/batch_set": data.batch_set,
            "/v2/tags/batch_del": data.batch_del,
            "/v2/tags/query_app_tags": data.query_app_tags,
            "/v2/tags/query_token_tags": data.query_token_tags,
            "/v2/tags/query_tag_token_num": data.query_tag_token_num,
        }

    def answer(self, call: Call, fault: Fault) -> Reply:
        """Check and act. Raises StaleKeyError when the keys should be read again first."""
        endpoint = self._endpoints.get(call.request.path)
        if endpoint is None:
            return Reply(b"", 404)
        try:
            asked = self._checked(call, fault)
            reply = self._unknown_tokens(asked) if fault is Fault.BAD_TOKEN else None
            reply = reply or endpoint(asked)
        except RefusedError as refused:
            return self.refuse(refused)
        self._world.answers["0"] += 1
        return reply

    def refuse(self, refused: RefusedError) -> Reply:
        code = refused.code(self._world.codes)
        self._world.answers[str(code)] += 1
        return Reply(orjson.dumps({"ret_code": code, "err_msg": refused.text}))

    def _checked(self, call: Call, fault: Fault) -> Asked:
        params = self._readable(call)
        key = self._known_caller(call, params)
        if fault is Fault.BAD_AUTH:
            raise RefusedError(Refusal.SIGN)
        if fault is Fault.THROTTLE:
            raise RefusedError(Refusal.THROTTLED)
        return Asked(key, params, call.request.path)

    def _unknown_tokens(self, asked: Asked) -> Reply | None:
        """A push to a token is refused, a list dropped without a word; None for all other calls."""
        if asked.path == SINGLE_DEVICE:
            raise RefusedError(Refusal.UNREGISTERED)
        return OK if asked.path == LIST_PATH else None

    def _readable(self, call: Call) -> Params:
        request, params = call.request, call.params
        if request.method not in ("GET", "POST"):
            raise RefusedError(Refusal.PARAM, request.method)
        if request.method == "POST" and not request.headers.get(b"content-type", b"").lower().startswith(FORM):
            raise RefusedError(Refusal.PARAM, f"Content-Type must be {FORM.decode()}")
        if not params or not params.get("timestamp") or not params.get("sign") or b"host" not in request.headers:
            raise RefusedError(Refusal.MISSING)
        return params

    def _known_caller(self, call: Call, params: Params) -> Key:
        """Access id, clock, signature."""
        if call.access_id is None:
            raise RefusedError(Refusal.MISSING, "access_id")
        key = self._world.keys.get(call.access_id)
        if key is None:
            raise self._stale_or(None, RefusedError(Refusal.UNKNOWN_ID))
        checks.check_clock(params)
        if not checks.is_signed(call.request, params, key.secret):
            raise self._stale_or(key, RefusedError(Refusal.SIGN))
        return key

    def _stale_or(self, key: Key | None, refused: RefusedError) -> Exception:
        return StaleKeyError(refused) if self._world.keys.may_be_stale(key) else refused

"""Xinge REST v2, the provider's side: from a request to an endpoint, with the checks in the real service's order."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import orjson

from pushes.names import Platform
from pushes.providers.sandbox import SandboxProvider
from pushes.sandbox import forms, xinge_checks
from pushes.sandbox.face import Call, Face
from pushes.sandbox.faults import Fault
from pushes.sandbox.keys import Key
from pushes.sandbox.wire import Reply, Request
from pushes.sandbox.world import World
from pushes.sandbox.xinge_checks import Asked, Params
from pushes.sandbox.xinge_data import XingeData
from pushes.sandbox.xinge_push import LIST_PATH, OK, SINGLE_DEVICE, XingePush
from pushes.sandbox.xinge_refusals import Refusal, XingeRefusedError

FORM = b"application/x-www-form-urlencoded"


@dataclass(slots=True)
class XingeCall(Call):
    """One call; `params` is None if the form cannot be read."""

    params: Params | None


class XingeFace(Face[XingeCall, XingeRefusedError]):
    paths = re.compile("/v2/")

    def __init__(self, world: World) -> None:
        super().__init__(world)
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

    def open_call(self, request: Request) -> XingeCall:
        try:
            params = forms.parse(request.query if request.method == "GET" else request.body)
        except UnicodeDecodeError:
            return XingeCall(request, None, None)
        text = params.get("access_id", "")
        access_id = int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None
        return XingeCall(request, access_id, params)

    def answer(self, call: XingeCall, fault: Fault) -> Reply:
        endpoint = self._endpoints.get(call.request.path)
        if endpoint is None:
            return Reply(b"", 404)
        try:
            asked = self._checked(call, fault)
            reply = self._unknown_tokens(asked) if fault is Fault.BAD_TOKEN else None
            reply = reply or endpoint(asked)
        except XingeRefusedError as refused:
            return self.refuse(call, refused)
        self._world.answers["0"] += 1
        return reply

    def refuse(self, _call: XingeCall, refused: XingeRefusedError) -> Reply:
        code = refused.code(self._world.codes)
        self._world.answers[str(code)] += 1
        return Reply(orjson.dumps({"ret_code": code, "err_msg": refused.text}))

    def _checked(self, call: XingeCall, fault: Fault) -> Asked:
        params = self._readable(call)
        key = self._known_caller(call, params)
        if fault is Fault.BAD_AUTH:
            raise XingeRefusedError(Refusal.SIGN)
        if fault is Fault.THROTTLE:
            raise XingeRefusedError(Refusal.THROTTLED)
        # The sandbox's own kind takes the keys of all vendors.
        platform = SandboxProvider.platform_of(str(key.access_id)) or Platform.ANDROID
        return Asked(key.access_id, platform, params, call.request.path)

    def _unknown_tokens(self, asked: Asked) -> Reply | None:
        """Answer as for unknown tokens: refuse a push to a token, silently drop a list. None for all other calls."""
        if asked.path == SINGLE_DEVICE:
            raise XingeRefusedError(Refusal.UNREGISTERED)
        return OK if asked.path == LIST_PATH else None

    def _readable(self, call: XingeCall) -> Params:
        request, params = call.request, call.params
        if request.method not in ("GET", "POST"):
            raise XingeRefusedError(Refusal.PARAM, request.method)
        if request.method == "POST" and not request.headers.get(b"content-type", b"").lower().startswith(FORM):
            raise XingeRefusedError(Refusal.PARAM, f"Content-Type must be {FORM.decode()}")
        if not params or not params.get("timestamp") or not params.get("sign") or b"host" not in request.headers:
            raise XingeRefusedError(Refusal.MISSING)
        return params

    def _known_caller(self, call: XingeCall, params: Params) -> Key:
        """Check the access id, the clock and the signature."""
        if call.access_id is None:
            raise XingeRefusedError(Refusal.MISSING, "access_id")
        key = self._world.keys.get(call.access_id)
        if key is None:
            raise self._stale_or(None, XingeRefusedError(Refusal.UNKNOWN_ID))
        xinge_checks.check_clock(params)
        if not xinge_checks.is_signed(call.request, params, key.secret):
            raise self._stale_or(key, XingeRefusedError(Refusal.SIGN))
        return key

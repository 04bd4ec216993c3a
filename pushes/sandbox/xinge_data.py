"""Xinge v2's endpoints without a push: numbered pushes, accounts, tags, devices."""

import time
from typing import Any

from pushes.sandbox import xinge_checks
from pushes.sandbox.phones import PushTask
from pushes.sandbox.wire import Reply
from pushes.sandbox.world import World
from pushes.sandbox.xinge_checks import Asked
from pushes.sandbox.xinge_push import OK, result
from pushes.sandbox.xinge_refusals import Refusal, XingeRefusedError

MAX_PAIRS = 20
MAX_TAG_BYTES = 50
MAX_TAGS_LISTED = 200
MAX_PUSH_IDS = 100
STOPPED, CANCELLED = 11, 12


class XingeData:
    def __init__(self, world: World) -> None:
        self._world = world

    # --- numbered pushes -----------------------------------------------------------------------
    def get_msg_status(self, asked: Asked) -> Reply:
        """Answer for `push_ids`, as the SDKs send them, or for a single `push_id`."""
        if "push_ids" in asked.params:
            items = asked.array("push_ids", MAX_PUSH_IDS)
            push_ids = [str(item.get("push_id")) for item in items if isinstance(item, dict)]
        else:
            push_ids = [asked.needed("push_id")]
        tasks = (self._world.phones.task(asked.access_id, push_id) for push_id in push_ids)
        return result({"list": [_status(task) for task in tasks if task is not None]})

    def cancel_timing_task(self, asked: Asked) -> Reply:
        task = self._task(asked)
        if task.status != 0:
            return result({"status": 1})
        task.status = CANCELLED
        return result({"status": 0})

    def delete_offline_msg(self, asked: Asked) -> Reply:
        self._task(asked).status = STOPPED
        return OK

    def _task(self, asked: Asked) -> PushTask:
        task = self._world.phones.task(asked.access_id, asked.needed("push_id"))
        if task is None:
            raise XingeRefusedError(Refusal.VALUE, f"push_id={asked.params['push_id']!r}")
        return task

    # --- application ---------------------------------------------------------------------------
    def get_app_device_num(self, asked: Asked) -> Reply:
        return result({"device_num": self._world.phones.device_count(asked.access_id)})

    def get_app_token_info(self, asked: Asked) -> Reply:
        is_known = self._world.phones.has_seen(asked.access_id, asked.needed("device_token"))
        return result({"isReg": int(is_known), "connTimestamp": int(time.time()) if is_known else 0, "msgsNum": 0})

    def get_app_account_tokens(self, asked: Asked) -> Reply:
        tokens = self._world.phones.tokens_of(asked.access_id, asked.needed("account"))
        if not tokens:
            raise XingeRefusedError(Refusal.NO_ACCOUNT)
        return result({"tokens": tokens})

    def del_app_account_tokens(self, asked: Asked) -> Reply:
        account, token = asked.needed("account"), asked.needed("device_token")
        return result({"tokens": self._world.phones.unbind(asked.access_id, account, token)})

    def del_app_account_all_tokens(self, asked: Asked) -> Reply:
        self._world.phones.unbind(asked.access_id, asked.needed("account"))
        return OK

    # --- tags ----------------------------------------------------------------------------------
    def batch_set(self, asked: Asked) -> Reply:
        for tag, token in _pairs(asked):
            self._world.phones.tag(asked.access_id, tag, token)
        return OK

    def batch_del(self, asked: Asked) -> Reply:
        for tag, token in _pairs(asked):
            self._world.phones.untag(asked.access_id, tag, token)
        return OK

    def query_app_tags(self, asked: Asked) -> Reply:
        tags = self._world.phones.tags(asked.access_id)
        start = asked.whole("start", least=0, default=0)
        limit = asked.whole("limit", least=1, most=MAX_TAGS_LISTED, default=100)
        return result({"total": len(tags), "tags": tags[start : start + limit]})

    def query_token_tags(self, asked: Asked) -> Reply:
        return result({"tags": self._world.phones.tags_of(asked.access_id, asked.needed("device_token"))})

    def query_tag_token_num(self, asked: Asked) -> Reply:
        tokens = self._world.phones.tagged(asked.access_id, [asked.needed("tag")], needs_all=True)
        return result({"device_num": len(tokens)})


def _pairs(asked: Asked) -> list[tuple[str, str]]:
    pairs = []
    for item in asked.array("tag_token_list", MAX_PAIRS):
        if not isinstance(item, list) or len(item) != 2 or not all(isinstance(part, str) for part in item):
            raise XingeRefusedError(Refusal.PARAM, "tag_token_list must hold pairs of a tag and a token")
        tag, token = item
        if not tag or " " in tag or len(tag.encode()) > MAX_TAG_BYTES:
            raise XingeRefusedError(Refusal.PARAM, f"tag {tag!r}")
        if not xinge_checks.is_token(token, asked.platform):
            raise XingeRefusedError(Refusal.ILLEGAL_TOKEN)
        pairs.append((tag, token))
    return pairs


def _status(task: PushTask) -> dict[str, Any]:
    return {
        "push_id": task.push_id,
        "status": task.status,
        "start_time": xinge_checks.beijing_time(task.created_at),
        "finished": task.delivered,
        "total": task.delivered,
    }

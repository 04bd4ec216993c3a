"""Why Xinge v2 refuses a call, with the code of each era of the service."""

from enum import Enum

from pushes.sandbox.face import RefusedError
from pushes.sandbox.world import LEGACY


class Refusal(Enum):
    """The code until mid 2017, the code after that, and the message."""

    MISSING = (-1, -111, "common param error!")
    PARAM = (-1, -101, "param error")
    VALUE = (-1, -112, "illegal param value")
    UNKNOWN_ID = (20, 20, "access id not found")
    CLOCK = (-2, -102, "参数timestamp异常,请检查后重试")
    SIGN = (-3, -103, "sign error")
    NOT_JSON = (75, 75, "message is not valid json")
    TOO_LONG = (73, 73, "message too long")
    LOOP = (78, 78, "loop param error")
    ILLEGAL_TOKEN = (14, 6, "invalid token")
    UNREGISTERED = (40, 6, "token not found,check registration")
    NO_ACCOUNT = (48, 48, "无效帐号，请检查后重试")
    BUSY = (15, 16, "system busy")
    THROTTLED = (76, -105, "too frequent")


class XingeRefusedError(RefusedError):
    """A call whose `ret_code` is not 0."""

    def __init__(self, refusal: Refusal, detail: str = "") -> None:
        super().__init__(detail)
        self.refusal = refusal
        self.detail = detail

    def code(self, codes: str) -> int:
        legacy, gateway, _ = self.refusal.value
        return legacy if codes == LEGACY else gateway

    @property
    def text(self) -> str:
        message = self.refusal.value[2]
        return f"{message}: {self.detail}" if self.detail else message

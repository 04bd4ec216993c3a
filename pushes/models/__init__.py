"""The rows that are the truth. No sending, no decisions: those live in the stages."""

from pushes.models.broadcasts import Broadcast
from pushes.models.counters import BroadcastTally, LatencyBucket, Lease, MinuteCount, RefusedJob
from pushes.models.dead_letters import DeadLetter
from pushes.models.keys import AppKey, SuspectToken
from pushes.models.ledger import DeliveryResult, MultiPush, PushRecord, live
from pushes.models.log import Export, ExportPiece, LogBlock, Resend
from pushes.models.operators import BackupCode, FailedLogin, OperatorPreferences, SecondFactor, WrongCode
from pushes.models.people import Account, Device, DeviceEvent, DeviceTag, mask_token
from pushes.models.rules import PushTypePolicy, policies
from pushes.models.tokens import ApiToken

__all__ = [
    "Account",
    "ApiToken",
    "AppKey",
    "BackupCode",
    "Broadcast",
    "BroadcastTally",
    "DeadLetter",
    "DeliveryResult",
    "Device",
    "DeviceEvent",
    "DeviceTag",
    "Export",
    "ExportPiece",
    "FailedLogin",
    "LatencyBucket",
    "Lease",
    "LogBlock",
    "MinuteCount",
    "MultiPush",
    "OperatorPreferences",
    "PushRecord",
    "PushTypePolicy",
    "RefusedJob",
    "Resend",
    "SecondFactor",
    "SuspectToken",
    "WrongCode",
    "live",
    "mask_token",
    "policies",
]

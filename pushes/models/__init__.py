"""The rows that are the truth. No sending, no decisions: those live in the stages."""

from pushes.models.broadcasts import Broadcast
from pushes.models.counters import BroadcastTally, Counter, LatencyBucket, Lease, RefusedJob
from pushes.models.desk import ApiToken, DeadLetter
from pushes.models.keys import AppKey, SuspectToken
from pushes.models.ledger import DeliveryResult, MultiPush, PushRecord, live
from pushes.models.log import Export, ExportPiece, LogBlock, Resend
from pushes.models.operators import FailedLogin, OperatorPreferences
from pushes.models.people import Account, Device, DeviceEvent, DeviceTag, mask_token
from pushes.models.rules import PushTypePolicy, policies

__all__ = [
    "Account",
    "ApiToken",
    "AppKey",
    "Broadcast",
    "BroadcastTally",
    "Counter",
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
    "MultiPush",
    "OperatorPreferences",
    "PushRecord",
    "PushTypePolicy",
    "RefusedJob",
    "Resend",
    "SuspectToken",
    "live",
    "mask_token",
    "policies",
]

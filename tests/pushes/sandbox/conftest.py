import pytest

from tests.pushes.sandbox.client import LegacyClient
from tests.sandbox_process import Sandbox

SECRET = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
ANDROID_ID = 2100000201
IOS_ID = 2200000201


@pytest.fixture
def android(sandbox: Sandbox) -> LegacyClient:
    sandbox.add_key(ANDROID_ID, SECRET)
    return LegacyClient(sandbox.url, ANDROID_ID, SECRET)


@pytest.fixture
def ios(sandbox: Sandbox) -> LegacyClient:
    sandbox.add_key(IOS_ID, SECRET)
    return LegacyClient(sandbox.url, IOS_ID, SECRET)

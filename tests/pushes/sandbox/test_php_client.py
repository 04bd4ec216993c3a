import json
import subprocess
from pathlib import Path

import pytest

from tests.needs import needs
from tests.pushes.sandbox.conftest import ANDROID_ID, SECRET

TOKEN = "0123456789abcdef" + "a" * 24


@pytest.mark.php
def test_a_client_in_php_is_understood(android, sandbox):
    needs("php")
    command = ["php", str(Path(__file__).parent / "client.php"), sandbox.url, str(ANDROID_ID), SECRET, TOKEN]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    answers = json.loads(run.stdout)
    assert {name: answer["ret_code"] for name, answer in answers.items()} == {
        "single": 0,
        "create": 0,
        "list": 0,
        "count": 0,
        "expired": -2,
    }
    assert answers["count"]["result"] == {"device_num": 2}
    entries = sandbox.received()
    assert [entry["token"] for entry in entries] == [TOKEN, TOKEN, TOKEN[::-1]]
    assert (entries[0]["title"], entries[0]["content"]) == ("新订单", '内容 & =1 "引号" 😀')

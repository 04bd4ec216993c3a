"""The client of the Node world for APNs, run by Node itself."""

import json
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pushes.names import ProviderKind
from tests import needs
from tests.pushes.sandbox.vendors import entered
from tests.sandbox_process import Sandbox

SCRIPT = """
const apn = require("@parse/node-apn");
const fs = require("fs");
const asked = JSON.parse(fs.readFileSync(0));
const provider = new apn.Provider({
  token: { key: asked.key, keyId: asked.keyId, teamId: asked.teamId },
  address: asked.host, port: asked.port, ca: fs.readFileSync(asked.ca), production: true,
});
const note = new apn.Notification({ topic: asked.topic, pushType: "alert", alert: { title: "题", body: "内容" } });
provider.send(note, asked.tokens).then((answers) => {
  process.stdout.write(JSON.stringify(answers));
  return provider.shutdown();
});
"""


def push_by_node(sandbox: Sandbox, folder: Path, tokens: list[str]) -> Any:
    """Push one notification to each token, and return what the client says of it."""
    needs.needs("node-apn")
    who, place = entered(ProviderKind.APNS), urlsplit(sandbox.tls_url)
    asked = {
        "key": who["key_file"],
        "keyId": who["key_id"],
        "teamId": who["team_id"],
        "topic": who["topic"],
        "host": "localhost",
        "port": place.port,
        "ca": sandbox.ca_file,
        "tokens": tokens,
    }
    script = folder / "push.js"
    script.write_text(SCRIPT)
    ended = subprocess.run(
        ["node", script], input=json.dumps(asked), capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)

"""Ask the sidecar from another process, in any language that speaks HTTP: a whole text, a stream, a moderation.

pip install "guardrail-sdk[server]"
python examples/sidecar_client.py
"""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request

REPLY = "The meeting is at nine. Women are too emotional to lead a team. Please bring the figures for March."


def post(url: str, body: dict[str, object]) -> str:
    """Send JSON and return what comes back."""
    asked = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(asked) as answer:
        said: str = answer.read().decode()
    return said


def main() -> None:
    """Start a sidecar on a free port, ask it three times and stop it."""
    command = [sys.executable, "-m", "guardrail.cli", "serve", "--port", "0", "--log-level", "warning"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as sidecar:
        assert sidecar.stderr is not None
        url = sidecar.stderr.readline().split()[-1]  # guardrail: listening on http://127.0.0.1:40123
        checked = json.loads(post(f"{url}/v1/check", {"text": REPLY}))
        print(f"check:  {checked['action']}: {checked['text']}")
        for event in post(f"{url}/v1/stream", {"chunks": [f"{word} " for word in REPLY.split()]}).split("\n\n"):
            kind, _, data = event.partition("\n")
            if kind == "event: text":
                print(f"stream: {json.loads(data.removeprefix('data: '))['text']}")
        [moderated] = json.loads(post(f"{url}/v1/moderations", {"input": REPLY}))["results"]
        print(f"moderation: {', '.join(name for name, found in moderated['categories'].items() if found)}")
        sidecar.terminate()


if __name__ == "__main__":
    main()

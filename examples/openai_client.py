"""Guard the OpenAI client: a stream and a whole reply, from a small server in this file, so it runs offline.

pip install "guardrail-sdk[openai]"
python examples/openai_client.py
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from openai import OpenAI

from guardrail import Guard
from guardrail.adapters.openai import guarded

REPLY = "The meeting is at nine. Women are too emotional to lead a team. Please bring the figures for March."
BASE = {"id": "c1", "created": 1, "model": "scripted"}


class Model(BaseHTTPRequestHandler):
    """Answer every question with the same words, like an unguarded language model behind OpenAI's API."""

    def do_POST(self) -> None:
        """Send the reply whole, or word by word."""
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.send_response(200)
        if asked.get("stream"):
            self.send_header("content-type", "text/event-stream")
            self.end_headers()
            for word in REPLY.split(" "):
                self.send({"index": 0, "delta": {"content": f"{word} "}, "finish_reason": None})
            self.send({"index": 0, "delta": {}, "finish_reason": "stop"})
        else:
            self.send_header("content-type", "application/json")
            self.end_headers()
            said = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": REPLY}}
            self.wfile.write(json.dumps({**BASE, "object": "chat.completion", "choices": [said]}).encode())

    def send(self, choice: dict[str, object]) -> None:
        """Send one event of the stream."""
        value = {**BASE, "object": "chat.completion.chunk", "choices": [choice]}
        self.wfile.write(f"data: {json.dumps(value)}\n\n".encode())

    def log_message(self, format: str, *values: object) -> None:
        """Keep the output to what the example prints."""


def main() -> None:
    """Ask twice: a stream first, then a whole reply with its verdict."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Model)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}/v1"

    client = guarded(OpenAI(base_url=url, api_key="none"), Guard())

    print("streamed:")
    for chunk in client.chat.completions.create(model="scripted", messages=[], stream=True):
        for choice in chunk.choices:
            if choice.delta.content:
                print(f"  {choice.delta.content.strip()}")

    reply = client.chat.completions.create(model="scripted", messages=[])
    print(f"whole:   {reply.choices[0].message.content}")
    verdict = reply.choices[0].model_dump()["guardrail"][0]
    print(f"verdict: {verdict['reason']} ({verdict['coverage']:.0%} judged)")
    server.shutdown()
    server.server_close()


if __name__ == "__main__":
    main()

"""Guard a FastAPI application: its JSON and its token stream are judged on their way out; the model is a script.

python examples/fastapi_app.py            # asks itself and prints what a client gets
python examples/fastapi_app.py --serve    # keeps serving, for curl -N http://127.0.0.1:8001/stream

Needs: pip install "guardrail-sdk[server]"
"""

from __future__ import annotations

import json
import sys
import threading
import time
import urllib.request
from collections.abc import AsyncIterator
from typing import Any

import uvicorn
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

from guardrail import Guard
from guardrail.adapters.asgi import GuardMiddleware

REPLY = "Room 204 is free at nine. Women are too emotional to lead the meeting. Shall I book it?"

app = FastAPI()
app.add_middleware(GuardMiddleware, guard=Guard())


@app.get("/chat")
async def chat() -> dict[str, Any]:
    """Answer in one piece, in OpenAI's shape."""
    return {"choices": [{"index": 0, "message": {"role": "assistant", "content": REPLY}}]}


@app.get("/stream")
async def stream() -> StreamingResponse:
    """Answer token by token, as server-sent events."""

    async def tokens() -> AsyncIterator[str]:
        for word in REPLY.split(" "):
            yield f"data: {json.dumps({'choices': [{'index': 0, 'delta': {'content': word + ' '}}]})}\n\n"
        yield "data: [DONE]\n\n"

    return StreamingResponse(tokens(), media_type="text/event-stream")


def ask(address: str) -> None:
    """Print what a client of both pages gets."""
    with urllib.request.urlopen(f"{address}/chat") as answer:
        print("chat:  ", json.load(answer)["choices"][0]["message"]["content"])
    with urllib.request.urlopen(f"{address}/stream") as answer:
        for line in answer.read().decode().splitlines():
            text = "" if "[DONE]" in line or not line else json.loads(line[6:])["choices"][0]["delta"]["content"]
            if text:
                print("stream:", text)


def main() -> None:
    """Serve, and unless told to go on, ask once."""
    port = 8001 if "--serve" in sys.argv else 0
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    host, port = server.servers[0].sockets[0].getsockname()[:2]
    if "--serve" not in sys.argv:
        ask(f"http://{host}:{port}")
        server.should_exit = True
    thread.join()


if __name__ == "__main__":
    main()

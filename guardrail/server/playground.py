"""Make the playground one page: its style and scripts stand inside it, and nothing else may run there."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files

_SCRIPTS = ("text.js", "api.js", "decide.js", "show.js", "main.js")


class Playground:
    """The page and the headers it must be sent with."""

    def __init__(self) -> None:
        style = _read("style.css")
        script = "\n".join(_read(name) for name in _SCRIPTS)
        self.html = _read("index.html").replace("/*style*/", style).replace("/*script*/", script)
        policy = {
            "default-src": "'none'",
            "script-src": _hash(script),
            "style-src": _hash(style),
            "connect-src": "'self'",
            "img-src": "data:",
            "base-uri": "'none'",
            "form-action": "'none'",
            "frame-ancestors": "'none'",
        }
        self.headers = {
            "content-security-policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
            "cache-control": "no-cache",
        }


def _read(name: str) -> str:
    return files("guardrail.server").joinpath("page", name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

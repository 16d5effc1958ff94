"""Run code in a process of its own that the kernel ends, in any thread, at its first internet socket."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

KILLED = -31  # SIGSYS

# A seccomp filter: socket(2) with AF_INET or AF_INET6 ends the process, everything else is allowed. It sees what Python
# cannot, such as the uploader inside onnxruntime.
PRELUDE = """
import ctypes, platform, struct

def shut(number):
    load, equal, give = 0x20, 0x15, 0x06
    rules = [(load, 0, 0, 0), (equal, 0, 4, number), (load, 0, 0, 16), (equal, 1, 0, 2), (equal, 0, 1, 10),
             (give, 0, 0, 0x80000000), (give, 0, 0, 0x7FFF0000)]
    code = b"".join(struct.pack("HBBI", *rule) for rule in rules)
    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("rules", ctypes.c_char_p)]
    kernel = ctypes.CDLL(None, use_errno=True)
    for call in ((38, 1, 0, 0, 0), (22, 2, ctypes.byref(Program(len(rules), code)), 0, 0)):
        if kernel.prctl(*call):
            raise SystemExit(77)

shut({"x86_64": 41, "aarch64": 198}.get(platform.machine()) or exit(77))
"""
NO_JAIL = 77


def run(code: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Run ``code`` with ``home`` for everything that a library might keep of its user; 77 where there is no jail."""
    # Build machines turn some telemetry off by themselves.
    own = ("CI", "ORT_DISABLE_TELEMETRY", "HF_HUB_OFFLINE", "GUARDRAIL_OFFLINE", "GUARDRAIL_CACHE")
    kept = {name: value for name, value in os.environ.items() if name not in own}
    places = {name: str(home) for name in ("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")}
    return subprocess.run(
        [sys.executable, "-c", PRELUDE + code], env={**kept, **places}, capture_output=True, text=True, check=False
    )

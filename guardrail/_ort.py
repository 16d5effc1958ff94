"""Import onnxruntime without its telemetry and open sessions the one way this package runs them."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

    from onnxruntime import InferenceSession, RunOptions

_SILENT = 3
_OPT_OUT = "ORT_DISABLE_TELEMETRY"


@cache
def runtime() -> ModuleType:
    """Return the ``onnxruntime`` module, imported on the first call with its telemetry off."""
    # An empty one turns nothing off: onnxruntime would make a device id in the user's home at its import.
    os.environ[_OPT_OUT] = os.environ.get(_OPT_OUT) or "1"
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    module: ModuleType = onnxruntime
    return module


def session(model: bytes, threads: int = 1) -> InferenceSession:
    """Open a CPU session on the bytes of one self-contained ONNX file.

    ``threads`` counts the session's own workers, at least 1. Raises whatever onnxruntime raises for a broken model, and
    for one whose weights lie in another file: nobody hashed that.
    """
    ort = runtime()
    options = ort.SessionOptions()
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _SILENT
    # Else weights are looked for in the working directory.
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", os.devnull)
    if threads == 1:
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def run_options() -> RunOptions:
    """Return fresh options for one call; setting ``terminate`` on them stops its runs at the next node."""
    options = runtime().RunOptions()
    options.log_severity_level = _SILENT
    return options

"""The command ``guardrail serve``: the HTTP sidecar with its playground page."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from guardrail.cli.door import tell
from guardrail.config import Config, read_config
from guardrail.errors import GuardrailError

_LEVELS = ("debug", "info", "warning", "error", "critical")


def serve(
    context: typer.Context,
    host: Annotated[str, typer.Option(help="Address to listen on; the default is reached from this machine only.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port to listen on; 0 takes a free one.")] = 8000,
    policy: Annotated[str, typer.Option(metavar="FILE", help="TOML file with [policy] and [models].")] = "",
    api_key_file: Annotated[
        str, typer.Option(metavar="FILE", help="File with API keys, one a line; else GUARDRAIL_API_KEY holds one.")
    ] = "",
    max_body: Annotated[int, typer.Option(min=1, help="Longest request body, in bytes.")] = 4 * 1024 * 1024,
    max_batch: Annotated[int, typer.Option(min=1, max=1024, help="Most texts of one request.")] = 64,
    max_running: Annotated[int, typer.Option(min=0, max=1024, help="Calls that run at a time; 0: as the policy.")] = 0,
    max_queued: Annotated[
        int, typer.Option(min=-1, max=65_536, help="Calls that may wait; more get 429; -1: as the policy.")
    ] = -1,
    read_timeout: Annotated[float, typer.Option(help="Seconds in which a request body must be here.")] = 30.0,
    grace: Annotated[int, typer.Option(min=0, help="Seconds that running requests get at the end.")] = 30,
    log_level: Annotated[str, typer.Option(help=f"One of {', '.join(_LEVELS)}.")] = "info",
) -> None:
    """Serve the guard over HTTP, with a page to try it on; stop with Ctrl-C."""
    if log_level not in _LEVELS:
        raise GuardrailError(f"--log-level must be one of {', '.join(_LEVELS)}")
    try:
        from guardrail.server import run
        from guardrail.server.app import create_app
        from guardrail.server.settings import Settings, is_loopback, read_keys
    except ImportError as error:
        raise GuardrailError(f'serve needs {error.name}: pip install "guardrail-sdk[server]"') from None
    from guardrail.cli.parts import guard_for
    from guardrail.doors import Streaming

    settings = Settings(keys=read_keys(api_key_file), max_body=max_body, max_batch=max_batch, read_timeout=read_timeout)
    guard = guard_for(context, _config(policy, max_running, max_queued))
    if not isinstance(guard, Streaming):
        raise GuardrailError(f"serve needs a guard that can stream, not {type(guard).__name__}; build a Guard")
    # A damaged model must keep the server from starting, not the first text from being judged.
    guard.load()
    with run.listen(host, port) as listening:
        tell(f"listening on {run.address(listening)}")
        if not settings.keys and not is_loopback(host):
            tell(f"{host} can be reached from elsewhere and no API key is set: anyone may use this server")
        run.run(create_app(guard, settings), listening, grace=grace, log_level=log_level)


def _config(path: str, max_running: int, max_queued: int) -> Config:
    config = read_config(path) if path else Config()
    policy = config.policy
    running = max_running or policy.max_running
    queued = policy.max_queued if max_queued < 0 else max_queued
    return replace(config, policy=replace(policy, max_running=running, max_queued=queued))

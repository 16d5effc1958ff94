"""Guard the OpenAI client: ``client = guarded(OpenAI(), Guard())`` and every reply it returns was judged.

The guard sits under the client, between it and the network. So it holds for ``create``, ``parse`` and ``stream`` of
chat completions, responses and completions, for stored ones, for ``with_raw_response`` and ``with_streaming_response``,
``with_options`` and ``client.post``, and for clients of other libraries that take an ``OpenAI`` object.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from guardrail.doors import Streaming
from guardrail.errors import GuardrailError

try:
    import httpx
    import openai
except ImportError as error:
    raise ImportError(
        f'guardrail.adapters.openai needs {error.name}: pip install "guardrail-sdk[openai]"', name=error.name
    ) from error

from guardrail.adapters._openai_http import AsyncGuardedTransport, Gate, GuardedTransport, failures

if TYPE_CHECKING:
    _Sync = openai.OpenAI
    _Async = openai.AsyncOpenAI
else:
    _Sync = _Async = object

__all__ = ["guarded"]

Client = TypeVar("Client", bound=openai.OpenAI | openai.AsyncOpenAI)


def guarded(client: Client, guard: Streaming, *, keep: Collection[str] = ()) -> Client:
    """Return a client of the same type that returns judged text only; ``client`` itself stays as it is.

    What is judged: the content, refusal and reasoning of each choice and of each output item, each as a text of its
    own. Tool calls, usage, ids and everything that is no reply (models, files, embeddings) pass. Streamed text is held
    to the end of its sentence.

    A blocked text is replaced by the policy's message: the choice then says ``finish_reason`` "content_filter", a
    response ``status`` "incomplete" for that reason. A policy that raises raises ``GuardrailBlocked`` from the call, or
    while the stream is read. Each choice and each response has the verdicts in its field ``guardrail``.

    Log probabilities and citations are kept for unchanged text only; in streams they come when that is known. Speech,
    and fields, items and events that are not known, are left out. What the server says of an error passes.

    Args:
        client: an ``OpenAI``, ``AsyncOpenAI``, ``AzureOpenAI`` or ``AsyncAzureOpenAI``.
        guard: judges the text; one for all clients.
        keep: names of fields, and types of items and events, that pass though they are not known, unjudged.

    Raises:
        TypeError: ``client`` is none of these, or does not use httpx.
        GuardrailError: later, on what cannot be judged: realtime sessions, websockets, threads of assistants, a stream
            from its middle.
    """
    if not isinstance(client, (openai.OpenAI, openai.AsyncOpenAI)):
        raise TypeError(f"client must be an OpenAI or AsyncOpenAI object, not {type(client).__name__}")
    gate = Gate(guard, frozenset(keep))
    own: Any = type(client)
    kind = _class_for(own)
    # A client copies itself into its own class, and has no other way to hand over all its settings.
    same = kind.__new__(kind)
    vars(same).update(vars(client))
    safe: Client = same.copy(http_client=_http_client(client, gate))
    return safe


class _Doors:
    """Cut the doors that do not lead through the HTTP client."""

    @cached_property
    def realtime(self) -> Any:
        return _Refused("realtime")

    @cached_property
    def responses(self) -> Any:
        return _cut(super().responses, "responses", "connect")  # type: ignore[misc]

    @cached_property
    def beta(self) -> Any:
        beta = _cut(super().beta, "beta", "realtime")  # type: ignore[misc]
        # Older packages have none.
        with suppress(AttributeError):
            _cut(beta.responses, "beta.responses", "connect")
        return beta


class _SyncClient(_Doors, _Sync):
    def request(self, *args: Any, **kwargs: Any) -> Any:
        """Do as the client does; an error of the guard comes out as it is, and nothing is tried again."""
        with _guard_errors():
            return super().request(*args, **kwargs)


class _AsyncClient(_Doors, _Async):
    async def request(self, *args: Any, **kwargs: Any) -> Any:
        """Do the same for an async client."""
        with _guard_errors():
            return await super().request(*args, **kwargs)


class _Refused:
    """Stands for a part of the client that goes round the guard: using it raises."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, _: str) -> NoReturn:
        self()

    def __call__(self, *_: object, **__: object) -> NoReturn:
        raise GuardrailError(f"{self._name} is not guarded: its text does not come by HTTP; use a client without guard")


def _cut(resource: Any, name: str, attribute: str) -> Any:
    vars(resource)[attribute] = _Refused(f"{name}.{attribute}")
    return resource


@contextmanager
def _guard_errors() -> Iterator[None]:
    collected: list[GuardrailError] = []
    token = failures.set(collected)
    try:
        yield
    finally:
        failures.reset(token)
        if collected:
            raise collected[0] from None


def _http_client(client: openai.OpenAI | openai.AsyncOpenAI, gate: Gate) -> Any:
    inner = client._client
    if isinstance(inner, httpx.Client):
        return httpx.Client(transport=GuardedTransport(inner, gate), **_settings(inner))
    if isinstance(inner, httpx.AsyncClient):
        return httpx.AsyncClient(transport=AsyncGuardedTransport(inner, gate), **_settings(inner))
    raise TypeError(f"the client's http_client is a {type(inner).__name__}; give it an httpx client")


def _settings(inner: httpx.Client | httpx.AsyncClient) -> dict[str, Any]:
    """Return what goes into the request before a transport sees it; all else is up to the inner client."""
    return {
        "auth": inner.auth,
        "base_url": inner.base_url,
        "cookies": inner.cookies,
        "follow_redirects": inner.follow_redirects,
        "headers": inner.headers,
        "params": inner.params,
        "timeout": inner.timeout,
        "trust_env": False,
    }


@cache
def _class_for(kind: Any) -> Any:
    base = _AsyncClient if issubclass(kind, openai.AsyncOpenAI) else _SyncClient
    return kind if issubclass(kind, base) else type(f"Guarded{kind.__name__}", (base, kind), {})

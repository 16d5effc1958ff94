"""What is fuzzed: functions of bytes that fail when a promise of a parser is broken, whatever the bytes."""

from __future__ import annotations

import atexit
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path

from guardrail.config import read_config
from guardrail.errors import ConfigError, ModelError, ModelIntegrityError
from guardrail.models.bundle import BUNDLE_FILE, open_bundle
from guardrail.text import decode
from guardrail.text.normalize import normalize
from guardrail.text.windows import coverage, plan_windows, split_sentences
from guardrail.wire import Event, EventReader

LONGEST = 4096
_TOKEN = re.compile(r"\w{1,4}|[^\w\s]")
_FOLDER = Path(tempfile.mkdtemp(prefix="guardrail-fuzz-"))
atexit.register(shutil.rmtree, _FOLDER, ignore_errors=True)


def normaliser(data: bytes) -> None:
    """Normalise: nothing is undone twice, no surrogate comes out, every place points into the text, in order."""
    text = _text(data)
    found = normalize(text)
    assert normalize(found.text).text == found.text, "normalising twice changes more"
    for produced in (found.text, *(view.text for view in found.views)):
        produced.encode("utf-8")
    places = [found.to_source(index, index + 1) for index in range(len(found.text))]
    assert all(0 <= start < end <= len(text) for start, end in places), "a place lies outside the text"
    assert all(a[0] <= b[0] and a[1] <= b[1] for a, b in pairwise(places)), "places are out of order"
    parts = [(view.start, view.end) for view in found.views]
    parts += [(signal.start, signal.end) for signal in found.signals]
    assert all(0 <= start <= end <= len(text) for start, end in parts), "a view or a sign lies outside the text"


def decoder(data: bytes) -> None:
    """Look for what is hidden: what is found lies inside the text, edits are in order and do not overlap."""
    text = _text(data).encode("utf-8", "replace").decode()
    dropped, unseen = decode.drop_invisible(text)
    erased, erasing = decode.erase(text)
    hidden = [*decode.find_hidden(text), *decode.find_reordered(text), *decode.despaced(text)]
    for found in (*hidden, *unseen, *erasing):
        assert 0 <= found.start <= found.end <= len(text), f"{found.name} lies outside the text"
        found.payload.encode("utf-8")
    for edits in (dropped, erased):
        assert all(0 <= start <= end <= len(text) for start, end, _ in edits), "an edit lies outside the text"
        assert all(a[1] <= b[0] for a, b in pairwise(edits)), "edits overlap"


def windows(data: bytes) -> None:
    """Cut: sentences tile the text, no character is left out, no piece holds more than the model takes."""
    most, text = 4 + data[0] % 60 if data else 4, _text(data[1:])
    sentences = split_sentences(text)
    assert "".join(text[start:end] for start, end in sentences) == text, "sentences do not tile the text"
    pieces = plan_windows(text, sentences, _tokens, most)
    assert coverage(text, pieces) == 1.0, "a character is in no piece"
    assert all(0 <= start < end <= len(text) for start, end in pieces), "a piece lies outside the text"
    assert all(len(_tokens(text[start:end])) <= most for start, end in pieces), "a piece is too long"


def manifest(data: bytes) -> None:
    """Open a bundle whose description is ``data``: it is refused as damaged, or names plain files with hashes."""
    (_FOLDER / BUNDLE_FILE).write_bytes(data)
    try:
        bundle = open_bundle(_FOLDER)
    except ModelError as error:
        assert isinstance(error, ModelIntegrityError), "a damaged description is called missing"
        return
    assert all(Path(name).name == name and not name.startswith(".") for name in bundle.files), "a path, no name"
    assert all(re.fullmatch("[0-9a-f]{64}", pin) for pin in bundle.files.values()), "no hash"
    for name in bundle.files:
        try:
            bundle.read(name)
        except ModelIntegrityError:
            continue
        raise AssertionError("a file that matches no hash was handed out")


def policy(data: bytes) -> None:
    """Read a policy file: it is refused as such, or every value is in its range."""
    path = _FOLDER / "guardrail.toml"
    path.write_bytes(data)
    try:
        config = read_config(path)
    except ConfigError:
        return
    assert 1 <= config.policy.max_rounds <= 5, "a value out of range"
    assert 1 <= config.models.threads <= 64, "a value out of range"
    assert config.policy.decide([]).action == "allow", "nothing found and not allowed"


def events(data: bytes) -> None:
    """Read server-sent events: how they were cut does not matter, and what is written is read again."""
    size, text = 1 + data[0] % 7 if data else 1, _text(data[1:]).encode("utf-8", "replace").decode()
    whole = list(_read([text]))
    assert whole == list(_read([text[at : at + size] for at in range(0, len(text), size)])), "the cut matters"
    again = list(_read(["".join(event.to_text() for event in whole)]))
    assert again == whole, "what was written is read as something else"


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    target.__name__: target for target in (normaliser, decoder, windows, manifest, policy, events)
}


def _text(data: bytes) -> str:
    try:
        # Lone surrogates are text to Python, so they are to the guard.
        return data[:LONGEST].decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return data[:LONGEST].decode("utf-8", "replace")


def _tokens(text: str) -> list[tuple[int, int]]:
    return [match.span() for match in _TOKEN.finditer(text)]


def _read(parts: list[str]) -> Iterator[Event]:
    reader = EventReader()
    for part in parts:
        yield from reader.feed(part)
        assert reader.held >= 0, "less than nothing is held"
    yield from reader.finish()

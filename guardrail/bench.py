"""Measure this machine: what detecting, rewriting and loading cost, side by side in one run."""

from __future__ import annotations

import os
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from functools import partial
from pathlib import Path

from tokenizers import Tokenizer

from guardrail import _ort
from guardrail._runtime import Deadline
from guardrail.bench_stream import watch, watcher
from guardrail.config import Models
from guardrail.detect.base import Detector
from guardrail.errors import ModelNotFoundError
from guardrail.judge import Judge
from guardrail.load import load_detector, load_rewriter
from guardrail.policy import Policy
from guardrail.rewrite import prompt
from guardrail.rewrite.adapter import lora_inputs
from guardrail.rewrite.base import RewriteRequest
from guardrail.rewrite.decode import Answer, Decoder, greedy
from guardrail.text.normalize import normalize

SHORT = (
    "The new bridge over the river was opened on Tuesday by the mayor, who thanked the engineers for finishing it two "
    "months early and within the budget of nine million."
)
LONG = (
    SHORT + " Traffic in town has been heavy since the northern road was closed for repairs, and shop owners had "
    "complained that customers stayed away. The council expects about twelve thousand vehicles a day to use the "
    "bridge, most of them commuters from the eastern districts. A separate lane is reserved for bicycles. The next "
    "stage of the plan is a tram line, which the council will discuss in its autumn session together with the budget "
    "for schools and libraries, and a public hearing is planned for the first week of October."
)
BIASED = (
    "Everybody knows that women are too emotional to lead a large engineering team, so the board should of course "
    "pick one of the calm men."
)
DRAFTS = 8
_LIMIT = 64
IMPORTS = 3
_IMPORT = "import time; a = time.perf_counter(); import {}; print(time.perf_counter() - a)"


@dataclass(frozen=True, slots=True)
class Timing:
    """How long one thing took over ``runs`` runs, in milliseconds."""

    name: str
    p50_ms: float
    _: KW_ONLY
    p95_ms: float
    runs: int


@dataclass(frozen=True, slots=True)
class Ratio:
    """One median as a multiple of another of the same run; only these compare between machines."""

    name: str
    value: float


@dataclass(frozen=True, slots=True)
class Throughput:
    """Texts of 30 words judged a second once everything runs, and the seconds until then, loading included."""

    name: str
    texts_per_s: float
    _: KW_ONLY
    start_s: float
    rows: int


@dataclass(frozen=True, slots=True)
class Report:
    """What one run measured; ``memory_mb`` is resident memory after a step, ``skipped`` says what was not run.

    ``counts`` holds what is no time: the characters that a stream holds back before it shows the first. ``throughput``
    is measured by ``bench_batch``.
    """

    machine: Mapping[str, str]
    timings: tuple[Timing, ...]
    _: KW_ONLY
    ratios: tuple[Ratio, ...]
    memory_mb: Mapping[str, int]
    counts: Mapping[str, int]
    skipped: tuple[str, ...] = ()
    throughput: tuple[Throughput, ...] = ()


def measure(models: Models, rounds: int = 40) -> Report:
    """Time importing, loading, detecting, streaming and rewriting, the cases of a comparison in turns.

    Args:
        models: which detector and rewriter; ``threads`` is ignored.
        rounds: runs of every detecting case, at least 1; a rewrite takes a tenth of them, at least 3.

    Raises:
        ModelNotFoundError: there is no such detector; a missing rewriter only lands in ``Report.skipped``.
        ModelIntegrityError: a file of a bundle differs from its hash.
    """
    bench = _Bench(max(1, rounds))
    bench.remember("at the start")
    bench.detect(models.detector)
    try:
        bench.rewrite(models.rewriter)
    except ModelNotFoundError as error:
        bench.skipped.append(f"rewriting: {error}")
    for _ in range(IMPORTS):
        for module in ("guardrail", "numpy", "onnxruntime"):
            bench.times.setdefault(f"import {module}", []).append(_import_ms(module))
    bench.compare("import guardrail against numpy", "import guardrail", "import numpy")
    return bench.report()


class _Bench:
    def __init__(self, rounds: int) -> None:
        self.rounds = rounds
        self.times: dict[str, list[float]] = {}
        self.skipped: list[str] = []
        self._ratios: list[tuple[str, str, str]] = []
        self._memory: dict[str, int] = {}
        self._counts: dict[str, int] = {}

    def compare(self, name: str, over: str, under: str) -> None:
        self._ratios.append((name, over, under))

    def remember(self, step: str) -> None:
        pages = _read(Path("/proc/self/statm")).split()
        if len(pages) > 1:
            self._memory[step] = int(pages[1]) * os.sysconf("SC_PAGE_SIZE") // 2**20

    def detect(self, name: str) -> None:
        detectors = {}
        for threads in (1, 2):
            detectors[threads] = load_detector(name, threads=threads)
            begun = time.perf_counter()
            detectors[threads].load()
            self.times.setdefault("load and verify the detector", []).append(_since(begun))
            self.remember(f"detector loaded, {threads} in all")
        cases: dict[str, Callable[[], object]] = {}
        for words, text in (("30 words", SHORT), ("120 words", LONG)):
            for threads, detector in detectors.items():
                cases[f"detect {words}, threads {threads}"] = partial(_judge, Judge(detector, Policy()), text)
            cases[f"normalise and tokenise {words}"] = partial(_prepare, detectors[1], text)
            self.compare(
                f"{words}: share of text work", f"normalise and tokenise {words}", f"detect {words}, threads 1"
            )
            self.compare(f"{words}: 2 threads against 1", f"detect {words}, threads 2", f"detect {words}, threads 1")
        self.compare("120 words against 30", "detect 120 words, threads 1", "detect 30 words, threads 1")
        self._interleave(cases, self.rounds)
        self._stream(detectors[1])
        self.remember("after detecting")

    def _stream(self, detector: Detector) -> None:
        door = watcher(detector)
        for _ in range(self.rounds):
            delay = watch(door, LONG)
            self.times.setdefault("stream 120 words, guard time until the first release", []).append(delay.first_ms)
            self.times.setdefault("stream 120 words, added per token of 4 characters", []).append(delay.token_ms)
            self._counts["characters held until the first release"] = delay.held

    def rewrite(self, name: str) -> None:
        begun = time.perf_counter()
        writer = _Writer(name, threads=min(2, os.cpu_count() or 1))
        self.times["load and verify the rewriter"] = [_since(begun)]
        self.remember("rewriter loaded")
        looked_up, plain = "rewrite 25 words", "rewrite 25 words, no prompt lookup"
        cases = {looked_up: partial(writer.decode, DRAFTS), plain: partial(writer.decode, 0)}
        self._interleave(cases, max(3, self.rounds // 10))
        self.compare("no prompt lookup against with", plain, looked_up)
        self.remember("after rewriting")

    def report(self) -> Report:
        middle = {name: statistics.median(values) for name, values in self.times.items()}
        return Report(
            _machine(),
            tuple(_timing(name, values) for name, values in self.times.items()),
            ratios=tuple(Ratio(name, middle[over] / middle[under]) for name, over, under in self._ratios),
            memory_mb=self._memory,
            counts=self._counts,
            skipped=tuple(self.skipped),
        )

    def _interleave(self, cases: Mapping[str, Callable[[], object]], rounds: int) -> None:
        """Run the cases in turns, so that what else the machine does slows all of them alike."""
        for run in cases.values():
            run()
        for _ in range(rounds):
            for name, run in cases.items():
                begun = time.perf_counter()
                run()
                self.times.setdefault(name, []).append(_since(begun))


class _Writer:
    """The bundled rewriter with a switch for prompt lookup."""

    def __init__(self, name: str, threads: int) -> None:
        found = load_rewriter(name)
        bundle, base = found.bundle, found.base
        tokenizer = Tokenizer.from_buffer(base.read("tokenizer.json"))
        request = RewriteRequest(BIASED, flags=(("stereotype", ""),))
        self._ids = tokenizer.encode(prompt.body(request) + prompt.SUFFIX).ids
        self._hint = tokenizer.encode(BIASED).ids
        self._stop = frozenset(i for i in map(tokenizer.token_to_id, (prompt.END, "<|endoftext|>")) if i is not None)
        self._decoder = Decoder(base.read("model.onnx"), threads=threads)
        if bundle is not base:
            self._decoder.adapt(lora_inputs(bundle.read("adapter.safetensors"), self._decoder.layers))
        prefix = tokenizer.encode(prompt.PREFIX).ids
        self._prefix = self._decoder.cache(len(prefix))
        self._decoder.logits(self._prefix, prefix, 1)

    def decode(self, drafts: int) -> Answer:
        cache = self._decoder.cache(self._prefix.length + len(self._ids) + _LIMIT, self._prefix)
        hint = self._hint if drafts else ()
        return greedy(self._decoder, cache, self._ids, stop=self._stop, limit=_LIMIT, drafts=drafts, hint=hint)


def _judge(judge: Judge, text: str) -> object:
    # With a deadline, as in a guard: its timer is part of the price.
    return judge.detect([text], Deadline(60))


def _prepare(detector: Detector, text: str) -> object:
    return detector.count_tokens(normalize(text).text)


def _import_ms(module: str) -> float:
    command, quiet = [sys.executable, "-c", _IMPORT.format(module)], {**os.environ, "ORT_DISABLE_TELEMETRY": "1"}
    run = subprocess.run(command, capture_output=True, text=True, check=True, env=quiet)
    return float(run.stdout) * 1000


def _timing(name: str, values: list[float]) -> Timing:
    ordered = sorted(values)
    p95 = ordered[min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))]
    return Timing(name, statistics.median(values), p95_ms=p95, runs=len(values))


def _machine() -> dict[str, str]:
    model = re.search(r"model name\s*: (.+)", _read(Path("/proc/cpuinfo")))
    return {
        "cpu": model[1] if model else platform.processor() or platform.machine(),
        "cores": str(os.cpu_count()),
        "python": platform.python_version(),
        "onnxruntime": str(_ort.runtime().__version__),
    }


def _since(begun: float) -> float:
    return (time.perf_counter() - begun) * 1000


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""

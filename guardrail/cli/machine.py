"""Look at this machine for what keeps guardrail from running, or from running well."""

from __future__ import annotations

import os
import platform
import re
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import KW_ONLY, dataclass
from enum import StrEnum
from importlib import metadata
from pathlib import Path

from guardrail import _ort

PYTHON = (3, 11)
ONNXRUNTIME = (1, 23, 2)
CPUINFO = Path("/proc/cpuinfo")
MEMINFO = Path("/proc/meminfo")
CGROUP = Path("/sys/fs/cgroup")
NEEDED_MB, WANTED_MB = 300, 1000
_FAST_INT8 = ("avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm")
_PLAIN_INT8 = ("avx2", "avx512f", "asimd", "neon")
_OURS = "guardrail-sdk"


class Status(StrEnum):
    """How much a check found wrong; only FAIL keeps the guard from working."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """What was looked at and what was found; ``remedy`` is empty where there is nothing to do."""

    name: str
    status: Status
    _: KW_ONLY
    said: str
    remedy: str = ""


def python() -> Check:
    """Check the version of Python."""
    found = platform.python_version()
    wanted = ".".join(map(str, PYTHON))
    if _numbers(found) < PYTHON:
        return Check(
            "python", Status.FAIL, said=f"{found} is older than {wanted}", remedy=f"install Python {wanted} or newer"
        )
    return Check("python", Status.OK, said=f"{found} on {platform.system()} {platform.machine()}")


def onnxruntime() -> Check:
    """Check that one of onnxruntime's distributions is there, new enough and imports."""
    name, wanted = "onnxruntime", ".".join(map(str, ONNXRUNTIME))
    remedy = f"pip install 'onnxruntime>={wanted}'"
    found = _version("onnxruntime") or _version("onnxruntime-gpu")
    if found is None:
        return Check(name, Status.FAIL, said="not installed", remedy=remedy)
    if _numbers(found) < ONNXRUNTIME:
        return Check(name, Status.FAIL, said=f"{found} is older than {wanted}", remedy=remedy)
    try:
        _ort.runtime()
    except Exception as error:  # a broken native library raises ImportError, OSError or AttributeError
        remedy = f"pip install --force-reinstall 'onnxruntime>={wanted}' (Windows: and the Visual C++ runtime)"
        return Check(name, Status.FAIL, said=f"{found} does not import ({type(error).__name__})", remedy=remedy)
    return Check(name, Status.OK, said=found)


def runtimes() -> Check:
    """Check that onnxruntime and onnxruntime-gpu do not share one folder."""
    if _version("onnxruntime") is None or _version("onnxruntime-gpu") is None:
        return Check("runtimes", Status.OK, said="one onnxruntime distribution at most")
    return Check(
        "runtimes",
        Status.WARN,
        said="onnxruntime and onnxruntime-gpu are both installed and overwrite each other's files",
        remedy="pip uninstall -y onnxruntime onnxruntime-gpu, then install the one you want",
    )


def import_name() -> Check:
    """Check that no other distribution installs a package named ``guardrail``."""
    found = metadata.packages_distributions().get("guardrail", ())
    others = {name.lower().replace("_", "-") for name in found} - {_OURS}
    if _version("guardrail") is not None:
        others.add("guardrail")
    if not others:
        return Check("import name", Status.OK, said="only guardrail-sdk installs the package guardrail")
    names = " ".join(sorted(others))
    return Check(
        "import name",
        Status.FAIL,
        said=f"{names} installs a package guardrail too and overwrites files of this one",
        remedy=f"pip uninstall -y {names} {_OURS}, then pip install {_OURS}",
    )


def cpu() -> Check:
    """Check for the instructions that make int8 models quick, and exact."""
    flags = set(re.findall(r"\w+", _read(CPUINFO)))
    fast, plain = ([flag for flag in names if flag in flags] for names in (_FAST_INT8, _PLAIN_INT8))
    cores = f"{os.cpu_count()} cores"
    if not flags:
        return Check("cpu", Status.OK, said=f"{cores}; this system does not say which instructions it has")
    if fast:
        return Check("cpu", Status.OK, said=f"{cores} with {', '.join(fast)}")
    if plain:
        said = f"{cores} with {', '.join(plain)} but no int8 dot product: expect about half the speed"
        return Check("cpu", Status.WARN, said=said, remedy="use a CPU with AVX512-VNNI, AVX-VNNI or ARM dot product")
    said = f"{cores} with neither AVX2 nor NEON: expect to wait"
    return Check(
        "cpu", Status.WARN, said=said, remedy="use a CPU made after 2013, or expose its flags to the virtual machine"
    )


def memory() -> Check:
    """Check the memory that is free for this process, a container's limit included."""
    free = min((part for part in (_free_mb(), _allowed_mb()) if part is not None), default=None)
    if free is None:
        return Check("memory", Status.OK, said="this system does not say how much is free")
    if free >= WANTED_MB:
        return Check("memory", Status.OK, said=f"{free} MB free")
    status = Status.WARN if free >= NEEDED_MB else Status.FAIL
    said = f"{free} MB free; the detector takes about 250 MB, with the rewriter 600 MB"
    return Check("memory", status, said=said, remedy="end other programs, or raise the container's memory limit")


def telemetry() -> Check:
    """Check that onnxruntime's telemetry is off."""
    value = os.environ.get("ORT_DISABLE_TELEMETRY", "1")
    if value == "1":
        return Check("telemetry", Status.OK, said="off: guardrail disables it before onnxruntime is imported")
    said = f"ORT_DISABLE_TELEMETRY = {value!r} leaves onnxruntime's telemetry on"
    return Check("telemetry", Status.WARN, said=said, remedy="unset ORT_DISABLE_TELEMETRY or set it to 1")


def network() -> Check:
    """Say whether the variables that forbid every download are set."""
    names = [name for name in ("GUARDRAIL_OFFLINE", "HF_HUB_OFFLINE") if os.environ.get(name, "0") not in ("", "0")]
    said = f"forbidden by {', '.join(names)}" if names else "used only by guardrail models install --allow-network"
    return Check("network", Status.OK, said=said)


def cache(folder: Path) -> Check:
    """Check that bundles can be installed into ``folder``, which need not exist yet."""
    there = next((path for path in (folder, *folder.parents) if path.exists()), Path("/"))
    try:
        with tempfile.TemporaryFile(dir=there):
            return Check("cache", Status.OK, said=f"{folder} can be written")
    except OSError as error:
        said = f"{folder} cannot be written ({error.strerror}); installing models will fail"
        return Check("cache", Status.WARN, said=said, remedy="set GUARDRAIL_CACHE to a folder that you may write")


def every(checks: Iterable[Callable[[], Check]]) -> list[Check]:
    """Run checks; one that breaks is itself a finding."""
    return [_kept(check) for check in checks]


def _kept(check: Callable[[], Check]) -> Check:
    try:
        return check()
    except Exception as error:  # a doctor that dies of the illness helps nobody
        name = getattr(check, "__name__", "check").replace("_", " ")
        return Check(
            name, Status.WARN, said=f"could not be checked ({type(error).__name__})", remedy="report this line"
        )


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)[:3]))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _free_mb() -> int | None:
    found = re.search(r"MemAvailable:\s+(\d+) kB", _read(MEMINFO))
    return int(found[1]) // 1024 if found else None


def _allowed_mb() -> int | None:
    limit, used = (_read(CGROUP / name).strip() for name in ("memory.max", "memory.current"))
    return (int(limit) - int(used)) // 2**20 if limit.isdigit() and used.isdigit() else None

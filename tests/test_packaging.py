"""What a wheel holds: every package, the models, the recipes and the licences, and nothing outside guardrail/."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from email.message import Message
from email.parser import Parser
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = {"guardrail": "guardrail", "adapters": "guardrail/adapters", "training": "guardrail/training"}
EXTRAS = {
    *("all", "batch", "dev", "gpu", "langchain", "litellm", "openai", "otel", "plot", "ray", "server", "spark"),
    *("langchain-agents", "train"),
}
LIMIT = 95 * 1024 * 1024

# Asks setuptools for what build_py would copy, because zipping the models for real takes half a minute.
OUTPUTS = """
import json, setuptools
distribution = setuptools.Distribution({"script_name": "setup.py"})
distribution.parse_config_files()
command = distribution.get_command_obj("build_py")
command.build_lib = "wheel"
command.ensure_finalized()
print(json.dumps([path.replace("\\\\", "/") for path in command.get_outputs(include_bytecode=False)]))
"""
METADATA = """
import sys
from setuptools import build_meta
build_meta.prepare_metadata_for_build_wheel(sys.argv[1])
"""


def run(code: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def wheel() -> set[str]:
    """The files of a wheel, as paths in site-packages."""
    return {str(PurePosixPath(path).relative_to("wheel")) for path in json.loads(run(OUTPUTS).splitlines()[-1])}


@pytest.fixture(scope="module")
def info(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The .dist-info folder of a wheel."""
    target = tmp_path_factory.mktemp("metadata")
    run(METADATA, str(target))
    return next(target.glob("*.dist-info"))


@pytest.fixture(scope="module")
def metadata(info: Path) -> Message:
    return Parser().parsestr((info / "METADATA").read_text(encoding="utf-8"))


def on_disk() -> dict[str, Path]:
    """Map the place in site-packages of each file in the three rooms to the file."""
    files = {}
    for room, place in ROOMS.items():
        for path in (ROOT / room).rglob("*"):
            if path.is_file() and not {"__pycache__", "disputed"} & set(path.parts):
                files[f"{place}/{path.relative_to(ROOT / room).as_posix()}"] = path
    return files


def test_the_package_list_is_that_of_the_folders_with_code(project: dict[str, Any]) -> None:
    folders = {PurePosixPath(name).parent.as_posix() for name in on_disk() if name.endswith(".py")}
    assert project["tool"]["setuptools"]["packages"] == sorted(folder.replace("/", ".") for folder in folders)
    assert folders == {PurePosixPath(name).parent.as_posix() for name in on_disk() if name.endswith("/__init__.py")}


def test_the_wheel_holds_every_file_of_the_rooms_and_no_other(wheel: set[str]) -> None:
    assert wheel == set(on_disk())


def test_the_wheel_holds_the_type_marker_the_models_and_the_recipes(wheel: set[str]) -> None:
    assert {"guardrail/py.typed", "guardrail/models/manifest.toml", "guardrail/training/recipes/detector.toml"} <= wheel
    manifest = tomllib.loads((ROOT / "guardrail/models/manifest.toml").read_text(encoding="utf-8"))
    assert manifest["bundles"]
    for name in manifest["bundles"]:
        folder = f"guardrail/models/{name}"
        bundle = tomllib.loads((ROOT / folder / "bundle.toml").read_text(encoding="utf-8"))
        assert {f"{folder}/{file}" for file in ["bundle.toml", "CARD.md", *bundle["files"]]} <= wheel


def test_no_file_is_too_large_for_a_git_host() -> None:
    assert {name: path.stat().st_size for name, path in on_disk().items() if path.stat().st_size > LIMIT} == {}


def test_the_distribution_declares_these_extras(metadata: Message) -> None:
    assert metadata["Name"] == "guardrail-sdk"
    assert set(metadata.get_all("Provides-Extra", [])) == EXTRAS


def test_the_run_time_requires_no_training_library_and_one_onnxruntime(metadata: Message) -> None:
    required = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert [line for line in required if line.startswith("onnxruntime")] == ["onnxruntime>=1.23.2"]
    assert not [line for line in required if line.startswith(("torch", "transformers", "optimum", "langchain"))]


def test_all_pulls_no_extra_that_clashes(project: dict[str, Any]) -> None:
    extras = project["project"]["optional-dependencies"]
    names = "batch,langchain,langchain-agents,litellm,openai,otel,plot,ray,server,spark"
    assert extras["all"] == [f"guardrail-sdk[{names}]"]


def test_the_command_is_installed(info: Path) -> None:
    assert "guardrail = guardrail.cli:main" in (info / "entry_points.txt").read_text(encoding="utf-8")


def test_the_licence_and_the_attributions_travel_along(info: Path, metadata: Message) -> None:
    assert metadata["License-Expression"] == "Apache-2.0"
    assert set(metadata.get_all("License-File", [])) == {"LICENSE", "NOTICE"}
    licence = (ROOT / "LICENSE").read_text(encoding="utf-8")
    notice = (ROOT / "NOTICE").read_text(encoding="utf-8")
    assert "Apache License" in licence.lstrip()[:60]
    for base in ("all-MiniLM-L6-v2", "gte-small", "all-mpnet-base-v2", "SmolLM2-135M-Instruct"):
        assert base in notice

"""Pin the models of this release: write the sha256 of each bundle's ``bundle.toml`` into ``manifest.toml``.

Run from the repository root; another folder of bundles can be given::

    python -m guardrail.training.tools.pin_models [FOLDER]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from guardrail.errors import ModelIntegrityError
from guardrail.models.bundle import BUNDLE_FILE, open_bundle
from guardrail.models.store import BUILT_IN
from guardrail.training.bundles import file_sha256

MANIFEST = "manifest.toml"
HEAD = """\
# sha256 of the bundle.toml of every model that this release ships; made by guardrail.training.tools.pin_models
[bundles]
"""


def pin(folder: Path) -> dict[str, str]:
    """Verify every bundle under ``folder``, rewrite its ``manifest.toml`` and return the pins by name.

    Raises:
        ModelIntegrityError: a bundle is damaged, or lies in a folder of another name; nothing is written.
    """
    pins = {}
    for file in sorted(folder.glob(f"*/{BUNDLE_FILE}")):
        bundle = open_bundle(file.parent)
        if bundle.name != file.parent.name:
            raise ModelIntegrityError(f"{file} describes the bundle {bundle.name!r}; name its folder so")
        bundle.verify()
        pins[bundle.name] = file_sha256(file)
    lines = "".join(f'"{name}" = "{digest}"\n' for name, digest in pins.items())
    partial = folder / f"{MANIFEST}.partial"
    partial.write_text(HEAD + lines, encoding="utf-8")
    partial.replace(folder / MANIFEST)
    return pins


def main() -> None:
    """Parse the command line, pin, and print what was pinned."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=BUILT_IN, help="folder of bundles and of the manifest")
    folder: Path = parser.parse_args().folder
    for name, digest in pin(folder).items():
        sys.stdout.write(f"{name} {digest}\n")


if __name__ == "__main__":
    main()

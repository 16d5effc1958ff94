"""Add the models of this release to a CycloneDX bill of materials, each file with its hash.

``make sbom`` does so to the list of the packages that are installed::

    python -m guardrail.training.tools.sbom_models build/sbom.json
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from guardrail.models.bundle import BUNDLE_FILE, Bundle
from guardrail.models.store import BUILT_IN, list_bundles
from guardrail.training.bundles import file_sha256

ROOT = "root-component"


def add_models(bom: dict[str, Any], bundles: list[Bundle]) -> dict[str, Any]:
    """Return a bill of materials with one component more for each bundle, on which the root component depends.

    Raises:
        ValueError: ``bom`` is no CycloneDX document.
        ModelIntegrityError: a file differs from its hash: what is listed is what is there.
    """
    if bom.get("bomFormat") != "CycloneDX":
        raise ValueError(f"bomFormat is {bom.get('bomFormat')!r}; give a bill of materials that CycloneDX tools write")
    for bundle in bundles:
        bundle.verify()
    models = [_component(bundle) for bundle in bundles]
    names = {model["bom-ref"] for model in models}
    kept = [component for component in bom.get("components", []) if component.get("bom-ref") not in names]
    dependencies = {entry["ref"]: set(entry.get("dependsOn", [])) for entry in bom.get("dependencies", [])}
    dependencies[ROOT] = dependencies.get(ROOT, set()) | names
    graph = [{"ref": ref, "dependsOn": sorted(needed)} for ref, needed in sorted(dependencies.items())]
    return {**bom, "components": kept + models, "dependencies": graph}


def _component(bundle: Bundle) -> dict[str, Any]:
    pinned = {BUNDLE_FILE: file_sha256(bundle.path / BUNDLE_FILE), **bundle.files}
    files: list[dict[str, Any]] = [
        {"type": "file", "name": f"{bundle.name}/{name}", "hashes": [{"alg": "SHA-256", "content": pin}]}
        for name, pin in sorted(pinned.items())
    ]
    return {
        "type": "machine-learning-model",
        "bom-ref": f"model:{bundle.name}@{bundle.version}",
        "name": bundle.name,
        "version": bundle.version,
        "licenses": [{"license": {"id": bundle.license}}],
        "properties": [{"name": "guardrail:kind", "value": bundle.kind}],
        "hashes": [{"alg": "SHA-256", "content": pinned[BUNDLE_FILE]}],
        "components": files,
    }


def main() -> None:
    """Parse the command line and rewrite the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bom", type=Path, help="CycloneDX JSON, changed in place")
    bom: Path = parser.parse_args().bom
    shipped = [bundle for bundle in list_bundles() if bundle.path.parent == BUILT_IN]
    added = add_models(json.loads(bom.read_text(encoding="utf-8")), shipped)
    bom.write_text(json.dumps(added, indent=2) + "\n", encoding="utf-8")
    print(f"{bom}: {len(added['components'])} components, {len(shipped)} of them models")


if __name__ == "__main__":
    main()

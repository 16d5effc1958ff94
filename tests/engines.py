"""Start the real Ray and Spark on this machine alone, for the tests of what runs on them."""

from __future__ import annotations

import gc
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ROOT = str(Path(__file__).parents[1])


@contextmanager
def ray_running(folder: Path) -> Iterator[Any]:
    """Start Ray with one core; skips where it is missing."""
    with pytest.MonkeyPatch.context() as patch:
        # Workers import the fakes; tokens and usage reports would be written to the home folder.
        patch.setenv("PYTHONPATH", ROOT)
        patch.setenv("HOME", str(folder))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("RAY_DATA_DISABLE_PROGRESS_BARS", "1")
        ray = pytest.importorskip("ray", reason="needs the [ray] extra")
        pytest.importorskip("ray.data", reason="needs the [ray] extra")
        ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, configure_logging=False)
        try:
            yield ray
        finally:
            # The next Ray numbers its actors from one again: a handle of this one, collected then, would end its actor.
            gc.collect()
            ray.shutdown()


@contextmanager
def spark_running(folder: Path) -> Iterator[Any]:
    """Start Spark with one core; skips where it, pandas or Java is missing."""
    sql = pytest.importorskip("pyspark.sql", reason="needs the [spark] extra")
    pytest.importorskip("pandas", reason="needs the [spark] extra")
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        pytest.skip("Spark needs Java")
    settings = {
        "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.sql.warehouse.dir": str(folder),
        "spark.log.level": "OFF",
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", ROOT)
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        session = sql.SparkSession.builder.master("local[1]").config(map=settings).getOrCreate()
        try:
            yield session
        finally:
            session.stop()

"""Judge a column of a Spark data frame with a pandas UDF, with one guard a Python worker.

pip install "guardrail-sdk[spark]"       # and Java 17
python examples/spark_column.py
"""

from __future__ import annotations

import os
import sys

os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")

from pyspark.sql import SparkSession

from guardrail import Action, Guard, Policy
from guardrail.adapters.spark import guard_udf

ROWS = [
    (1, "The meeting is at nine."),
    (2, "Women are too emotional to lead a team."),
    (3, "Only an idiot would ask that."),
]


def build() -> Guard:
    """Build the guard of a worker, on the worker."""
    return Guard(Policy(action=Action.FLAG))


def main() -> None:
    """Judge the rows and print the verdicts as a table."""
    quiet = SparkSession.builder.config("spark.ui.showConsoleProgress", "false").config("spark.log.level", "ERROR")
    session = quiet.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
    frame = session.createDataFrame(ROWS, ["id", "text"]).coalesce(1)
    judged = frame.withColumn("guarded", guard_udf(build)("text"))
    judged.select("id", "guarded.action", "guarded.labels", "guarded.text").show(truncate=False)
    session.stop()


if __name__ == "__main__":
    main()

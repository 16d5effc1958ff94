"""Judge a column of a Ray dataset, with one guard an actor, and keep the rows in which nothing was found.

pip install "guardrail-sdk[ray]"
python examples/ray_data.py
"""

from __future__ import annotations

import os

# Ray reports how it is used, unless it is told not to.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import ray

from guardrail import Action, Guard, Policy
from guardrail.adapters.ray import guard_dataset

ROWS = [
    {"id": 1, "text": "The meeting is at nine."},
    {"id": 2, "text": "Women are too emotional to lead a team."},
    {"id": 3, "text": "Only an idiot would ask that."},
]


def build() -> Guard:
    """Build the guard of an actor, on the actor."""
    return Guard(Policy(action=Action.FLAG))


def main() -> None:
    """Judge the rows and print which may stay."""
    ray.init("local", num_cpus=1, include_dashboard=False, log_to_driver=False)
    rows = guard_dataset(ray.data.from_items(ROWS), column="text", guard=build).take_all()
    for row in rows:
        print(row["id"], row["guarded"]["action"], *row["guarded"]["labels"])
    print("kept:", [row["text"] for row in rows if not row["guarded"]["flagged"]])
    ray.shutdown()


if __name__ == "__main__":
    main()

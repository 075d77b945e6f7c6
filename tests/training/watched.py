"""Jobs whose students are watched."""

from typing import Any

from rglcd_pipelines.config import check
from rglcd_pipelines.training.job import Job

BRIGHT = "tests.rewards.own_reward:Brightness"
JUDGES = {
    "warmth": {"kind": "tests.training.own_experts:Warmth"},
    "dark": {"kind": BRIGHT, "options": {"of": -1.0}},
}


def watched(job: Job, stop: dict[str, Any] | None = None, **watch: Any) -> Job:
    """The job with a look every two steps; its rewards are held against `JUDGES`."""
    told = job.model_dump()
    told["settings"]["watch"] = {
        "every": 2,
        "prompts": 6,
        "steps": 2,
        "rewards": ["brightness", *JUDGES],
        "stop": stop,
        **watch,
    }
    return check(Job, told | {"rewards": told["rewards"] | JUDGES})

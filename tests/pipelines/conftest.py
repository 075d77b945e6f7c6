"""The project of tests that train."""

from typing import Any

import pytest

from tests.project import Project

STEPS = 4
"""Of a student, and of a latent reward model."""


@pytest.fixture
def small(project: Project) -> Project:
    """Few pairs, few steps, a narrow latent tower; everything else as it is in conf/base."""

    def few_pairs(content: dict[str, Any]) -> None:
        content["ingest"]["world"]["samples"] = 60

    def few_answers(content: dict[str, Any]) -> None:
        content["trajectories"]["draws"].update(steps=STEPS, batch_size=8)

    def few_steps(content: dict[str, Any]) -> None:
        content["distill"].update(steps=STEPS, report_every=2)
        content["distill"]["samples"].update(every=2, prompts=["a small red cat"], steps=[1, 2])

    def narrow(content: dict[str, Any]) -> None:
        content["lrm"]["tower"].update(width=8)
        content["lrm"]["pretrain"].update(steps=STEPS, batch_size=16, other_captions=20, report_every=2)
        content["lrm"]["pretrain"]["optimizer"].update(warmup_steps=1)
        content["lrm"]["zero_shot"].update(floor=0.0)
        content["matching"].update(batch_size=2)

    project.set("base/parameters_ingest.yml", few_pairs)
    project.set("base/parameters_trajectories.yml", few_answers)
    project.set("base/parameters_distill.yml", few_steps)
    project.set("base/parameters_lrm.yml", narrow)
    return project

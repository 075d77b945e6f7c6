"""`kedro run` of evaluate, report, arena and votes on a fresh checkout, at their smallest."""

import json
from typing import Any

import pytest

from tests.pipelines.conftest import STEPS
from tests.project import Project

pytestmark = pytest.mark.slow

STUDENTS = ("lcm", "hps")
RUNS = "SELECT run_uuid, name, experiment_id FROM runs"


@pytest.fixture
def few(small: Project) -> Project:
    """Few prompts, few pictures, two students."""

    def few_prompts(content: dict[str, Any]) -> None:
        told = content["evaluate"]
        told["sets"]["hpsv2"].update(count=40)
        told["sets"]["captions"].update(count=8)
        told["sets"]["diversity"].update(count=2, repeats=2)
        told["draw"].update(steps=[2, 4], shard_size=32)
        told["draw"]["teacher"]["ddim-50"].update(steps=4)
        told["draw"]["teacher"]["dpm-25"].update(steps=3)
        told["reference"].update(count=200)

    def a_pair(content: dict[str, Any]) -> None:
        content["report"].update(students="pair", lists={"pair": list(STUDENTS)}, prompts=2)
        content["arena"].update(prompts=2)

    small.set("base/parameters_evaluate.yml", few_prompts)
    small.set("base/parameters_report.yml", a_pair)
    return small


def test_evaluate_and_report_land_where_people_look(few: Project) -> None:
    done = few.run("kedro", "run", "--pipeline=evaluate", "--params=variant=hps")
    assert done.returncode == 0, done.stderr
    made = few.path / "data/07_model_output/base"
    for name in (*STUDENTS, "teacher"):
        assert (made / "samples" / name / "manifest.json").is_file()
        figures = json.loads((made / "scores" / name / "manifest.json").read_text(encoding="utf-8"))[
            "figures"
        ]
        column = "ddim-50" if name == "teacher" else "4"
        assert {f"{column}/hpsv2/hps", f"{column}/hpsv2/gold", f"{column}/captions/fid"} <= set(figures)

    # One row a student: that of the session itself, and the LCM's, which came beside.
    runs = {name: (run, experiment) for run, name, experiment in few.mlflow(RUNS)}
    assert set(runs) == {*STUDENTS, "teacher"}
    for name in STUDENTS:
        run, _ = runs[name]
        known = dict(few.mlflow(f"SELECT key, value FROM latest_metrics WHERE run_uuid = '{run}'"))
        tags = dict(few.mlflow(f"SELECT key, value FROM tags WHERE run_uuid = '{run}'"))
        params = dict(few.mlflow(f"SELECT key, value FROM params WHERE run_uuid = '{run}'"))
        assert "scores/4/hpsv2/hps" in known
        assert "distill/student/lcd" in known
        assert (tags["variant"], tags["student"], tags["scores"]) == (name, "made", "made")
        assert (params["variant"], params["seed"], params["distill.steps"]) == (name, "0", str(STEPS))
        assert not [key for key in known if "ddim" in key]
        assert ("against_lcm/4/hpsv2/hps" in known) == (name == "hps")
    run, _ = runs["teacher"]
    known = dict(few.mlflow(f"SELECT key, value FROM latest_metrics WHERE run_uuid = '{run}'"))
    assert {"scores/ddim-50/hpsv2/hps", "samples/seconds_per_image/ddim-50"} <= set(known)
    statuses = few.mlflow("SELECT status FROM runs")
    assert {status for (status,) in statuses} == {"FINISHED"}

    report = few.run("kedro", "run", "--pipeline=report")
    assert report.returncode == 0, report.stderr
    assert "the scores are there already; nothing to do" in report.stderr
    place = few.path / "data/08_reporting/base/report"
    assert {"table1.json", "table1.csv", "table1.md", "report.html"} <= {
        file.name for file in place.iterdir()
    }
    page = (place / "report.html").read_text(encoding="utf-8")
    for run, experiment in (runs[name] for name in STUDENTS):
        assert f"/#/experiments/{experiment}/runs/{run}" in page
    assert len(few.mlflow(RUNS)) == 4  # the report's own, and no other

    again = few.run("kedro", "run", "--pipeline=evaluate", "--params=variant=hps")
    assert again.returncode == 0, again.stderr
    parents = few.mlflow("SELECT value FROM tags WHERE key = 'mlflow.parentRunId'")
    assert parents == [(runs["hps"][0],)]  # a session that found the student is a part of that one's row
    repro = few.run("dvc", "repro", "evaluate-hps")  # dvc.yaml has a report of more students than these
    assert repro.returncode == 0, repro.stderr
    assert "Running stage" not in repro.stdout

    arena = few.run("kedro", "run", "--pipeline=arena")
    assert arena.returncode == 0, arena.stderr
    assert (few.path / "data/08_reporting/base/arena/arena.html").is_file()
    votes = few.run("kedro", "run", "--pipeline=votes")
    assert votes.returncode == 1
    assert "Traceback" not in votes.stderr
    assert "votes" in votes.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ("evaluate.baseline=lcmm", ["evaluate.baseline: there is no student 'lcmm'; did you mean lcm?"]),
        (
            "report.students=tabel1,evaluate.draw.batch_size=0",
            [
                "report: students is 'tabel1'; there is table1, story",
                "evaluate.draw.batch_size: should be greater than or equal to 1, not 0",
            ],
        ),
        ("evaluate.sets.hpsv2.path=nowhere", ["there is no such file"]),
        ("evaluate.reference.path=nowhere", ["Set evaluate.reference.path to one"]),
        (
            "variants.teacher.batch_size=8",
            ["variants.teacher: is the name of the teacher's samples; choose another"],
        ),
    ],
)
def test_mistakes_in_an_evaluation_are_refused_before_anything_runs(
    project: Project, parameters: str, told: list[str]
) -> None:
    run = project.run("kedro", "run", "--pipeline=evaluate", f"--params={parameters}")
    assert run.returncode == 1
    assert [words for words in told if words not in run.stderr] == []
    assert "Traceback" not in run.stdout + run.stderr
    assert not (project.path / "data/02_intermediate").exists()

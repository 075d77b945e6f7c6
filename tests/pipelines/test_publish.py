"""`kedro run --pipeline=publish`: only by its own name, and from the command line to the hub."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from rglcd_pipelines.dvc_graph import graph
from rglcd_pipelines.pipeline_registry import ON_REQUEST, register_pipelines
from rglcd_pipelines.training.publishing import PublishConfig
from tests.project import Project
from tests.training.tiny_student import content, make_student
from tests.training.writable_hub import TOKEN, Hub, serve

ROOT = Path(__file__).resolve().parents[2]
COMMAND = ("kedro", "run", "--pipeline=publish")
WHERE = "publish.repository=me/tiny,variant=lcm"


def test_only_its_own_name_publishes() -> None:
    for name, pipeline in register_pipelines().items():
        nodes = {node.name for node in pipeline.nodes}
        assert nodes == {"publish"} if name == "publish" else "publish" not in nodes


def test_nothing_stands_between_publishing_and_the_stages() -> None:
    pipelines = register_pipelines()
    (node,) = pipelines["publish"].nodes
    assert node.tags == {"publish"} <= set(ON_REQUEST)
    assert all(name.startswith("params:") for name in node.inputs)
    assert not set(node.outputs) & pipelines["__default__"].datasets()


def test_the_configuration_sends_nothing_anywhere() -> None:
    values = yaml.safe_load((ROOT / "conf/base/parameters_publish.yml").read_text(encoding="utf-8"))
    assert PublishConfig.model_validate(values["publish"]) == PublishConfig()
    assert set(values["publish"]) == set(PublishConfig.model_fields)


@pytest.mark.slow
def test_dvc_knows_nothing_of_it() -> None:
    told = json.dumps(graph(ROOT))
    assert "publish" not in told
    assert "publish" not in (ROOT / "dvc.yaml").read_text(encoding="utf-8")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serve(Hub()) as hub:
        for name, value in {
            "HF_ENDPOINT": hub.url,
            "HF_HOME": str(tmp_path / "hf"),
            "HF_TOKEN": TOKEN,
            "HF_HUB_DISABLE_XET": "1",
            "NO_PROXY": "127.0.0.1",
        }.items():
            monkeypatch.setenv(name, value)
        yield hub


@pytest.mark.slow
def test_from_the_command_line_to_the_hub(project: Project, hub: Hub) -> None:
    students = project.path / "data" / "06_models" / "base" / "students"
    student = make_student(students / "lcm")
    run = project.run(*COMMAND, f"--params={WHERE}")
    assert run.returncode == 0, run.stdout + run.stderr
    repository = hub.repositories["me/tiny"]
    assert repository.files == content(student)
    assert repository.private
    url = f"{hub.url}/me/tiny/commit/{repository.branches['main']}"
    assert f"published: {url}" in _flat(run.stdout + run.stderr)
    assert TOKEN not in run.stdout + run.stderr
    tags = dict(project.mlflow("SELECT key, value FROM tags"))
    assert not [value for (value,) in project.mlflow("SELECT value FROM params") if TOKEN in value]
    assert tags["published.repository"] == "me/tiny"
    assert tags["published.commit"] == url
    assert tags["published.student"] == student.digest
    assert sorted(folder.name for folder in students.iterdir()) == [".partial", "lcm", "lcm.metrics.json"]

    again = project.run(*COMMAND, f"--params={WHERE}")
    assert again.returncode == 0
    assert "nothing to do" in _flat(again.stderr + again.stdout)
    assert len(repository.messages) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("parameters", "token", "told"),
    [
        ("variant=lcm", TOKEN, "publish.repository: is not set"),
        ("variant=hps,publish.repository=me/tiny", TOKEN, "--pipeline=distill --params=variant=hps"),
        (WHERE, "hf_wrong", "me/tiny: the hub does not take the token"),
    ],
)
def test_what_cannot_be_published_is_told_in_a_line(
    project: Project, hub: Hub, monkeypatch: pytest.MonkeyPatch, parameters: str, token: str, told: str
) -> None:
    make_student(project.path / "data" / "06_models" / "base" / "students" / "lcm")
    monkeypatch.setenv("HF_TOKEN", token)
    run = project.run(*COMMAND, f"--params={parameters}")
    assert run.returncode == 1
    assert told in run.stderr.splitlines()[-1]
    assert "Traceback" not in run.stdout + run.stderr
    assert hub.repositories == {}
    assert not (project.path / "data" / "06_models" / "base" / "students" / "hps").exists()


def _flat(text: str) -> str:
    """A log without the line breaks that Kedro's handler puts between its columns."""
    return " ".join(text.split())

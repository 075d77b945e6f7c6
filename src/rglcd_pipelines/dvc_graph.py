"""DVC's view of the pipelines: `dvc.yaml`, written from them so that it cannot drift.

    python -m rglcd_pipelines.dvc_graph           writes dvc.yaml
    python -m rglcd_pipelines.dvc_graph --check   fails when it differs from the pipelines

A stage of DVC is a stage of Kedro: its parameters and outputs come from Kedro's own snapshot of the project.
Students are many: what each variant has for itself is a stage of its own, with the parameters that are its
own. Students of a series are no stages: `kedro run` alone makes them.
What its nodes only pass to each other, without a place in the catalog, is no output. A parameter that names a
path inside `data/` is a dependency. A recipe is frozen: git has what it makes, so DVC neither runs it nor
keeps a copy. What runs on request only, as publishing does, is no stage.
Code is no dependency: what changes data counts up the format number in `made_from` instead, so that a
renamed variable does not cost a night of encoding. Nor are files outside of the project (your own shards, a
list of URLs): `kedro run` notices when they change, `dvc repro` does not.
"""

import argparse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from rglcd_pipelines.config import check
from rglcd_pipelines.dvc_record import value_of
from rglcd_pipelines.errors import ConfigError
from rglcd_pipelines.pipeline_registry import ON_REQUEST, RECIPES, with_everybody
from rglcd_pipelines.pipelines.parameters import data_paths
from rglcd_pipelines.pipelines.stages import stage_of
from rglcd_pipelines.training.settings import VariantConfig

ParameterFiles = dict[str, tuple[str, Any]]

FILE = "dvc.yaml"
HEADER = "# Written by `python -m rglcd_pipelines.dvc_graph` from the registered pipelines; do not edit.\n"


@dataclass
class Entry:
    """A stage, and what its nodes ask for and leave."""

    tag: str
    """Its name here."""
    stage: str
    student: str | None
    """Whose stage it is, if it is a variant's."""
    inputs: set[str] = field(default_factory=set[str])
    params: set[str] = field(default_factory=set[str])
    outputs: set[str] = field(default_factory=set[str])


def graph(project: Path) -> dict[str, Any]:
    """The content of dvc.yaml: one stage for each pipeline stage of the base environment."""
    files = _parameter_files(project)
    with with_everybody():
        return {"stages": _of_snapshot(project, files)}


def _of_snapshot(project: Path, files: ParameterFiles) -> dict[str, Any]:
    """Every stage as Kedro sees it."""
    from kedro.inspection import get_project_snapshot

    snapshot = get_project_snapshot(project, env="base")
    nodes = {node.name: node for pipeline in snapshot.pipelines for node in pipeline.nodes}
    paths = {
        name: _path(dataset.filepath, project)
        for name, dataset in snapshot.datasets.items()
        if dataset.filepath is not None
    }
    entries: dict[str, Entry] = {}
    for node in nodes.values():
        (tag,) = node.tags
        stage = stage_of(node)
        if stage in ON_REQUEST:
            continue
        student = node.namespace if node.namespace in files["variants"][1] else None
        entry = entries.setdefault(tag, Entry(tag, stage, student))
        for name in node.inputs:
            if name.startswith("params:"):
                entry.params.add(name.removeprefix("params:"))
            else:
                entry.inputs.add(name)
        entry.outputs |= set(node.outputs)
    return {tag: _stage(entry, paths, files) for tag, entry in entries.items()}


def _stage(entry: Entry, paths: dict[str, str], files: ParameterFiles) -> dict[str, Any]:
    homeless = sorted(name for name in entry.inputs - entry.outputs if name not in paths)
    if homeless:
        raise ConfigError(f"{homeless[0]}: passes between two stages; catalog.yml must give it a filepath.")
    params: dict[str, list[str]] = {}
    deps = {paths[name] for name in entry.inputs - entry.outputs}
    for key in sorted(key for key in entry.params if not key.startswith("places")):
        file, values = files.get(key) or _missing(key)
        for own in _own_keys(key, files, entry):
            params.setdefault(file, []).append(own)
            deps |= set(data_paths(value_of({key: values}, own)))
    outs = sorted(paths[name] for name in entry.outputs if name in paths)
    frozen = entry.stage in RECIPES
    described = {
        "cmd": _command(entry),
        "deps": sorted(deps),
        "params": [{file: keys} for file, keys in params.items()],
        "outs": [{out: {"cache": False}} for out in outs] if frozen else outs,
        "frozen": frozen,
    }
    return {key: value for key, value in described.items() if value}


def _command(entry: Entry) -> str:
    """It makes what DVC will look for and nothing that another stage of DVC would make again."""
    asked = f" --params=variant={entry.student}" if entry.student else ""
    return f"kedro run --pipelines={entry.tag}{asked}"


def _own_keys(key: str, files: ParameterFiles, entry: Entry) -> list[str]:
    """What a stage depends on of a parameter: of all variants itself, of all rewards its own."""
    if key == "series":
        return []
    if key == "variants" and entry.student:
        return [f"variants.{entry.student}"]
    if key == "rewards":
        if entry.stage == "evaluate":
            return [f"rewards.{name}" for name in files["evaluate"][1]["judges"]]
        chosen = check(VariantConfig, files["variants"][1][entry.student], f"variants.{entry.student}")
        return [f"rewards.{name}" for name in chosen.rewards]
    return [key]


def _parameter_files(project: Path) -> ParameterFiles:
    """Every parameter of the base environment: the file that it stands in, and its value.

    Plain literals, that DVC reads as they are.
    """
    import yaml

    found: ParameterFiles = {}
    for file in sorted((project / "conf" / "base").glob("parameters*.yml")):
        values = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
        found |= {key: (_path(str(file), project), value) for key, value in values.items()}
    return found


def _missing(key: str) -> NoReturn:
    raise ConfigError(f"{key}: a node asks for this parameter, but no conf/base/parameters_*.yml has it.")


def _path(filepath: str, project: Path) -> str:
    path = Path(filepath)
    return (path.relative_to(project) if path.is_absolute() else path).as_posix()


def text(project: Path) -> str:
    """dvc.yaml, as it should be."""
    import yaml

    return HEADER + yaml.safe_dump(graph(project), sort_keys=False, allow_unicode=True, width=100)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m rglcd_pipelines.dvc_graph", description="Write dvc.yaml."
    )
    parser.add_argument("--check", action="store_true", help="fail if dvc.yaml differs, and write nothing")
    arguments = parser.parse_args()
    project = Path.cwd()
    file, wanted = project / FILE, text(project)
    if arguments.check:
        if not file.is_file() or file.read_text(encoding="utf-8") != wanted:
            print(f"{FILE} is not what the pipelines say. Write it: python -m rglcd_pipelines.dvc_graph")
            return 1
        return 0
    file.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

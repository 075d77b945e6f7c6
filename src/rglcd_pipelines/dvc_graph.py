"""DVC's view of the pipelines: `dvc.yaml`, written from them so that it cannot drift.

    python -m rglcd_pipelines.dvc_graph           writes dvc.yaml
    python -m rglcd_pipelines.dvc_graph --check   fails when it differs from the pipelines

A stage of DVC is a stage of Kedro: its parameters and outputs come from Kedro's own snapshot of the project.
What its nodes only pass to each other, without a place in the catalog, is no output. A parameter that names a
path inside `data/` is a dependency. A recipe is frozen: git has what it makes, so DVC neither runs it nor
keeps a copy.
Code is no dependency: what changes data counts up the format number in `made_from` instead, so that a
renamed variable does not cost a night of encoding. Nor are files outside of the project (your own shards, a
list of URLs): `kedro run` notices when they change, `dvc repro` does not.
"""

import argparse
from pathlib import Path
from typing import Any

from rglcd_pipelines.errors import ConfigError
from rglcd_pipelines.pipeline_registry import RECIPES
from rglcd_pipelines.pipelines.parameters import data_paths

FILE = "dvc.yaml"
HEADER = "# Written by `python -m rglcd_pipelines.dvc_graph` from the registered pipelines; do not edit.\n"


def graph(project: Path) -> dict[str, Any]:
    """The content of dvc.yaml: one stage for each pipeline stage of the base environment."""
    from kedro.inspection import get_project_snapshot

    snapshot = get_project_snapshot(project, env="base")
    nodes = {node.name: node for pipeline in snapshot.pipelines for node in pipeline.nodes}
    paths = {
        name: _path(dataset.filepath, project)
        for name, dataset in snapshot.datasets.items()
        if dataset.filepath is not None
    }
    stages: dict[str, Any] = {}
    for node in nodes.values():
        (stage,) = node.tags
        entry = stages.setdefault(stage, {"inputs": set(), "params": set(), "outputs": set()})
        for name in node.inputs:
            if name.startswith("params:"):
                entry["params"].add(name.removeprefix("params:"))
            else:
                entry["inputs"].add(name)
        entry["outputs"] |= set(node.outputs)
    return {"stages": {name: _stage(name, entry, paths, project) for name, entry in stages.items()}}


def _stage(name: str, entry: dict[str, Any], paths: dict[str, str], project: Path) -> dict[str, Any]:
    keys = sorted(key for key in entry["params"] if not key.startswith("places."))
    files = {key: _parameter_file(key, project) for key in keys}
    homeless = sorted(name for name in entry["inputs"] - entry["outputs"] if name not in paths)
    if homeless:
        raise ConfigError(f"{homeless[0]}: passes between two stages; catalog.yml must give it a filepath.")
    deps = {paths[name] for name in entry["inputs"] - entry["outputs"]}
    for key, file in files.items():
        deps |= set(data_paths(_values(project / file).get(key)))
    outs = sorted(paths[name] for name in entry["outputs"] if name in paths)
    frozen = name in RECIPES
    described = {
        "cmd": f"kedro run --pipelines={name}",
        "deps": sorted(deps),
        "params": [{file: [key]} for key, file in files.items()],
        "outs": [{out: {"cache": False}} for out in outs] if frozen else outs,
        "frozen": frozen,
    }
    return {key: value for key, value in described.items() if value}


def _parameter_file(key: str, project: Path) -> str:
    """Each stage's parameters stand in a file of their own, in plain literals that DVC reads as they are."""
    file = f"conf/base/parameters_{key.split('.')[0]}.yml"
    if not (project / file).is_file():
        raise ConfigError(f"{file}: is missing; the parameters of a stage stand in a file named after it.")
    return file


def _values(file: Path) -> dict[str, Any]:
    import yaml

    return yaml.safe_load(file.read_text(encoding="utf-8")) or {}


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

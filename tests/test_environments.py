"""Every environment's parameters are valid, and none can write where another writes."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from rglcd_pipelines.config import check
from rglcd_pipelines.errors import ConfigError
from rglcd_pipelines.evaluation.preflight import check_arena, check_report
from rglcd_pipelines.evaluation.settings import WATCHED
from rglcd_pipelines.pipelines.parameters import Parameters
from rglcd_pipelines.settings import CONFIG_LOADER_ARGS, EnvironmentConfigLoader

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENTS = sorted(folder.name for folder in (ROOT / "conf").iterdir() if folder.is_dir())


def load(env: str | None, **runtime: Any) -> dict[str, Any]:
    loader = EnvironmentConfigLoader(str(ROOT / "conf"), env, runtime_params=runtime, **CONFIG_LOADER_ARGS)
    return loader["parameters"]


def test_the_papers_scales_are_there() -> None:
    assert ENVIRONMENTS == ["base", "sd15", "sd21", "sd21_base", "sdxl"]


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_parameters_are_valid(env: str) -> None:
    parameters = check(Parameters, load(env))
    assert parameters.variant in parameters.variants
    assert f"/{env}/" in parameters.places.latents


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_a_report_and_an_arena_are_of_what_is_drawn_and_judged(env: str) -> None:
    parameters = check(Parameters, load(env))
    check_report(parameters.report, parameters.evaluate, parameters.rewards)
    check_arena(parameters.arena, parameters.evaluate)


STUDENTS, TEACHERS = (
    "no column of students with the prompts of",
    "no column of the teacher with the prompts of",
)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            {"report": {"columns": ["3"]}},
            f"report.columns: there is {STUDENTS} hpsv2 '3'; there is 1, 2, 4, 8",
        ),
        (
            {"report": {"columns": ["1", "4"]}},
            f"report.columns: there is {STUDENTS} captions '1'; there is 2, 4",
        ),
        ({"report": {"baseline_column": "8"}}, f"report.baseline_column: there is {STUDENTS} captions '8'"),
        ({"report": {"teacher_column": "dpm-25"}}, f"report.teacher_column: there is {TEACHERS} captions"),
        ({"report": {"fast_columns": ["dpm-3"]}}, "report.fast_columns: there is no column of the teacher"),
        ({"report": {"distance_set": "coco"}}, "report.distance_set: there is no prompt set 'coco'"),
        ({"report": {"benchmark": "hps"}}, "report.benchmark: there is no prompt set 'hps'"),
        (
            {"report": {"score": "hpsv2"}},
            "report.score: there is no measure of a judge 'hpsv2'; there is hps, p",
        ),
        ({"report": {"gold": "silver"}}, "report.gold: there is no measure of a judge 'silver'"),
        ({"report": {"noise": "noise"}}, "report.noise or traces: there is no measure of pictures 'noise'"),
        ({"arena": {"set": "coco"}}, "arena.set: there is no prompt set 'coco'; there is hpsv2"),
        (
            {"arena": {"set": "diversity"}, "evaluate": {"sets": {"diversity": {"steps": ["4"]}}}},
            "arena.pairings: there is no column of hps with the prompts of diversity '2'; there is 4",
        ),
    ],
)
def test_a_report_or_an_arena_of_what_nobody_draws_or_judges(change: dict[str, Any], told: str) -> None:
    parameters = check(Parameters, load(None, **change))

    def both() -> None:
        check_report(parameters.report, parameters.evaluate, parameters.rewards)
        check_arena(parameters.arena, parameters.evaluate)

    with pytest.raises(ConfigError, match=re.escape(told)):
        both()


@pytest.mark.parametrize(
    ("env", "pixels"), [("sd15", 512), ("sd21_base", 512), ("sd21", 768), ("sdxl", 1024)]
)
def test_a_scale_has_its_size_and_a_pinned_autoencoder(env: str, pixels: int) -> None:
    parameters = check(Parameters, load(env))
    assert parameters.encode.resolution == pixels
    assert parameters.encode.vae.source == "hub"
    assert len(parameters.encode.vae.revision or "") == 40
    assert parameters.ingest.source == "shards"


def test_no_two_environments_share_a_place_but_that_of_downloads() -> None:
    places = [place for env in ENVIRONMENTS for name, place in load(env)["places"].items() if name != "hub"]
    assert len(places) == len(set(places))
    assert {load(env)["places"]["hub"] for env in ENVIRONMENTS} == {"data/01_raw/hub"}


def test_two_loaders_in_one_process_keep_their_environments_apart() -> None:
    first = EnvironmentConfigLoader(str(ROOT / "conf"), "sd15", **CONFIG_LOADER_ARGS)
    second = EnvironmentConfigLoader(str(ROOT / "conf"), "sdxl", **CONFIG_LOADER_ARGS)
    assert first["parameters"]["places"]["pairs"] == "data/02_intermediate/sd15/pairs"
    assert second["parameters"]["places"]["pairs"] == "data/02_intermediate/sdxl/pairs"


def test_an_environment_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"--env=sd51: there is no such environment.*did you mean sd21\?"):
        load("sd51")


@pytest.mark.parametrize("name", ["parametrs_ingest.yml", "paramters.yaml", "deep/ingest.yml", "global.yml"])
def test_a_file_that_nothing_reads_is_refused(tmp_path: Path, name: str) -> None:
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    file = tmp_path / "conf" / "mine" / name
    file.parent.mkdir(parents=True)
    file.write_text("ingest: {source: world}")
    with pytest.raises(ConfigError, match=f"{name}: nothing reads a file of this name"):
        EnvironmentConfigLoader(str(tmp_path / "conf"), "mine", **CONFIG_LOADER_ARGS)


def test_without_an_environment_the_base_is_meant() -> None:
    assert load(None) == load("base")


def test_an_unknown_top_level_name_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"ingst: there is no such parameter; did you mean ingest\?"):
        check(Parameters, load(None, ingst={"source": "world"}))


def test_a_parameter_given_on_the_command_line_keeps_its_neighbours() -> None:
    changed = check(Parameters, load(None, encode={"batch_size": 7}))
    plain = check(Parameters, load(None))
    assert changed.encode.batch_size == 7
    assert changed.encode.vae == plain.encode.vae


def test_a_vision_language_judge_has_three_measures() -> None:
    eye = {
        "kind": "judge",
        "judge": {"base_url": "http://localhost:1/v1", "model": "m", "key_variable": None},
    }
    more = {"rewards": {"eye": eye}, "evaluate": {"judges": ["hps", "pick", "imgrwd", "clip", "gold", "eye"]}}
    parameters = check(Parameters, load(None, **more, report={"score": "eye_overall"}))
    check_report(parameters.report, parameters.evaluate, parameters.rewards)
    parameters = check(Parameters, load(None, **more, report={"score": "eye"}))
    with pytest.raises(
        ConfigError, match=r"no measure of a judge 'eye'; there is .*eye_semantic, eye_quality"
    ):
        check_report(parameters.report, parameters.evaluate, parameters.rewards)


def test_measures_of_pictures_are_known_without_torch() -> None:
    from rglcd_pipelines.evaluation.scores.measuring import LOOKS

    assert (*LOOKS, "reconstruction") == WATCHED

"""Every environment's parameters are valid, and none can write where another writes."""

from pathlib import Path
from typing import Any

import pytest

from rglcd_pipelines.config import check
from rglcd_pipelines.errors import ConfigError
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
    check(Parameters, load(env))


@pytest.mark.parametrize(
    ("env", "pixels"), [("sd15", 512), ("sd21_base", 512), ("sd21", 768), ("sdxl", 1024)]
)
def test_a_scale_has_its_size_and_a_pinned_autoencoder(env: str, pixels: int) -> None:
    parameters = check(Parameters, load(env))
    assert parameters.encode.resolution == pixels
    assert parameters.encode.vae.source == "hub"
    assert len(parameters.encode.vae.revision or "") == 40
    assert parameters.ingest.source == "shards"


def test_no_two_environments_share_a_place() -> None:
    places = [place for env in ENVIRONMENTS for place in load(env)["places"].values()]
    assert len(places) == len(set(places))


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

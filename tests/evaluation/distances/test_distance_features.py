"""Features of pictures: the miniature world's, Inception's, and others'."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from rglcd_pipelines.config import check
from rglcd_pipelines.errors import ConfigError, DataError
from rglcd_pipelines.evaluation.distances.features import InceptionFeatures, Prepared, load_features
from rglcd_pipelines.evaluation.distances.frechet import frechet_distance, moments
from rglcd_pipelines.evaluation.distances.identity import features_identity
from rglcd_pipelines.evaluation.distances.kernel import kernel_distance_of_subsets
from rglcd_pipelines.evaluation.distances.manifold import precision_recall
from rglcd_pipelines.evaluation.distances.preparing import prepare
from rglcd_pipelines.evaluation.distances.settings import FeaturesConfig
from rglcd_pipelines.evaluation.distances.world_features import WorldFeatures, patterns
from rglcd_pipelines.measures.robustness import jpeg
from rglcd_pipelines.world.folder import COMMITTED
from rglcd_pipelines.world.render import render_batch
from rglcd_pipelines.world.scenes import Scene, draw_scenes
from rglcd_pipelines.world.vocabulary import NOUNS
from tests.evaluation.distances.own_features import Colours

CPU = torch.device("cpu")
ROOT = Path(__file__).parents[3]
JUDGE = ROOT / COMMITTED / "judge"
OWN = "tests.evaluation.distances.own_features:Colours"


def config(**values: Any) -> FeaturesConfig:
    return check(FeaturesConfig, values, "evaluate.features")


def renders(scenes: list[Scene]) -> Tensor:
    return torch.from_numpy(render_batch(scenes, 32)).permute(0, 3, 1, 2).contiguous()


def random_bytes(*shape: int, seed: int = 0) -> Tensor:
    return torch.randint(256, shape, generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


@pytest.fixture(scope="module")
def world() -> WorldFeatures:
    return WorldFeatures.load(JUDGE, CPU)


def test_the_worlds_features_grow_with_every_fault(world: WorldFeatures) -> None:
    """Noise, blur, JPEG, paler colours and missing nouns, each the more the worse."""
    scenes = draw_scenes(1, 0, 200, held_out=True)
    images = renders(scenes)
    real = moments(world(renders(draw_scenes(2, 0, 400, held_out=True))).numpy())

    def distance(pictures: Tensor) -> float:
        return frechet_distance(moments(world(pictures).numpy()), real)

    def of_floats(values: Tensor) -> float:
        return distance((values.clamp(0, 1) * 255).round().byte())

    unit = images.float() / 255
    noise = torch.randn(unit.shape, generator=torch.Generator().manual_seed(0))
    grey = unit.mean(1, keepdim=True)
    soft = F.avg_pool2d(F.pad(unit, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    nouns = list(NOUNS)
    few = {
        n: [s for s in draw_scenes(3, 0, 8_000, held_out=True) if s.noun in nouns[:n]][:200] for n in (24, 8)
    }
    good = distance(images)
    for faults in (
        [of_floats(unit + sigma * noise) for sigma in (0.03, 0.08)],
        [of_floats(unit.lerp(soft, share)) for share in (0.4, 0.8)],
        [of_floats(jpeg(unit, quality)) for quality in (70, 30)],
        [of_floats(unit.lerp(grey, share)) for share in (0.3, 0.6)],
        [distance(renders(few[n])) for n in (24, 8)],
    ):
        assert 1.05 * good < faults[0]
        assert all(1.2 * less < more for less, more in pairwise(faults))


def test_the_worlds_features_share_a_hundred_between_what_is_shown_and_surfaces(world: WorldFeatures) -> None:
    """What their weights are for: neither part drowns the other."""
    found = world(renders(draw_scenes(2, 0, 600, held_out=True)))
    assert found.shape == (600, 170)
    assert found.dtype == torch.float32
    shown, surfaces = (float(part.var(0).sum()) for part in (found[:, :128], found[:, 128:]))
    assert shown == pytest.approx(80, rel=0.15)
    assert surfaces == pytest.approx(20, rel=0.15)


def test_patterns_are_a_set_of_directions_that_ignore_brightness() -> None:
    flat = patterns().flatten(1)
    assert torch.allclose(flat @ flat.T, torch.eye(14), atol=1e-6)
    assert torch.allclose(patterns().sum((2, 3)), torch.zeros(14, 3), atol=1e-6)


def test_the_worlds_features_want_the_worlds_size(world: WorldFeatures) -> None:
    with pytest.raises(DataError, match=r"\[B, 3, 32, 32\], not \[2, 3, 64, 64\].*inception"):
        world(random_bytes(2, 3, 64, 64))
    with pytest.raises(DataError, match="holds no whole judge"):
        load_features(config(kind="world", id="nowhere"), CPU)


def test_batches_and_sizes_are_as_the_settings_say() -> None:
    own = Colours(CPU)
    found = Prepared(own, config(kind=OWN, size=16, batch_size=2))(random_bytes(5, 3, 20, 30))
    assert own.seen == [(2, 3, 16, 16), (2, 3, 16, 16), (1, 3, 16, 16)]
    assert found.shape == (5, 3)
    same = random_bytes(3, 3, 16, 16)
    assert torch.equal(Prepared(own, config(kind=OWN, size=16))(same), own(same))
    with pytest.raises(ValueError, match="bytes"):
        Prepared(own, config(kind=OWN))(same.float())


def test_preparing_is_the_middle_square_by_lanczos() -> None:
    picture = Image.fromarray(random_bytes(40, 64, 3).numpy())
    found = prepare(picture, 20)
    assert found.size == (20, 20)
    expected = picture.crop((12, 0, 52, 40)).resize((20, 20), Image.Resampling.LANCZOS)
    assert np.array_equal(np.asarray(found), np.asarray(expected))
    tall = picture.transpose(Image.Transpose.TRANSPOSE)
    expected = tall.crop((0, 12, 40, 52)).resize((20, 20), Image.Resampling.LANCZOS)
    assert np.array_equal(np.asarray(prepare(tall, 20)), np.asarray(expected))
    assert prepare(picture, None) is picture


def test_a_class_of_ones_own() -> None:
    features = load_features(config(kind=OWN, options={"of": 2.0}), CPU)
    images = random_bytes(3, 3, 8, 8)
    assert features.name == "colours"
    assert torch.allclose(features(images), 2 * images.float().mean((2, 3)))


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"kind": "nowhere:Class"}, "evaluate.features.kind: nowhere:Class cannot be imported"),
        ({"kind": f"{OWN}less"}, "cannot be imported"),
        ({"kind": OWN, "options": {"colour": 1}}, "evaluate.features.options: .* does not take them"),
        ({"kind": OWN.replace("Colours", "Nameless")}, "has no name, or cannot be called"),
    ],
)
def test_a_class_that_is_none_is_told(values: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        load_features(config(**values), CPU)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"kind": "incepton"}, "did you mean inception"),
        ({"kind": "world"}, "give id, the folder of the world's judge"),
        ({"kind": "world", "id": "x", "file": "y"}, "and nothing else"),
        ({"kind": "inception", "id": "x"}, "id or file is missing"),
        ({"kind": "inception", "id": "x", "file": "y", "source": "hub"}, "revision is missing; pin x"),
        ({"kind": "world", "id": "x", "options": {"of": 1}}, "options mean nothing for world"),
        ({"kind": OWN, "id": "x"}, "id and file mean nothing for a class of your own"),
        ({"kind": "world", "id": "x", "size": 4}, "evaluate.features.size"),
        ({"kind": "world", "id": "x", "batch": 4}, "did you mean evaluate.features.batch_size"),
    ],
)
def test_impossible_settings_are_told(values: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        config(**values)


def test_identity_is_what_changes_features(tmp_path: Path) -> None:
    (tmp_path / "weights.safetensors").write_bytes(b"one")
    one = config(kind="inception", id=str(tmp_path), file="weights.safetensors")
    told = features_identity(one)
    assert features_identity(one.model_copy(update={"batch_size": 2})) == told
    assert features_identity(one.model_copy(update={"size": 256})) != told
    (tmp_path / "weights.safetensors").write_bytes(b"two")
    assert features_identity(one) != told
    assert features_identity(None) is None
    assert features_identity(config(kind=OWN, options={"of": 1})) != features_identity(config(kind=OWN))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Inception as it is before it learns, in a file as torch-fidelity publishes it."""
    from torch_fidelity import FeatureExtractorInceptionV3

    class Untrained(FeatureExtractorInceptionV3):
        def load_state_dict(self, *_: Any, **__: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
            """There is nothing to load."""

    folder = tmp_path_factory.mktemp("inception")
    torch.save({}, folder / "nothing.pth")
    torch.manual_seed(0)
    network = Untrained("untrained", ["2048"], feature_extractor_weights_path=folder / "nothing.pth")
    torch.save(network.state_dict(), folder / "weights.pth")
    return folder / "weights.pth"


@pytest.mark.slow
def test_figures_are_torch_fidelitys_on_the_same_pictures(weights: Path) -> None:
    """FID on another layer than the others: of 2048 dimensions, torch-fidelity's takes a minute."""
    from torch_fidelity import FeatureExtractorInceptionV3, calculate_metrics

    first, second = random_bytes(12, 3, 40, 40, seed=1), random_bytes(10, 3, 40, 40, seed=2) // 4
    told: Any = calculate_metrics(
        input1=Pictures(first),
        input2=Pictures(second),
        feature_extractor="inception-v3-compat",
        feature_extractor_weights_path=str(weights),
        feature_layer_fid="192",
        fid=True,
        kid=True,
        prc=True,
        kid_subsets=10,
        kid_subset_size=8,
        batch_size=8,
        cuda=False,
        save_cpu_ram=True,
        cache=False,
        verbose=False,
    )
    asked = config(kind="inception", id=str(weights.parent), file=weights.name, batch_size=8)
    a, b = (load_features(asked, CPU)(images).numpy() for images in (first, second))
    assert a.shape == (12, 2048)
    kid = kernel_distance_of_subsets(a, b, 10, 8)
    assert kid.mean == pytest.approx(told["kernel_inception_distance_mean"], rel=1e-3)
    assert kid.deviation == pytest.approx(told["kernel_inception_distance_std"], rel=1e-3)
    shares = precision_recall(a, b)
    assert (shares.precision, shares.recall) == pytest.approx((told["precision"], told["recall"]), abs=1e-6)

    network = FeatureExtractorInceptionV3("inception", ["192"], feature_extractor_weights_path=weights)
    early = Prepared(InceptionFeatures(network, CPU), asked)
    found = frechet_distance(*(moments(early(images).numpy()) for images in (first, second)))
    assert found == pytest.approx(told["frechet_inception_distance"], rel=1e-3)


class Pictures(torch.utils.data.Dataset[Tensor]):
    """What torch-fidelity takes for pictures."""

    def __init__(self, images: Tensor) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        return self.images[index]


def test_weights_of_something_else_are_refused(tmp_path: Path) -> None:
    def load() -> None:
        InceptionFeatures.load(config(kind="inception", id=str(tmp_path), file="weights.pth"), CPU)

    with pytest.raises(DataError, match=r"holds no weights\.pth"):
        load()
    torch.save({"weight": torch.zeros(2)}, tmp_path / "weights.pth")
    with pytest.raises(DataError, match="the Inception cannot be loaded"):
        load()
    torch.save({"weight": Path("anything")}, tmp_path / "weights.pth")
    with pytest.raises(DataError, match="opening that can run code"):
        load()

"""How different the pictures of one prompt are."""

import itertools

import pytest
import torch
from torch.nn import functional as F

from rglcd_pipelines.measures.diversity import feature_diversity, pixel_diversity


def test_equal_pictures_have_none() -> None:
    features = torch.tensor([3.0, 4.0]).expand(2, 5, 2)
    assert feature_diversity(features).tolist() == pytest.approx([0.0, 0.0], abs=1e-6)
    assert pixel_diversity(torch.rand(2, 1, 3, 4, 4).expand(2, 3, 3, 4, 4)).tolist() == [0.0, 0.0]


def test_features_by_hand() -> None:
    """At right angles, twice as long in the same direction, and opposite."""
    features = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [2.0, 0.0]], [[1.0, 0.0], [-1.0, 0.0]]])
    assert feature_diversity(features).tolist() == pytest.approx([1.0, 0.0, 2.0])


def test_it_is_the_mean_over_all_pairs() -> None:
    features = torch.randn(3, 4, 6, generator=torch.Generator().manual_seed(0))
    images = torch.rand(3, 4, 3, 5, 6, generator=torch.Generator().manual_seed(1))
    for prompt in range(3):
        pairs = list(itertools.combinations(range(4), 2))
        cosines = [F.cosine_similarity(features[prompt, i], features[prompt, j], dim=0) for i, j in pairs]
        apart = [(images[prompt, i] - images[prompt, j]).square().mean().sqrt() for i, j in pairs]
        assert float(feature_diversity(features)[prompt]) == pytest.approx(
            1 - float(sum(cosines)) / 6, abs=1e-5
        )
        assert float(pixel_diversity(images)[prompt]) == pytest.approx(float(sum(apart)) / 6, abs=1e-6)


def test_black_and_white_are_as_far_apart_as_can_be() -> None:
    images = torch.stack([torch.zeros(3, 4, 4), torch.ones(3, 4, 4)])[None]
    assert pixel_diversity(images).tolist() == [1.0]


@pytest.mark.parametrize("values", [torch.rand(2, 1, 5), torch.rand(2, 1, 3, 4, 4)])
def test_one_picture_has_no_diversity(values: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="two or more"):
        (feature_diversity if values.ndim == 3 else pixel_diversity)(values)

"""One resize for every reward model, whatever the installed libraries do by default."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.nn import functional as F

from rglcd_pipelines.config import check
from rglcd_pipelines.errors import ConfigError
from rglcd_pipelines.rewards.preprocess import CLIP_MEAN, CLIP_STD, PreprocessConfig, preprocess, resize


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


sides = st.integers(5, 70)


@settings(deadline=None)
@given(height=sides, width=sides, size=st.integers(3, 48))
def test_with_antialiasing_it_is_pil_s(height: int, width: int, size: int):
    # So little contrast that nothing overshoots what PIL can hold: it only rounds, after each of two passes.
    pixels = (noise(height, width, 3, seed=height) * 95 + 80).byte()
    theirs = Image.fromarray(pixels.numpy()).resize((size, size), Image.Resampling.BICUBIC)
    ours = resize(pixels.permute(2, 0, 1)[None].float(), size, True, "squash")[0].permute(1, 2, 0)
    assert float((ours - torch.from_numpy(np.asarray(theirs).copy())).abs().max()) < 1.5


@settings(deadline=None)
@given(height=sides, width=sides, size=st.integers(3, 48), antialias=st.booleans())
def test_both_ways_are_torch_s_with_everything_said(height: int, width: int, size: int, antialias: bool):
    images = noise(2, 3, height, width, seed=width)
    theirs = F.interpolate(images, (size, size), mode="bicubic", align_corners=False, antialias=antialias)
    torch.testing.assert_close(resize(images, size, antialias, "squash"), theirs, atol=3e-5, rtol=0)


def test_how_much_white_noise_passes_from_768_to_224():
    # The paper's setting; its authors' resize let most of the noise through.
    images = torch.randn(1, 3, 768, 768, generator=torch.Generator().manual_seed(0))
    kept = {antialias: float(resize(images, 224, antialias, "centre").std()) for antialias in (False, True)}
    assert kept[False] == pytest.approx(0.86, abs=0.02)
    assert kept[True] == pytest.approx(0.24, abs=0.02)


def test_the_middle_is_cut_out():
    images = noise(1, 3, 40, 64)
    for whole, cut in ((images, images[..., 12:52]), (images.mT, images.mT[..., 12:52, :])):
        ours, theirs = resize(whole, 40, True, "centre"), resize(cut, 40, True, "centre")
        torch.testing.assert_close(ours, theirs)
    assert resize(images, 16, True, "centre").shape == (1, 3, 16, 16)


def test_an_image_of_that_size_stays_as_it_is():
    images = noise(2, 3, 16, 16)
    for antialias in (False, True):
        assert torch.equal(resize(images, 16, antialias, "centre"), images)


def test_clip_s_mean_and_deviation_by_default():
    images = torch.tensor(CLIP_MEAN)[None, :, None, None].expand(1, 3, 8, 8)
    config = PreprocessConfig(size=8)
    torch.testing.assert_close(preprocess(images, config), torch.zeros(1, 3, 8, 8))
    raised = images + torch.tensor(CLIP_STD)[:, None, None]
    torch.testing.assert_close(preprocess(raised, config), torch.ones(1, 3, 8, 8), atol=1e-5, rtol=0)


def test_float32_even_where_bf16_is_asked_for():
    images, config = noise(1, 3, 32, 32), PreprocessConfig(size=16)
    expected = preprocess(images, config)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(preprocess(images, config), expected)
        assert preprocess(images.bfloat16(), config).dtype == torch.float32


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("crop", ["centre", "squash"])
def test_the_gradient_is_the_resize_s(antialias: bool, crop: str):
    images = noise(1, 1, 9, 12).double().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x: resize(x, 5, antialias, crop),  # pyright: ignore[reportArgumentType]
        images,
        fast_mode=True,
    )


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"size": 0}, "size"),
        ({"size": 16, "std": [1.0, 0.0, 1.0]}, "greater than zero"),
        ({"size": 16, "mean": [0.5]}, "mean"),
        ({"size": 16, "crop": "center"}, "did you mean centre?"),
        ({"size": 16, "antialias": "yes"}, "antialias"),
    ],
)
def test_settings_that_cannot_be(values: dict, told: str):
    with pytest.raises(ConfigError, match=told.replace("?", r"\?")):
        check(PreprocessConfig, values)


def test_in_another_thread_it_leaves_the_cast_weights_of_a_training_alone():
    # Leaving an autocast region throws away the cast weights of all threads; then the gradients of a weight
    # that is used twice are added up in another precision, and no two runs are alike.
    weight = torch.randn(64, 64, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        first = F.linear(torch.ones(1, 64), weight)
        with ThreadPoolExecutor(1) as other:
            other.submit(preprocess, noise(1, 3, 32, 32), PreprocessConfig(size=16)).result()
        second = F.linear(torch.ones(1, 64), weight)
    casts = {_weight_of(output) for output in (first, second)}
    assert len(casts) == 1


def _weight_of(output: torch.Tensor) -> object:
    """The node that cast the weight for a linear layer."""
    nodes, seen = [output.grad_fn], []
    while nodes:
        node = nodes.pop()
        if node is not None:
            seen.append(node)
            nodes += [before for before, _ in node.next_functions]
    return next(node for node in seen if "ToCopy" in node.name())


def test_weights_that_somebody_asked_for_without_gradients_serve_others_with_them() -> None:
    with torch.inference_mode():
        resize(torch.zeros(1, 3, 37, 37), 11, antialias=True, crop="centre")
    image = torch.zeros(1, 3, 37, 37, requires_grad=True)
    resize(image, 11, antialias=True, crop="centre").sum().backward()
    assert image.grad is not None

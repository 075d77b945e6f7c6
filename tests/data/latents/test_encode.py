"""Pairs become latents: the right numbers, the right manifest, and clear words when it cannot be."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from rglcd_pipelines.artifacts import Artifact, digest_file
from rglcd_pipelines.config import check
from rglcd_pipelines.data.latents import encode as module
from rglcd_pipelines.data.latents.encode import encode
from rglcd_pipelines.diffusion.vae import Vae, VaeConfig, load_vae
from rglcd_pipelines.engines import Done
from rglcd_pipelines.errors import ConfigError, DataError
from tests.data import encode_pairs
from tests.data.encode_pairs import UNTRAINED, all_latents, config, contents, make_pairs, picture, read

SIZES = [10, 10, 3]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> Artifact:
    return make_pairs(tmp_path_factory.mktemp("encode") / "pairs", SIZES)


def autoencoder(**changes) -> Vae:
    untrained = {"source": "untrained", "untrained": UNTRAINED | changes}
    return load_vae(check(VaeConfig, untrained), "cpu", torch.float32)


def plainly(vae: Vae, images: list[Image.Image]):
    """One image after the other: the middle 16 × 16 of 20 × 16, from 0…255 to −1…1, encoded."""
    for image in images:
        pixels = torch.from_numpy(np.asarray(image)[:, 2:18].astype(np.float32) / 127.5 - 1.0)
        with torch.no_grad():
            yield vae.model.encode(pixels.permute(2, 0, 1)[None]).latent_dist  # pyright: ignore[reportAttributeAccessIssue]


def test_the_latents_are_those_of_a_plain_loop(pairs: Artifact, tmp_path: Path):
    made = encode(pairs, config(), tmp_path / "latents")
    expected = [latent.mean for latent in plainly(autoencoder(), [picture(i) for i in range(23)])]
    np.testing.assert_allclose(all_latents(made), torch.cat(expected).numpy(), rtol=1e-3, atol=1e-5)


def test_moments_are_the_mean_and_the_log_variance(pairs: Artifact, tmp_path: Path):
    made = encode(pairs, config(keep="moments", dtype="float32"), tmp_path / "latents")
    assert made.manifest["latent"] == {"shape": [8, 8, 8], "dtype": "float32", "kind": "moments"}
    expected = [
        torch.cat([latent.mean, latent.logvar], dim=1)
        for latent in plainly(autoencoder(), [picture(i) for i in range(23)])
    ]
    np.testing.assert_allclose(all_latents(made), torch.cat(expected).numpy(), rtol=1e-4, atol=1e-5)


def test_red_is_the_first_channel_and_white_is_one(tmp_path: Path):
    colours = [(255, 0, 0), (0, 0, 255), (255, 255, 255)]
    pairs = make_pairs(tmp_path / "pairs", [3], [Image.new("RGB", (16, 16), colour) for colour in colours])
    latents = all_latents(encode(pairs, config(dtype="float32"), tmp_path / "latents"))
    vae = autoencoder()
    for latent, values in zip(latents, [(1.0, -1.0, -1.0), (-1.0, -1.0, 1.0), (1.0, 1.0, 1.0)], strict=True):
        pixels = torch.tensor(values).view(1, 3, 1, 1).expand(1, 3, 16, 16)
        with torch.no_grad():
            expected = vae.model.encode(pixels).latent_dist.mean[0]  # pyright: ignore[reportAttributeAccessIssue]
        np.testing.assert_allclose(latent, expected.numpy(), rtol=1e-4, atol=1e-5)


def test_the_files_and_the_manifest_say_the_same(pairs: Artifact, tmp_path: Path):
    made = encode(
        pairs,
        config(vae={"source": "untrained", "untrained": UNTRAINED | {"scaling_factor": 0.5}}),
        tmp_path / "latents",
    )
    assert not made.reused
    manifest = json.loads((made.path / "manifest.json").read_text())
    assert manifest == made.manifest
    assert sorted(p.name for p in made.path.iterdir()) == [
        *(f"latents-{i:05d}.arrow" for i in range(3)),
        "manifest.json",
    ]
    assert [file["samples"] for file in manifest["files"]] == SIZES
    assert all(digest_file(made.path / file["name"]) == file["sha256"] for file in manifest["files"])
    latents = all_latents(made).astype(np.float64)
    assert manifest["samples"] == len(latents) == 23
    assert manifest["latent"] == {"shape": [4, 8, 8], "dtype": "float16", "kind": "mean"}
    assert manifest["resolution"] == 16
    np.testing.assert_allclose(manifest["statistics"]["mean"], latents.mean((0, 2, 3)))
    np.testing.assert_allclose(manifest["statistics"]["std"], latents.std((0, 2, 3)), rtol=1e-6)
    assert manifest["statistics"]["nonfinite"] == 0
    # Unscaled, whatever the factor is.
    assert manifest["vae"] == autoencoder(scaling_factor=0.5).about()
    assert manifest["made_from"]["inputs"] == {"pairs": pairs.digest}
    assert made.metrics["images_per_second"] > 0
    assert 0 < made.metrics["vae_share"] <= 1


def test_each_row_keeps_what_is_known_of_its_pair(pairs: Artifact, tmp_path: Path):
    made = encode(pairs, config(), tmp_path / "latents")
    columns, _ = read(made.path / "latents-00001.arrow")
    assert columns["key"] == [f"k{i:04d}" for i in range(10, 20)]
    assert columns["caption"] == [f"caption {i}, é" for i in range(10, 20)]
    assert columns["meta"][0] == '{"i": 10}'
    assert (columns["width"][0], columns["height"][0]) == (20, 16)
    assert (columns["crop_top"][0], columns["crop_left"][0]) == (0, 2)


def test_a_second_run_does_nothing_and_imports_nothing_heavy(pairs: Artifact, tmp_path: Path):
    first = encode(pairs, config(), tmp_path / "latents")
    (first.path / "latents-00000.json").write_text("left by a run that was killed while it tidied up")
    assert encode(pairs, config(workers=2, engine="ray", decode_threads=1), first.path).reused
    assert not (first.path / "latents-00000.json").exists()
    program = [sys.executable, encode_pairs.__file__, str(pairs.path), str(first.path), "{}"]
    answer = json.loads(subprocess.run(program, check=True, capture_output=True).stdout)
    assert answer["reused"]
    assert not {"torch", "diffusers", "ray", "webdataset"} & set(answer["modules"])


@pytest.mark.parametrize(
    "changes",
    [
        {"resolution": 32},
        {"batch_size": 5},
        {"dtype": "float32"},
        {"keep": "moments"},
        {"precision": "bfloat16"},
    ],
)
def test_other_settings_make_other_latents(pairs: Artifact, tmp_path: Path, changes: dict):
    encode(pairs, config(), tmp_path / "latents")
    assert not encode(pairs, config(**changes), tmp_path / "latents").reused


def test_bfloat16_is_near_float32(pairs: Artifact, tmp_path: Path):
    exact = all_latents(encode(pairs, config(), tmp_path / "float32")).astype(np.float32)
    rough = all_latents(encode(pairs, config(precision="bfloat16"), tmp_path / "bfloat16")).astype(np.float32)
    assert 0 < np.abs(rough - exact).max() < 0.1 * exact.std()


def save_folder(place: Path, factor: float = 1.0) -> dict:
    """An autoencoder in a folder, its latents `factor` times those of the untrained one."""
    autoencoder().model.save_pretrained(place)
    file = place / "diffusion_pytorch_model.safetensors"
    weights = load_file(file)
    for name in ("quant_conv.weight", "quant_conv.bias"):
        weights[name] *= factor
    save_file(weights, file, metadata={"format": "pt"})
    return {"source": "folder", "id": str(place)}


def test_other_weights_in_the_same_folder_make_other_latents(pairs: Artifact, tmp_path: Path):
    vae = save_folder(tmp_path / "vae")
    first = encode(pairs, config(vae=vae), tmp_path / "latents")
    assert encode(pairs, config(vae=vae), tmp_path / "latents").reused
    save_folder(tmp_path / "vae", 1.01)
    second = encode(pairs, config(vae=vae), tmp_path / "latents")
    assert not second.reused
    assert second.manifest["vae"]["digest"] != first.manifest["vae"]["digest"]


def test_what_float16_cannot_hold_is_counted(pairs: Artifact, tmp_path: Path, caplog):
    vae = save_folder(tmp_path / "vae", 1e8)
    made = encode(pairs, config(vae=vae), tmp_path / "latents")
    nonfinite = int((~np.isfinite(all_latents(made))).sum())
    assert made.manifest["statistics"]["nonfinite"] == nonfinite > 0
    assert f"{nonfinite} latent values are not finite" in caplog.text


def test_a_resolution_that_the_autoencoder_cannot_halve_is_refused(pairs: Artifact, tmp_path: Path):
    deep = {"source": "untrained", "untrained": UNTRAINED | {"block_out_channels": [8] * 5}}
    with pytest.raises(ConfigError, match="encode: resolution 24 is no multiple of 16"):
        config(resolution=24, vae=deep)
    with pytest.raises(ConfigError, match="encode: resolution 21 is no multiple of 2"):
        config(resolution=21)
    # How much a saved one shrinks is known when it is loaded.
    load_vae(config(vae=deep).vae, "cpu", torch.float32).model.save_pretrained(tmp_path / "vae")
    saved = {"source": "folder", "id": str(tmp_path / "vae")}
    with pytest.raises(DataError, match=r"encode\.resolution: 24 is no multiple of 16, .* Set it to 16"):
        encode(pairs, config(resolution=24, vae=saved), tmp_path / "latents")
    assert not (tmp_path / "latents").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_told(pairs: Artifact, tmp_path: Path):
    with pytest.raises(ConfigError, match=r"encode\.device: is cuda, but there is no GPU"):
        encode(pairs, config(device="cuda"), tmp_path / "latents")


def damage(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[600] ^= 1
    file.write_bytes(content)


def test_a_damaged_or_missing_shard_is_named_and_the_rest_is_kept(tmp_path: Path):
    pairs = make_pairs(tmp_path / "pairs", [4, 4, 4, 4])
    whole = contents(encode(pairs, config(), tmp_path / "whole"))
    shard = pairs.path / "pairs-00003.tar"
    content = shard.read_bytes()
    damage(shard)
    with pytest.raises(DataError, match=r"pairs-00003\.tar: is damaged"):
        encode(pairs, config(), tmp_path / "latents")
    shard.unlink()
    with pytest.raises(DataError, match=r"pairs-00003\.tar: cannot be read \(No such file"):
        encode(pairs, config(), tmp_path / "latents")
    assert not (tmp_path / "latents").exists()
    shard.write_bytes(content)
    assert contents(encode(pairs, config(), tmp_path / "latents")) == whole


def test_pairs_that_ingest_would_not_have_written_are_refused(tmp_path: Path):
    pairs = make_pairs(tmp_path / "pairs", [3])
    more = json.loads(json.dumps(dict(pairs.manifest)))
    more["shards"][0]["samples"] = 4
    with pytest.raises(DataError, match="holds 3 pairs where the manifest says 4"):
        encode(Artifact(pairs.path, more), config(), tmp_path / "latents")
    with pytest.raises(DataError, match="holds no shards"):
        encode(Artifact(pairs.path, {"shards": []}), config(), tmp_path / "latents")


@pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="only root on Linux can mount a small disk"
)
def test_a_disk_that_fills_up_is_told_and_the_next_run_goes_on(tmp_path: Path):
    pairs = make_pairs(tmp_path / "pairs", [40] * 4)
    whole = encode(pairs, config(), tmp_path / "whole")
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount a small disk")
    try:
        with pytest.raises(DataError, match="the disk is full"):
            encode(pairs, config(), disk / "latents")
        assert not (disk / "latents").exists()
        subprocess.run(["mount", "-o", "remount,size=4m", str(disk)], check=True)
        assert contents(encode(pairs, config(), disk / "latents")) == contents(whole)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_the_share_of_the_autoencoder_is_of_the_time_from_first_to_last():
    done = [
        Done(5, "a", began=0.0, ended=4.0, model_seconds=2.0),
        Done(5, "a", began=1.0, ended=8.0, model_seconds=4.0),
        Done(5, "b", began=100.0, ended=102.0, model_seconds=1.0),
    ]
    assert module.vae_share(done) == pytest.approx(7 / 10)

"""Where the autoencoder comes from, and that it is exactly the one it is said to be."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from rglcd_pipelines.config import check
from rglcd_pipelines.diffusion.vae import CONFIG, WEIGHTS, VaeConfig, identity, load_vae
from rglcd_pipelines.errors import ConfigError, DataError

TINY = {"block_out_channels": [8, 16], "latent_channels": 4, "norm_num_groups": 4}
UNTRAINED = {"source": "untrained", "untrained": TINY}


def load(config: dict, device: str = "cpu", dtype: torch.dtype = torch.float32):
    return load_vae(check(VaeConfig, config), device, dtype)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An autoencoder as diffusers saves it, below a subfolder as in a pipeline."""
    load(UNTRAINED).model.save_pretrained(tmp_path / "vae")
    return tmp_path


def in_folder(folder: Path) -> dict:
    return {"source": "folder", "id": str(folder), "subfolder": "vae"}


def change_config(folder: Path, **values) -> None:
    file = folder / "vae" / CONFIG
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def change_weights(folder: Path, change) -> None:
    file = folder / "vae" / WEIGHTS
    weights = load_file(file)
    change(weights)
    save_file(weights, file, metadata={"format": "pt"})


def test_an_untrained_one_says_so_and_is_frozen():
    vae = load(UNTRAINED | {"untrained": TINY | {"scaling_factor": 0.5}})
    assert vae.about() == {
        "id": "untrained",
        "revision": None,
        "digest": vae.digest,
        "scaling_factor": 0.5,
        "shift_factor": 0.0,
    }
    assert (vae.factor, vae.latent_channels) == (2, 4)
    assert not vae.model.training
    assert not any(weight.requires_grad for weight in vae.model.parameters())


def test_the_seed_makes_the_weights_and_leaves_torch_alone():
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    first = load(UNTRAINED)
    assert torch.equal(torch.rand(3), expected)
    assert load(UNTRAINED).digest == first.digest
    assert load(UNTRAINED | {"untrained": TINY | {"seed": 1}}).digest != first.digest


def test_the_digest_is_the_same_saved_and_loaded_in_any_dtype(folder: Path):
    made = load(UNTRAINED)
    loaded = load(in_folder(folder), dtype=torch.bfloat16)
    assert loaded.digest == made.digest
    assert loaded.model.dtype == torch.bfloat16
    assert loaded.id == str(folder)


def test_one_changed_weight_changes_the_digest_and_the_identity(folder: Path):
    digest, before = load(in_folder(folder)).digest, identity(check(VaeConfig, in_folder(folder)))

    def nudge(weights):
        weights["encoder.conv_in.bias"][0] += 1e-4

    change_weights(folder, nudge)
    assert load(in_folder(folder)).digest != digest
    assert identity(check(VaeConfig, in_folder(folder))) != before


def test_the_identity_is_of_the_files_and_not_of_their_place(folder: Path, tmp_path_factory):
    before = identity(check(VaeConfig, in_folder(folder)))
    moved = folder.rename(tmp_path_factory.mktemp("elsewhere") / "moved")
    assert identity(check(VaeConfig, in_folder(moved))) == before


def test_the_identity_knows_nothing_of_the_settings_of_another_source():
    hub = {"source": "hub", "id": "a/b", "revision": "c"}
    assert identity(check(VaeConfig, hub)) == identity(check(VaeConfig, hub | {"untrained": TINY}))


def test_a_pickle_is_refused(tmp_path: Path):
    load(UNTRAINED).model.save_pretrained(tmp_path / "vae", safe_serialization=False)
    for use in (load, lambda config: identity(check(VaeConfig, config))):
        with pytest.raises(DataError, match=r"holds no diffusion_pytorch_model\.safetensors"):
            use(in_folder(tmp_path))


def test_a_missing_folder_and_one_without_an_autoencoder_are_named(tmp_path: Path):
    with pytest.raises(DataError, match="nowhere: there is no such folder"):
        load({"source": "folder", "id": str(tmp_path / "nowhere")})
    with pytest.raises(DataError, match=r"holds no config\.json"):
        load({"source": "folder", "id": str(tmp_path)})


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_damaged_files_are_told(folder: Path):
    weights = folder / "vae" / WEIGHTS
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="cannot be loaded"):
        load(in_folder(folder))
    weights.write_bytes(whole)
    change_config(folder, block_out_channels=[16, 16])
    with pytest.raises(DataError, match="cannot be loaded"):
        load(in_folder(folder))
    change_config(folder, _class_name="UNet2DConditionModel")
    with pytest.raises(DataError, match="a UNet2DConditionModel, not an AutoencoderKL"):
        load(in_folder(folder))
    (folder / "vae" / CONFIG).write_text("{")
    with pytest.raises(DataError, match="cannot be loaded"):
        load(in_folder(folder))


def test_missing_weights_are_not_made_up(folder: Path):
    change_weights(folder, lambda weights: weights.pop("encoder.conv_in.bias"))
    with pytest.raises(DataError, match=r"lacks 1 weights, such as encoder\.conv_in\.bias"):
        load(in_folder(folder))


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"source": "hub", "id": "a/b"}, "revision is missing"),
        ({"source": "hub", "revision": "c"}, "id is missing; give the repository's name"),
        ({"source": "folder"}, "id is missing; give the folder's path"),
        ({"source": "folder", "id": "x", "revision": "c"}, "means nothing for a folder"),
        ({"source": "untrained"}, "untrained is missing"),
        (UNTRAINED | {"id": "a/b"}, "mean nothing for source untrained"),
        ({"source": "untrained", "untrained": TINY | {"norm_num_groups": 3}}, "holds 8, which .* = 3"),
        ({"source": "hubb"}, "did you mean hub"),
    ],
)
def test_impossible_settings_are_refused(values: dict, problem: str):
    with pytest.raises(ConfigError, match=problem):
        check(VaeConfig, values, "vae")


def hub_cache(root: Path, revision: str) -> None:
    """What the hub's client leaves behind when it has fetched an autoencoder."""
    snapshot = root / "models--owner--name" / "snapshots" / revision
    load(UNTRAINED).model.save_pretrained(snapshot / "vae")


def test_a_repository_in_the_cache_needs_no_network(tmp_path: Path, monkeypatch):
    commit = "0123456789abcdef0123456789abcdef01234567"
    hub_cache(tmp_path, commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    vae = load({"source": "hub", "id": "owner/name", "revision": commit, "subfolder": "vae"})
    assert (vae.id, vae.revision, vae.digest) == ("owner/name", commit, load(UNTRAINED).digest)
    with pytest.raises(DataError, match=r"owner/other at .* the hub cannot be reached"):
        load({"source": "hub", "id": "owner/other", "revision": commit})
    with pytest.raises(DataError, match="is no name of a repository"):
        load({"source": "hub", "id": "owner/na me/x", "revision": commit})


@pytest.fixture
def hub(monkeypatch, tmp_path: Path) -> Iterator[None]:
    """A hub on loopback that answers every request with the status and error code that the id names."""

    class Hub(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            _, status, code, *_ = self.path.split("/")
            self.send_response(int(status))
            self.send_header("X-Error-Code", code)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
        monkeypatch.setattr(
            "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE",
            address + "/{repo_id}/resolve/{revision}/{filename}",
        )
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
        yield
        server.shutdown()


@pytest.mark.parametrize(
    ("repository", "problem"),
    [
        ("404/RepoNotFound", "no such repository"),
        ("403/GatedRepo", "its terms must be accepted"),
        ("404/RevisionNotFound", "no such revision"),
        ("404/EntryNotFound", r"holds no config\.json"),
        ("400/Odd", "the hub cannot be reached or answers with an error"),
    ],
)
@pytest.mark.usefixtures("hub")
def test_what_the_hub_answers_is_told_in_words(repository: str, problem: str):
    with pytest.raises(DataError, match=rf"{repository} at c: .*{problem}"):
        load({"source": "hub", "id": repository, "revision": "c"})

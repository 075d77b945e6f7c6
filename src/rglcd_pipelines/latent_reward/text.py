"""The pretrained text tower of a latent reward model."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from rglcd_pipelines.errors import ConfigError
from rglcd_pipelines.latent_reward.settings import TextConfig
from rglcd_pipelines.rewards.clip import context, embed_texts, load_model, load_tokenizer
from rglcd_pipelines.rewards.hub import TOKENIZER, file_of, folder_of
from rglcd_pipelines.rewards.open_clip import load_open_clip, read_architecture
from rglcd_pipelines.rewards.text import Texts
from rglcd_pipelines.rewards.vocabularies import clean_caption
from rglcd_pipelines.rewards.weights import CONFIG, WEIGHTS

if TYPE_CHECKING:
    from transformers import CLIPModel, CLIPTokenizer

WHERE = "lrm.text"


class TextTower(nn.Module):
    """A CLIP without its image tower."""

    def __init__(
        self, clip: "CLIPModel", tokenizer: "CLIPTokenizer", clean: Callable[[str], str] | None
    ) -> None:
        super().__init__()
        clip.set_attn_implementation("eager")  # in the backward pass on a CPU, torch's own is slow
        whole: Any = clip
        self.text_model: Any = whole.text_model
        self.text_projection: nn.Linear = whole.text_projection
        self.config: Any = whole.config.text_config
        self.tokenizer, self.clean = tokenizer, clean
        self.texts = Texts("lrm", tokenizer, context(clip), clean)
        self.requires_grad_(False)
        self.eval()

    @property
    def dimensions(self) -> int:
        """Of the space in which it meets the other tower."""
        return self.text_projection.out_features

    @property
    def blocks(self) -> Sequence[nn.Module]:
        return list(self.text_model.encoder.layers)

    def forward(self, captions: Sequence[str]) -> Tensor:
        """Unit vectors [B, D]."""
        ids, _ = self.texts.ids(captions)
        return embed_texts(self, ids.to(self.text_projection.weight.device))  # pyright: ignore[reportArgumentType]


def load_text(config: TextConfig) -> tuple[TextTower, Tensor]:
    """The text tower, frozen and in float32, and the logarithm of the scale that its CLIP was trained to."""
    words = None if config.tokenizer is None else folder_of(config.tokenizer, TOKENIZER, f"{WHERE}.tokenizer")
    if config.kind == "open_clip":
        architecture = read_architecture(config.architecture, f"{WHERE}.architecture")
        clip = load_open_clip(file_of(config, WHERE), architecture, config.architecture)
        tokenizer, clean = load_tokenizer(words, clip), clean_caption
    else:
        folder = folder_of(config, [CONFIG, WEIGHTS, *TOKENIZER], WHERE)
        clip = load_model(folder)
        tokenizer, clean = load_tokenizer(words or folder, clip), None
    _check_kind(config, clip)
    whole: Any = clip
    return TextTower(clip, tokenizer, clean), whole.logit_scale.detach().clone()


def _check_kind(config: TextConfig, clip: "CLIPModel") -> None:
    """Refuse a tower that open_clip's format, which says little of it, cannot hold."""
    text: Any = clip.config.text_config
    # open_clip takes a text's meaning from its largest token; 2 is what old CLIPs say, and mean that one.
    if text.eos_token_id not in (2, text.vocab_size - 1):
        odd = f"the end of a text is token {text.eos_token_id}, and not the last of its {text.vocab_size}"
    elif text.hidden_act not in ("gelu", "quick_gelu"):
        odd = f"the activation is {text.hidden_act}, and neither gelu nor quick_gelu"
    elif text.layer_norm_eps != 1e-5:
        odd = f"layer_norm_eps is {text.layer_norm_eps:g}, and not 1e-05"
    else:
        return
    raise ConfigError(
        f"{WHERE}.id: in {config.id}, {odd}; open_clip's format cannot hold such a tower. "
        "Choose another CLIP."
    )

"""The tokenizers that published reward models were trained with, where their checkpoints hold none."""

import gzip
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from rglcd_pipelines.errors import ConfigError, DataError
from rglcd_pipelines.rewards.weights import explain

if TYPE_CHECKING:
    from transformers import BertTokenizer, CLIPTokenizer

CLIP_SIZE = 49408
"""Tokens of CLIP's vocabulary: bytes, bytes that end a word, merges, and two marks."""
BERT_FILE = "vocab.txt"
WORD_END = "</w>"


def of_open_clip(name: str) -> Path:
    """A file of the open_clip package, without the seconds that importing it takes."""
    found = find_spec("open_clip")
    if found is None or not found.submodule_search_locations:
        raise ConfigError(
            f"{name} of open_clip is needed, and open_clip is not installed; pip install open_clip_torch"
        )
    return Path(found.submodule_search_locations[0]) / name


def clip_tokenizer(context: int) -> "CLIPTokenizer":
    """CLIP's, from the list of merges that open_clip has."""
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import CLIPTokenizer

    file = of_open_clip("bpe_simple_vocab_16e6.txt.gz")
    with explain(file, "list of CLIP's merges"):
        lines = gzip.decompress(file.read_bytes()).decode("utf-8").splitlines()
    # In the order of the alphabet, CLIP's byte tokens are in the order of its vocabulary too.
    letters = sorted(ByteLevel.alphabet())
    # The first line is a heading, and of the merges, CLIP uses as many as its vocabulary has room for.
    pairs = [tuple(line.split()) for line in lines[1 : CLIP_SIZE - 2 * len(letters) - 2 + 1]]
    tokens = [*letters, *(letter + WORD_END for letter in letters), *("".join(pair) for pair in pairs)]
    vocabulary = {token: index for index, token in enumerate([*tokens, "<|startoftext|>", "<|endoftext|>"])}
    # The annotation says strings; the tokenizer wants pairs.
    return CLIPTokenizer(vocab=vocabulary, merges=pairs, model_max_length=context)  # pyright: ignore[reportArgumentType]


def clean_caption(caption: str) -> str:
    """What open_clip does to a text before it looks for tokens: broken characters and HTML's are mended.

    The tokenizer makes letters small as well, but not a Greek word's last as Python does.
    """
    import html

    import ftfy

    return html.unescape(html.unescape(ftfy.fix_text(caption))).strip().lower()


def bert_tokenizer(folder: Path, where: str) -> "BertTokenizer":
    """BERT's, with the two marks that BLIP added to it and ImageReward never uses."""
    from transformers import BertTokenizer

    if not (folder / BERT_FILE).is_file():
        raise DataError(
            f"{folder}: holds no {BERT_FILE}, the tokens of BERT (of bert-base-uncased). "
            f"Set {where}.tokenizer to where it is."
        )
    file = folder / BERT_FILE
    with explain(file, "tokens of BERT"):
        # Some tokens are line breaks of other alphabets, at which splitlines would cut.
        tokens = file.read_text(encoding="utf-8").removesuffix("\n").split("\n")
        vocabulary = {token: index for index, token in enumerate(tokens)}
        return BertTokenizer(vocab=vocabulary, additional_special_tokens=["[DEC]", "[ENC]"])

"""The miniature world's own CLIPTokenizer: every word of its captions is one token, any other text a few."""

from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

from rglcd_pipelines.world.scenes import PHRASINGS
from rglcd_pipelines.world.vocabulary import BACKGROUNDS, COLOURS, NOUNS, SIZES, STYLES

if TYPE_CHECKING:
    from transformers import CLIPTokenizer

CONTEXT = 32
"""Tokens that the text tower reads; the world's longest caption has 20 with both of its marks."""

BEGIN, END = "<|startoftext|>", "<|endoftext|>"
WORD_END = "</w>"


def build_tokenizer() -> "CLIPTokenizer":
    """Byte pairs, as CLIP's, merged until each word of the world is whole."""
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import CLIPTokenizer

    bytes_ = sorted(ByteLevel.alphabet())
    ends = [f"{byte}{WORD_END}" for byte in bytes_]
    merges = merge_words(sorted_words())
    # As in CLIP's vocabulary: bytes, bytes that end a word, merges in their order, the two marks.
    tokens = dict.fromkeys([*bytes_, *ends, *(left + right for left, right in merges), BEGIN, END])
    vocabulary = {token: index for index, token in enumerate(tokens)}
    # The annotation says strings; the tokenizer wants pairs.
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=CONTEXT)  # pyright: ignore[reportArgumentType]


def merge_words(words: list[str]) -> list[tuple[str, str]]:
    """The pairs to merge, the most frequent first, the alphabet's first among equals.

    Our own, because the tokenizers library breaks ties by chance: every run would get other tokens.
    """
    split = [[*word[:-1], word[-1] + WORD_END] for word in words]
    merges: list[tuple[str, str]] = []
    while pairs := Counter(pair for word in split for pair in pairwise(word)):
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        split = [_merged(word, best) for word in split]
    return merges


def _merged(word: list[str], pair: tuple[str, str]) -> list[str]:
    merged: list[str] = []
    for token in word:
        if merged and (merged[-1], token) == pair:
            merged[-1] += token
        else:
            merged.append(token)
    return merged


def sorted_words() -> list[str]:
    """Each word that a caption may have, once; at hyphens CLIP's tokenizer splits before it merges."""
    text = [*PHRASINGS, *STYLES, *NOUNS, *COLOURS, *SIZES, *BACKGROUNDS]
    spaced = [line.replace(",", " ").replace("-", " ") for line in text]
    return sorted({word for line in spaced for word in line.split() if not word.startswith("{")})

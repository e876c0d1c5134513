"""The text side: CLIP's tokenizer with a vocabulary of the world's words, and a small encoder."""

import json
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from tinyworld.subjects import subjects

MAX_LENGTH = 20
START, END = "<|startoftext|>", "<|endoftext|>"


def words() -> list[str]:
    """Every word of the subjects' captions and tasks, in alphabetical order."""
    rng = np.random.default_rng(0)
    found: set[str] = set()
    for subject in subjects().values():
        found.update(word for prompt in subject.tasks for word in prompt.split())
        for _ in range(2000):
            found.update(subject.caption(subject.sample(rng), rng).split())
    return sorted(found)


def new_tokenizer() -> CLIPTokenizer:
    """Byte-level BPE in which each word of the world is one token; other words become several."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    learner = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    learner.pre_tokenizer = pre_tokenizers.Whitespace()
    learner.train_from_iterator(
        [" ".join(words())] * 2,
        trainers.BpeTrainer(end_of_word_suffix="</w>", vocab_size=10_000, show_progress=False),
    )
    merges = [tuple(pair) for pair in json.loads(learner.to_str())["model"]["merges"]]
    tokens = [*alphabet, *(letter + "</w>" for letter in alphabet)]
    tokens += ["".join(pair) for pair in merges] + [START, END]
    vocabulary = {token: index for index, token in enumerate(dict.fromkeys(tokens))}
    return CLIPTokenizer(
        vocab=vocabulary,
        merges=merges,  # type: ignore[arg-type]  # the hint says str; BPE takes pairs
        unk_token=END,
        bos_token=START,
        eos_token=END,
        pad_token=END,
        model_max_length=MAX_LENGTH,
    )


def padded_tokens(tokenizer: CLIPTokenizer, captions: list[str]) -> Int[Tensor, "count length"]:
    """As the model is trained on them."""
    padded = {"padding": "max_length", "max_length": MAX_LENGTH, "return_tensors": "pt"}
    return tokenizer(captions, **padded).input_ids


def new_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """An untrained text encoder: 2 layers of 96 channels."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=96,
            intermediate_size=384,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=MAX_LENGTH,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            projection_dim=96,
        )
    )


@torch.no_grad()
def grown_text_encoder(tokenizer: CLIPTokenizer, trained: Path) -> CLIPTextModel:
    """The text encoder of a trained pipeline with this tokenizer's vocabulary: tokens that it knew
    keep their embedding, new ones begin as in an untrained encoder."""
    grown = new_text_encoder(tokenizer)
    before = CLIPTextModel.from_pretrained(trained / "text_encoder", torch_dtype=torch.float32)
    known = CLIPTokenizer.from_pretrained(trained / "tokenizer").get_vocab()
    weights, fresh = before.state_dict(), grown.state_dict()
    name = next(name for name in weights if name.endswith("token_embedding.weight"))
    for token, index in tokenizer.get_vocab().items():
        if token in known:
            fresh[name][index] = weights[name][known[token]]
    grown.load_state_dict({**weights, name: fresh[name]})
    return grown

"""Builds a tiny vision-language model for llama.cpp: random weights in the shape of Qwen2-VL."""

from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np

WIDTH, LAYERS, HEADS = 64, 2, 4
SPECIAL = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
]
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% if message.content is string %}{{ message.content }}"
    "{% else %}{% for part in message.content %}"
    "{% if part.type == 'text' %}{{ part.text }}"
    "{% else %}<|vision_start|><|image_pad|><|vision_end|>{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@dataclass(frozen=True)
class Vocabulary:
    """The words of a tokenizer like GPT-2's, and how they are merged from shorter ones."""

    tokens: list[str]
    merges: list[str]


def build(folder: Path, vocabulary: Vocabulary | None = None) -> tuple[Path, Path]:
    """Write the model and its projector; the same files each time. Returns their paths.

    Without a ``vocabulary`` each byte is a token.
    """
    folder.mkdir(parents=True, exist_ok=True)
    text = _build_text(folder / "tiny.gguf", vocabulary or Vocabulary(_bytes(), ["t h"]))
    return text, _build_vision(folder / "mmproj-tiny.gguf")


def read_vocabulary(model: Path) -> Vocabulary:
    """The vocabulary of the GGUF file ``model``, less the marks that we have ourselves."""
    fields = gguf.GGUFReader(model).fields
    tokens, merges = (fields[f"tokenizer.ggml.{part}"].contents() for part in ("tokens", "merges"))
    return Vocabulary([token for token in tokens if token not in SPECIAL], merges)


def _build_text(path: Path, vocabulary: Vocabulary) -> Path:
    writer = gguf.GGUFWriter(path, "qwen2vl")
    writer.add_name("tiny")
    writer.add_context_length(32768)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(2 * WIDTH)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_dimension_sections([2, 3, 3, 0])
    tokens = vocabulary.tokens + SPECIAL
    normal, control = gguf.TokenType.NORMAL, gguf.TokenType.CONTROL
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types([normal] * len(vocabulary.tokens) + [control] * len(SPECIAL))
    writer.add_token_merges(vocabulary.merges)
    writer.add_eos_token_id(tokens.index("<|im_end|>"))
    writer.add_chat_template(TEMPLATE)
    draw = Weights(writer, seed=1)
    draw("token_embd.weight", len(tokens), WIDTH, scale=1.0)
    draw("output.weight", len(tokens), WIDTH)
    draw.ones("output_norm.weight", WIDTH)
    for layer in range(LAYERS):
        for norm in ("attn_norm", "ffn_norm"):
            draw.ones(f"blk.{layer}.{norm}.weight", WIDTH)
        for part in ("attn_q", "attn_k", "attn_v"):
            draw(f"blk.{layer}.{part}.weight", WIDTH, WIDTH)
            draw(f"blk.{layer}.{part}.bias", WIDTH)
        draw(f"blk.{layer}.attn_output.weight", WIDTH, WIDTH)
        draw(f"blk.{layer}.ffn_gate.weight", 2 * WIDTH, WIDTH)
        draw(f"blk.{layer}.ffn_up.weight", 2 * WIDTH, WIDTH)
        draw(f"blk.{layer}.ffn_down.weight", WIDTH, 2 * WIDTH)
    return _write(writer, path)


def _build_vision(path: Path) -> Path:
    writer = gguf.GGUFWriter(path, "clip")
    writer.add_type("mmproj")
    writer.add_clip_has_vision_encoder(True)
    writer.add_clip_projector_type("qwen2vl_merger")
    writer.add_vision_projection_dim(WIDTH)
    writer.add_vision_image_size(56)
    writer.add_vision_patch_size(14)
    writer.add_vision_embedding_length(WIDTH)
    writer.add_vision_feed_forward_length(2 * WIDTH)
    writer.add_vision_block_count(LAYERS)
    writer.add_vision_head_count(HEADS)
    writer.add_vision_attention_layernorm_eps(1e-6)
    writer.add_vision_image_mean([0.5, 0.5, 0.5])
    writer.add_vision_image_std([0.25, 0.25, 0.25])
    writer.add_vision_use_gelu(True)
    draw = Weights(writer, seed=2)
    for part in ("weight", "weight.1"):
        draw(f"v.patch_embd.{part}", WIDTH, 3, 14, 14)
    for layer in range(LAYERS):
        for norm in ("ln1", "ln2"):
            draw.ones(f"v.blk.{layer}.{norm}.weight", WIDTH)
            draw(f"v.blk.{layer}.{norm}.bias", WIDTH)
        for part in ("attn_q", "attn_k", "attn_v", "attn_out"):
            draw(f"v.blk.{layer}.{part}.weight", WIDTH, WIDTH)
            draw(f"v.blk.{layer}.{part}.bias", WIDTH)
        draw(f"v.blk.{layer}.ffn_up.weight", 2 * WIDTH, WIDTH)
        draw(f"v.blk.{layer}.ffn_up.bias", 2 * WIDTH)
        draw(f"v.blk.{layer}.ffn_down.weight", WIDTH, 2 * WIDTH)
        draw(f"v.blk.{layer}.ffn_down.bias", WIDTH)
    draw.ones("v.post_ln.weight", WIDTH)
    draw("v.post_ln.bias", WIDTH)
    draw("mm.0.weight", 4 * WIDTH, 4 * WIDTH)
    draw("mm.0.bias", 4 * WIDTH)
    draw("mm.2.weight", WIDTH, 4 * WIDTH)
    draw("mm.2.bias", WIDTH)
    return _write(writer, path)


class Weights:
    """Adds random tensors to ``writer``, the same ones for the same ``seed``."""

    def __init__(self, writer: gguf.GGUFWriter, seed: int) -> None:
        self._writer = writer
        self._random = np.random.default_rng(seed)

    def __call__(self, name: str, *shape: int, scale: float | None = None) -> None:
        scale = scale or 2 / np.sqrt(np.prod(shape[1:] or shape))
        drawn = self._random.standard_normal(shape, np.float32) * np.float32(scale)
        self._writer.add_tensor(name, drawn)

    def ones(self, name: str, size: int) -> None:
        """Add ones."""
        self._writer.add_tensor(name, np.ones(size, np.float32))


def _bytes() -> list[str]:
    """The 256 bytes as GPT-2's tokenizer writes them: each a character that can be seen."""
    seen = [*range(33, 127), *range(161, 173), *range(174, 256)]
    unseen = [byte for byte in range(256) if byte not in seen]
    return [chr(code) for code in seen] + [chr(256 + place) for place in range(len(unseen))]


def _write(writer: gguf.GGUFWriter, path: Path) -> Path:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path

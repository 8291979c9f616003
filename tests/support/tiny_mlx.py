"""Tiny MLX checkpoints with random weights: ``python tiny_mlx.py FOLDER``.

They are whole: weights, configuration, image processor, tokenizer and chat template, in the
architectures of real models. What they write is noise, but always the same noise.
"""

import json
import sys
from pathlib import Path
from typing import Any

SEED = 7
WORDS = (
    "Critique this photograph. The light is soft and the shadow is hard; the horizon leans. "
    'A "comment", a score from 1 to 10, and a recommendation: {"dimensions": [{"name": "light"}]} '
) * 3
SPECIAL = {
    "qwen": ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>",
             "<|image_pad|>", "<|video_pad|>"],
    "glm": ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|begin_of_image|>", "<|end_of_image|>",
            "<|image|>", "<|video|>", "<|begin_of_box|>", "<|end_of_box|>"],
    "smol": ["<|im_start|>", "<end_of_utterance>", "<fake_token_around_image>", "<image>",
             "<global-img>", *(f"<row_{r}_col_{c}>" for r in (1, 2) for c in (1, 2))],
}  # fmt: skip
QWEN_PHOTO = "<|vision_start|><|image_pad|><|vision_end|>"
GLM_PHOTO = "<|begin_of_image|><|image|><|end_of_image|>"
SMOL_PHOTO = "<image>"
# what a message holds: a text, or parts of which one may be the photo
CONTENT = (
    "{% if m.content is string %}{{ m.content }}{% else %}{% for part in m.content %}"
    "{% if part.type == 'image' %}PHOTO{% else %}{{ part.text }}{% endif %}{% endfor %}{% endif %}"
)
QWEN_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    + CONTENT.replace("PHOTO", QWEN_PHOTO)
    + "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
GLM_TEMPLATE = QWEN_TEMPLATE.replace(QWEN_PHOTO, GLM_PHOTO)
SMOL_TEMPLATE = (
    "<|im_start|>{% for m in messages %}{{ m.role | capitalize }}: "
    + CONTENT.replace("PHOTO", SMOL_PHOTO)
    + "<end_of_utterance>\n{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}"
)


def build(folder: Path) -> None:
    """Write ``qwen2``, ``qwen3``, ``glm`` and ``smol`` under ``folder``, and ``adapter`` for
    ``qwen3``."""
    import mlx.core as mx

    for name, make in {"qwen2": qwen2, "qwen3": qwen3, "glm": glm, "smol": smol}.items():
        mx.random.seed(SEED)
        make(folder / name)
    adapter(folder / "adapter")


def write_qwen2_processor(folder: Path) -> dict[str, int]:
    """Write a Qwen2-VL's tokenizer and image processor, and return the tokenizer's ids."""
    ids = write_tokenizer(folder, "qwen", QWEN_TEMPLATE)
    write_json(folder / "preprocessor_config.json", {
        "image_processor_type": "Qwen2VLImageProcessor", "processor_class": "Qwen2VLProcessor",
        "patch_size": 14, "merge_size": 2, "temporal_patch_size": 2,
        "min_pixels": 56 * 56, "max_pixels": 112 * 112,
        "image_mean": [0.5] * 3, "image_std": [0.5] * 3,
    })  # fmt: skip
    return ids


def qwen2(folder: Path, layers: int = 2, hidden: int = 64) -> None:
    """Write a Qwen2-VL."""
    ids = write_qwen2_processor(folder)
    write_model(folder, {
        "model_type": "qwen2_vl", "architectures": ["Qwen2VLForConditionalGeneration"],
        **text(layers, hidden, ids), **qwen_ids(ids),
        "rope_scaling": {"type": "mrope", "mrope_section": [2, 3, 3]},
        "vision_config": {"model_type": "qwen2_vl", "depth": 2, "embed_dim": 32,
                          "hidden_size": hidden, "num_heads": 2, "mlp_ratio": 2,
                          "in_channels": 3, "patch_size": 14},
    })  # fmt: skip


def qwen3(folder: Path, layers: int = 2, hidden: int = 64) -> None:
    """Write a Qwen3-VL, which also feeds the photo into its deeper layers."""
    ids = write_tokenizer(folder, "qwen", QWEN_TEMPLATE)
    write_json(folder / "preprocessor_config.json", {
        "image_processor_type": "Qwen2VLImageProcessorFast", "processor_class": "Qwen3VLProcessor",
        "patch_size": 16, "merge_size": 2, "temporal_patch_size": 2,
        "size": {"shortest_edge": 64 * 64, "longest_edge": 128 * 128},
        "image_mean": [0.5] * 3, "image_std": [0.5] * 3,
    })  # fmt: skip
    write_model(folder, {
        "model_type": "qwen3_vl", "architectures": ["Qwen3VLForConditionalGeneration"],
        **qwen_ids(ids),
        "text_config": {"model_type": "qwen3_vl_text", **text(layers, hidden, ids), "head_dim": 16,
                        "rope_scaling": {"type": "default", "mrope_section": [4, 2, 2]}},
        "vision_config": {"model_type": "qwen3_vl", "depth": 2, "hidden_size": 32,
                          "intermediate_size": 64, "out_hidden_size": hidden, "num_heads": 2,
                          "in_channels": 3, "patch_size": 16, "num_position_embeddings": 64,
                          "deepstack_visual_indexes": [0]},
    })  # fmt: skip


def glm(folder: Path, layers: int = 2, hidden: int = 64) -> None:
    """Write a GLM-4V, which cannot go on from a prompt that it knows the beginning of."""
    ids = write_tokenizer(folder, "glm", GLM_TEMPLATE)
    write_json(folder / "preprocessor_config.json", {
        "image_processor_type": "Glm4vImageProcessor", "processor_class": "Glm4vProcessor",
        "patch_size": 14, "merge_size": 2, "temporal_patch_size": 2,
        "size": {"shortest_edge": 56 * 56, "longest_edge": 4 * 112 * 112},
        "image_mean": [0.5] * 3, "image_std": [0.5] * 3,
    })  # fmt: skip
    write_model(folder, {
        "model_type": "glm4v", "architectures": ["Glm4vForConditionalGeneration"],
        "image_token_id": ids["<|image|>"], "video_token_id": ids["<|video|>"],
        "vision_start_token_id": ids["<|begin_of_image|>"],
        "vision_end_token_id": ids["<|end_of_image|>"], "eos_token_id": [ids["<|im_end|>"]],
        "vocab_size": len(ids),
        "text_config": {"model_type": "glm4v_text", **text(layers, hidden, ids),
                        "rope_scaling": {"rope_type": "default", "mrope_section": [2, 1, 1]}},
        "vision_config": {"model_type": "glm4v", "depth": 2, "hidden_size": 32,
                          "intermediate_size": 64, "out_hidden_size": hidden, "num_heads": 2,
                          "in_channels": 3, "patch_size": 14, "image_size": 112},
    })  # fmt: skip


def smol(folder: Path, layers: int = 2, hidden: int = 64) -> None:
    """Write a SmolVLM, which cuts a photo into tiles."""
    ids = write_tokenizer(folder, "smol", SMOL_TEMPLATE)
    write_json(folder / "preprocessor_config.json", {
        "image_processor_type": "SmolVLMImageProcessor", "processor_class": "SmolVLMProcessor",
        "do_image_splitting": True, "do_resize": True, "do_rescale": True, "do_normalize": True,
        "do_pad": True, "do_convert_rgb": True, "rescale_factor": 1 / 255, "resample": 1,
        "size": {"longest_edge": 112}, "max_image_size": {"longest_edge": 56},
        "image_mean": [0.5] * 3, "image_std": [0.5] * 3,
    })  # fmt: skip
    write_json(folder / "processor_config.json", {
        "processor_class": "SmolVLMProcessor", "image_seq_len": 4,
    })  # fmt: skip
    write_model(folder, {
        "model_type": "smolvlm", "architectures": ["SmolVLMForConditionalGeneration"],
        "image_token_id": ids["<image>"], "eos_token_id": ids["<end_of_utterance>"],
        "vocab_size": len(ids), "scale_factor": 2,
        "text_config": {"model_type": "llama", **text(layers, hidden, ids)},
        "vision_config": {"model_type": "siglip_vision_model", "hidden_size": 32,
                          "num_attention_heads": 2, "patch_size": 14, "num_hidden_layers": 2,
                          "intermediate_size": 64, "image_size": 56},
    })  # fmt: skip


def adapter(folder: Path, hidden: int = 64) -> None:
    """Write a LoRA adapter for a Qwen3-VL."""
    import mlx.core as mx

    folder.mkdir()
    key = "language_model.model.layers.0.self_attn.q_proj"
    write_json(folder / "adapter_config.json", {
        "fine_tune_type": "lora", "num_layers": 1,
        "lora_parameters": {"rank": 2, "scale": 4.0, "dropout": 0.0, "keys": [key]},
    })  # fmt: skip
    low, high = mx.random.normal((hidden, 2)), mx.random.normal((2, hidden))
    weights = {f"{key}.lora_a": low, f"{key}.lora_b": high}
    mx.save_safetensors(str(folder / "adapters.safetensors"), weights)


def text(layers: int, hidden: int, ids: dict[str, int]) -> dict[str, Any]:
    """What the language models have in common."""
    return {
        "hidden_size": hidden, "intermediate_size": 2 * hidden, "num_hidden_layers": layers,
        "num_attention_heads": 4, "num_key_value_heads": 2, "rms_norm_eps": 1e-6,
        "vocab_size": len(ids), "rope_theta": 10000.0, "max_position_embeddings": 8192,
    }  # fmt: skip


def qwen_ids(ids: dict[str, int]) -> dict[str, int]:
    """The special tokens that Qwen's configuration names."""
    return {
        "image_token_id": ids["<|image_pad|>"], "video_token_id": ids["<|video_pad|>"],
        "vision_start_token_id": ids["<|vision_start|>"],
        "vision_end_token_id": ids["<|vision_end|>"], "eos_token_id": ids["<|im_end|>"],
        "vocab_size": len(ids),
    }  # fmt: skip


def write_tokenizer(folder: Path, family: str, template: str) -> dict[str, int]:
    """Write a byte-level tokenizer with ``family``'s special tokens. Returns the tokens' ids."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    folder.mkdir(parents=True)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=SPECIAL[family],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([WORDS], trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    end = "<end_of_utterance>" if family == "smol" else "<|im_end|>"
    write_json(folder / "tokenizer_config.json", {
        "tokenizer_class": "PreTrainedTokenizerFast", "chat_template": template,
        "eos_token": end, "pad_token": SPECIAL[family][0], "model_max_length": 8192,
        "additional_special_tokens": SPECIAL[family],
    })  # fmt: skip
    write_json(folder / "chat_template.json", {"chat_template": template})
    return dict(tokenizer.get_vocab())


def write_model(folder: Path, config: dict[str, Any]) -> None:
    """Write the configuration, and random weights for it in two shards."""
    import mlx.core as mx
    from mlx.utils import tree_flatten
    from mlx_vlm.utils import get_model_and_args, update_module_configs

    write_json(folder / "config.json", config)
    config = json.loads((folder / "config.json").read_text())
    architecture, _ = get_model_and_args(config)
    config.setdefault("text_config", {})
    parts = ["text", "vision"]
    made = architecture.ModelConfig.from_dict(config)
    made = update_module_configs(made, architecture, config, parts)
    weights = tree_flatten(architecture.Model(made).parameters())
    # initial weights are so small that every answer would be one token again and again
    weights = [(key, w if w.ndim < 2 else mx.random.normal(w.shape) * 0.2) for key, w in weights]
    half = len(weights) // 2
    for number, shard in enumerate([dict(weights[:half]), dict(weights[half:])], start=1):
        path = folder / f"model-{number:05}-of-00002.safetensors"
        mx.save_safetensors(str(path), shard, metadata={"format": "mlx"})


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write ``content``."""
    path.write_text(json.dumps(content, indent=1))


if __name__ == "__main__":
    build(Path(sys.argv[1]))

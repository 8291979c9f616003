"""More tiny checkpoints, of the other architectures that ``mlx:`` is said to run:
``python more_tiny_mlx.py FOLDER``.

``qwen3-4bit`` has the form of a quantized checkpoint on the hub.
"""

import json
import sys
from pathlib import Path
from typing import Any

from support import tiny_mlx as tiny

tiny.SPECIAL |= {
    "gemma": ["<pad>", "<eos>", "<im_start>", "<|im_end|>", "<start_of_image>", "<end_of_image>",
              "<image_soft_token>"],
    "mistral": ["<pad>", "[INST]", "[/INST]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "<|im_end|>",
                "[IMG]", "[IMG_BREAK]", "[IMG_END]"],
}  # fmt: skip
TOKENS_OF_PHOTO = 4  # of Gemma's photo, whatever its size


def build(folder: Path) -> None:
    """Write all of ``MAKERS`` under ``folder``."""
    import mlx.core as mx

    for name, make in MAKERS.items():
        mx.random.seed(tiny.SEED)
        make(folder / name)


def qwen25(folder: Path) -> None:
    """Write a Qwen2.5-VL, whose vision tower looks through windows."""
    ids = tiny.write_tokenizer(folder, "qwen", tiny.QWEN_TEMPLATE)
    tiny.write_json(folder / "preprocessor_config.json", {
        "image_processor_type": "Qwen2VLImageProcessor", "processor_class": "Qwen2_5_VLProcessor",
        "patch_size": 14, "merge_size": 2, "temporal_patch_size": 2,
        "min_pixels": 56 * 56, "max_pixels": 112 * 112, "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3,
    })  # fmt: skip
    tiny.write_model(folder, {
        "model_type": "qwen2_5_vl", "architectures": ["Qwen2_5_VLForConditionalGeneration"],
        **tiny.text(2, 64, ids), **tiny.qwen_ids(ids),
        "rope_scaling": {"type": "mrope", "mrope_section": [2, 3, 3]},
        "vision_config": {"model_type": "qwen2_5_vl", "depth": 2, "hidden_size": 32,
                          "intermediate_size": 64, "out_hidden_size": 64, "num_heads": 2,
                          "in_channels": 3, "patch_size": 14, "window_size": 56,
                          "fullatt_block_indexes": [1]},
    })  # fmt: skip


def qwen35(folder: Path) -> None:
    """Write a Qwen3.5, most of whose attention is linear."""
    ids = write_qwen3(folder)
    text = tiny.text(4, 64, ids) | {
        "model_type": "qwen3_5_text", "head_dim": 16, "tie_word_embeddings": False,
        "linear_num_value_heads": 4, "linear_num_key_heads": 2, "linear_key_head_dim": 32,
        "linear_value_head_dim": 32, "linear_conv_kernel_dim": 4, "full_attention_interval": 2,
        "rope_parameters": {"type": "default", "mrope_section": [2, 1, 1], "rope_theta": 10000.0,
                            "partial_rotary_factor": 0.5},
    }  # fmt: skip
    tiny.write_model(folder, {
        "model_type": "qwen3_5", "architectures": ["Qwen3_5ForConditionalGeneration"],
        **tiny.qwen_ids(ids), "text_config": text,
        "vision_config": {**qwen3_tower(), "model_type": "qwen3_5", "deepstack_visual_indexes": []},
    })  # fmt: skip


def quantized(folder: Path) -> None:
    """Write a Qwen3-VL in 4 bits, with all the files of the hub's checkpoints."""
    import mlx.core as mx
    import mlx.nn as nn
    from mlx.utils import tree_flatten
    from mlx_vlm.utils import load_model

    tiny.qwen3(folder)
    (folder / "chat_template.jinja").write_text(tiny.QWEN_TEMPLATE)
    ids = json.loads((folder / "config.json").read_text())
    tiny.write_json(folder / "generation_config.json", {
        "eos_token_id": [ids["eos_token_id"], 0], "pad_token_id": 0, "do_sample": True,
    })  # fmt: skip
    config = json.loads((folder / "config.json").read_text())
    model = load_model(folder)
    nn.quantize(
        model.language_model, group_size=64, bits=4,
        class_predicate=lambda _, layer: hasattr(layer, "to_quantized")
        and layer.weight.shape[-1] % 64 == 0,
    )  # fmt: skip
    for path in folder.glob("*.safetensors"):
        path.unlink()
    weights = dict(tree_flatten(model.parameters()))
    weights = {
        key: w.astype(mx.bfloat16) if w.dtype == mx.float32 else w for key, w in weights.items()
    }
    mx.save_safetensors(str(folder / "model.safetensors"), weights, metadata={"format": "mlx"})
    tiny.write_json(folder / "model.safetensors.index.json", {
        "metadata": {"total_size": sum(w.nbytes for w in weights.values())},
        "weight_map": dict.fromkeys(weights, "model.safetensors"),
    })  # fmt: skip
    bits = {"group_size": 64, "bits": 4, "mode": "affine"}
    tiny.write_json(
        folder / "config.json", {**config, "quantization": bits, "quantization_config": bits}
    )


def gemma3(folder: Path) -> None:
    """Write a Gemma 3, whose attention slides and whose photo is always as many tokens."""
    template = tiny.QWEN_TEMPLATE.replace(tiny.QWEN_PHOTO, "<start_of_image>")
    template = template.replace("<|im_start|>", "<im_start>")
    ids = tiny.write_tokenizer(folder, "gemma", template)
    path = folder / "tokenizer_config.json"
    about = json.loads(path.read_text())
    tokens = {"boi_token": "<start_of_image>", "eoi_token": "<end_of_image>",
              "image_token": "<image_soft_token>"}  # fmt: skip
    tiny.write_json(path, {**about, **tokens, "extra_special_tokens": tokens})
    tiny.write_json(folder / "preprocessor_config.json", {
        "image_processor_type": "Gemma3ImageProcessor", "processor_class": "Gemma3Processor",
        "image_seq_length": TOKENS_OF_PHOTO, "size": {"height": 56, "width": 56},
        "image_mean": [0.5] * 3, "image_std": [0.5] * 3,
    })  # fmt: skip
    tiny.write_json(folder / "processor_config.json", {
        "processor_class": "Gemma3Processor", "image_seq_length": TOKENS_OF_PHOTO,
    })  # fmt: skip
    text = tiny.text(2, 64, ids) | {
        "model_type": "gemma3_text", "head_dim": 16, "query_pre_attn_scalar": 16,
        "sliding_window": 64, "sliding_window_pattern": 2, "mm_tokens_per_image": TOKENS_OF_PHOTO,
    }  # fmt: skip
    tiny.write_model(folder, {
        "model_type": "gemma3", "architectures": ["Gemma3ForConditionalGeneration"],
        "image_token_index": ids["<image_soft_token>"], "vocab_size": len(ids), "hidden_size": 64,
        "pad_token_id": ids["<pad>"], "eos_token_id": [ids["<|im_end|>"]],
        "mm_tokens_per_image": TOKENS_OF_PHOTO, "text_config": text,
        "vision_config": {"model_type": "siglip_vision_model", "num_hidden_layers": 2,
                          "hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2,
                          "patch_size": 14, "image_size": 56},
    })  # fmt: skip


def pixtral(folder: Path) -> None:
    """Write a Pixtral, whose photo is rows of tokens."""
    ids = write_mistral(folder, "PixtralProcessor", merge=1)
    tiny.write_model(folder, {
        "model_type": "pixtral", "architectures": ["LlavaForConditionalGeneration"],
        **mistral_ids(ids), "text_config": {"model_type": "mistral", **tiny.text(2, 64, ids),
                                            "head_dim": 16},
        "vision_config": pixtral_tower(),
    })  # fmt: skip


def mistral3(folder: Path) -> None:
    """Write a Mistral 3, which joins four patches of a photo to a token."""
    ids = write_mistral(folder, "Mistral3Processor", merge=2)
    tiny.write_model(folder, {
        "model_type": "mistral3", "architectures": ["Mistral3ForConditionalGeneration"],
        **mistral_ids(ids), "spatial_merge_size": 2,
        "text_config": {"model_type": "mistral", **tiny.text(2, 64, ids), "head_dim": 16},
        "vision_config": pixtral_tower(),
    })  # fmt: skip


def idefics3(folder: Path) -> None:
    """Write an Idefics 3: a SmolVLM by another name."""
    tiny.smol(folder)
    for name in ("preprocessor_config.json", "processor_config.json", "config.json"):
        text = (folder / name).read_text()
        text = text.replace("SmolVLM", "Idefics3").replace('"smolvlm"', '"idefics3"')
        (folder / name).write_text(text)


def write_qwen3(folder: Path) -> dict[str, int]:
    """Write what Qwen3's models have beside their weights. Returns the tokens' ids."""
    ids = tiny.write_tokenizer(folder, "qwen", tiny.QWEN_TEMPLATE)
    tiny.write_json(folder / "preprocessor_config.json", {
        "image_processor_type": "Qwen2VLImageProcessorFast", "processor_class": "Qwen3VLProcessor",
        "patch_size": 16, "merge_size": 2, "temporal_patch_size": 2,
        "size": {"shortest_edge": 64 * 64, "longest_edge": 128 * 128},
        "image_mean": [0.5] * 3, "image_std": [0.5] * 3,
    })  # fmt: skip
    return ids


def qwen3_tower() -> dict[str, Any]:
    """The vision tower of Qwen3's models."""
    return {
        "depth": 2, "hidden_size": 32, "intermediate_size": 64, "out_hidden_size": 64,
        "num_heads": 2, "in_channels": 3, "patch_size": 16, "num_position_embeddings": 64,
    }  # fmt: skip


def write_mistral(folder: Path, processor: str, merge: int) -> dict[str, int]:
    """Write what Mistral's models have beside their weights. Returns the tokens' ids."""
    template = (
        "{% for m in messages %}{% if m.role == 'system' %}[SYSTEM_PROMPT]{{ m.content }}"
        "[/SYSTEM_PROMPT]{% elif m.role == 'user' %}[INST]"
        + tiny.CONTENT.replace("PHOTO", "[IMG]")
        + "[/INST]{% endif %}{% endfor %}"
    )
    ids = tiny.write_tokenizer(folder, "mistral", template)
    tiny.write_json(folder / "preprocessor_config.json", {
        "image_processor_type": "PixtralImageProcessor", "processor_class": processor,
        "patch_size": {"height": 14, "width": 14}, "size": {"longest_edge": 112},
        "image_mean": [0.5] * 3, "image_std": [0.5] * 3, "do_resize": True, "do_rescale": True,
        "do_normalize": True, "do_convert_rgb": True, "rescale_factor": 1 / 255, "resample": 3,
    })  # fmt: skip
    tiny.write_json(folder / "processor_config.json", {
        "processor_class": processor, "patch_size": 14, "spatial_merge_size": merge,
        "image_token": "[IMG]", "image_break_token": "[IMG_BREAK]",
        "image_end_token": "[IMG_END]",
    })  # fmt: skip
    return ids


def mistral_ids(ids: dict[str, int]) -> dict[str, Any]:
    """The special tokens that Mistral's configuration names."""
    return {
        "image_token_index": ids["[IMG]"], "eos_token_id": [ids["<|im_end|>"]],
        "vocab_size": len(ids), "vision_feature_layer": -1,
    }  # fmt: skip


def pixtral_tower() -> dict[str, Any]:
    """The vision tower of Mistral's models."""
    return {
        "model_type": "pixtral", "num_hidden_layers": 2, "hidden_size": 32, "head_dim": 16,
        "intermediate_size": 64, "num_attention_heads": 2, "image_size": 112, "patch_size": 14,
    }  # fmt: skip


MAKERS = {
    "qwen25": qwen25,
    "qwen35": qwen35,
    "qwen3-4bit": quantized,
    "gemma3": gemma3,
    "pixtral": pixtral,
    "mistral3": mistral3,
    "idefics3": idefics3,
}

if __name__ == "__main__":
    build(Path(sys.argv[1]))

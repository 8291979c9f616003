"""A tiny Qwen2-VL with random weights in the form that vLLM reads: ``python -m support.tiny_vllm
FOLDER``.

Runs in vLLM's own environment, which has torch and transformers; Mondrian's has neither.
"""

import json
import sys
from pathlib import Path
from typing import Any

from support.tiny_mlx import qwen_ids, write_json, write_qwen2_processor

HIDDEN, HEADS = 64, 2  # heads of 32: the smallest that vLLM's attention on a CPU takes


def build(folder: Path) -> None:
    """Write the checkpoint to ``folder``."""
    import torch  # type: ignore[import-not-found]
    from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

    ids = write_qwen2_processor(folder)
    special: Any = qwen_ids(ids)
    config = Qwen2VLConfig(
        text_config={
            "hidden_size": HIDDEN, "intermediate_size": 2 * HIDDEN, "num_hidden_layers": 2,
            "num_attention_heads": HEADS, "num_key_value_heads": 1, "vocab_size": len(ids),
            "max_position_embeddings": 8192, "rope_theta": 10000.0,
            "rope_scaling": {"type": "mrope", "rope_type": "default", "mrope_section": [4, 6, 6]},
            "bos_token_id": ids["<|endoftext|>"], "eos_token_id": ids["<|im_end|>"],
        },
        vision_config={
            "depth": 2, "embed_dim": 64, "hidden_size": HIDDEN, "num_heads": 2, "mlp_ratio": 2,
            "in_channels": 3, "patch_size": 14, "spatial_merge_size": 2, "temporal_patch_size": 2,
        },
        **special,
    )  # fmt: skip
    torch.manual_seed(7)
    model = Qwen2VLForConditionalGeneration(config).to(torch.bfloat16)
    for weights in model.parameters():  # else every answer is one token again and again
        if weights.ndim > 1:
            torch.nn.init.normal_(weights, std=0.2)
    model.save_pretrained(folder)
    written = json.loads((folder / "config.json").read_text())
    write_json(folder / "config.json", {**written, "architectures": [type(model).__name__]})


if __name__ == "__main__":
    build(Path(sys.argv[1]))

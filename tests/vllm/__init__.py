"""The ``openai:`` engine on a real vLLM. Run by ``make vllm``."""

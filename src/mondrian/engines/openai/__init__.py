"""``openai:``: servers that speak OpenAI's chat completions."""

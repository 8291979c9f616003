"""Requests for the engines of the tests, and their results."""

from mondrian.engines import Engine, Request, Token

KEY = "a secret of the test"
# a model that may end its answer ends it early by chance
ENDLESS = {"type": "array", "items": {"enum": ["light", "shadow"]}, "minItems": 2000}
SHORT = Request(system="", prompt="What is there?", schema=ENDLESS, max_tokens=12)
LONG = Request(system="", prompt="What is there?", schema=ENDLESS, max_tokens=900)


def tokens_of(engine: Engine, request: Request) -> list[Token]:
    return [item for item in engine.stream(request) if isinstance(item, Token)]


def text_of(tokens: list[Token]) -> str:
    return "".join(token.text for token in tokens)

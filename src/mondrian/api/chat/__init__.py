"""OpenAI's chat completions over a job: the request, the critique as text, and the answers.

``POST /v1/chat/completions`` makes the same job as an upload, and follows its log. The text is
Markdown, since people read it in a chat, and grows with the tokens; the model's own words, which
are JSON, are in the job's stream.
"""

from mondrian.api.chat.answers import Completion, make_error, make_model
from mondrian.api.chat.request import ChatBody, ChatPhoto, find_photo, receive_chat
from mondrian.api.chat.text import ChatText

__all__ = [
    "ChatBody",
    "ChatPhoto",
    "ChatText",
    "Completion",
    "find_photo",
    "make_error",
    "make_model",
    "receive_chat",
]

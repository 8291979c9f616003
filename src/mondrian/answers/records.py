"""The flat record that every way of reading yields."""

from dataclasses import dataclass, field


@dataclass(kw_only=True, slots=True)
class Record:
    """Keys and their values. ``label`` is the key or heading above the record, and ``parent`` the
    record that contains this key.

    A value is a text or a list of texts: numbers stay as they were written. ``growing`` is the key
    whose value was cut off by the end of the text; a record that ``is_closed`` gets no more keys.
    ``group`` is the same object for all records of one object or section.
    """

    label: str = ""
    fields: dict[str, str | list[str]] = field(default_factory=dict)
    growing: str | None = None
    is_closed: bool = False
    parent: "Record | None" = None
    group: object = field(default_factory=object)

    def get_text(self, key: str) -> str:
        """Return the value of ``key``, a list joined by spaces."""
        value = self.fields[key]
        return value if isinstance(value, str) else " ".join(value)

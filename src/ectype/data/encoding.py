"""Bytes of a file as text: UTF-8 and nothing else, so that what is no text is named and never guessed."""

from __future__ import annotations

from ectype.errors import DataError


def decoded(raw: bytes, where: object) -> str:
    """The text of a file's bytes: without a byte order mark, and with every line ended by a line feed.

    Raises DataError, naming the line, for bytes that are no UTF-8 and for NUL characters.
    """
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{where}: line {line} is not written in UTF-8 (byte {error.start}); save it as UTF-8"
        ) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise DataError(f"{where}: line {line} holds a NUL character, so this is no text; save it as UTF-8")
    return text.replace("\r\n", "\n").replace("\r", "\n")

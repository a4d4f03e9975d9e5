"""Which files and places a suite may name, told by the name alone."""

from __future__ import annotations

import re
from typing import Final

_CODE: Final = ("js", "cjs", "mjs", "ts", "mts", "cts", "py", "rb", "sh")
_MEDIA: Final = (
    *("jpg", "jpeg", "png", "gif", "webp", "bmp", "svg", "tif", "tiff", "heic"),
    *("mp3", "wav", "ogg", "flac", "m4a", "mp4", "mov", "webm", "mkv", "pdf"),
)
_SHEETS: Final = ("xlsx", "xls", "ods", "numbers")


def not_data(name: str) -> str:
    """Why a file cannot be read as text or cases; empty when it may be."""
    scheme, has_scheme, place = name.partition("://")
    if has_scheme and place.startswith("docs.google.com/spreadsheets"):
        return "is a Google sheet; nothing is fetched: download it as CSV and name that file"
    if scheme == "huggingface" and has_scheme:
        return "is a data set on Hugging Face; nothing is fetched: save the rows that you need as JSONL"
    if has_scheme:
        return f"is a place elsewhere ({scheme}://); nothing is fetched: save it as a file beside the suite"
    if re.search(r"[*?]|\[.*\]|\{.*,.*\}", name):
        return "is a pattern of names (a glob); name the files one by one"
    suffix = name.rpartition(".")[2].lower()
    if suffix.partition(":")[0] in _CODE:
        return "is code; suites are data, code is never taken from them"
    if suffix in _MEDIA:
        return "is an image, sound, film or PDF, which no test sends; name what stands in it as text"
    if suffix in _SHEETS:
        return "is a workbook; save its sheet as CSV"
    return ""

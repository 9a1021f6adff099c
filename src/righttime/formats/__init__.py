"""Reading instruction data in the formats that users bring: Alpaca, ShareGPT, OpenAI messages, P3, NI and others.

A record becomes a row by one function of one module here, named in one line of `righttime.formats.registry`.
"""

from __future__ import annotations

from righttime.formats.reading import InputFile, Reading, from_records, read_rows
from righttime.formats.registry import FORMATS, format_names

__all__ = ["FORMATS", "InputFile", "Reading", "format_names", "from_records", "read_rows"]

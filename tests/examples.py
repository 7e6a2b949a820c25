"""The Python examples of a page, as one program."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def program(page: str) -> str:
    """Return the Python blocks of a page of the repository, in their order."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return "\n".join(re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL))

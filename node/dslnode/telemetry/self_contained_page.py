"""A page in one file without any asset from elsewhere, and the policy that lets nothing run but what stands in it."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from importlib.resources import files


@cache
def page_of(package: str) -> tuple[bytes, str]:
    """Return a package's ``page.html``, and its content security policy.

    The policy permits the page's own style and script, by their hashes, and requests to its own server.
    """
    text = files(package).joinpath("page.html").read_text(encoding="utf-8")
    rules = [
        "default-src 'none'",
        *(f"{kind}-src 'sha256-{_digest(text, kind)}'" for kind in ("style", "script")),
        "connect-src 'self'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
    return text.encode(), "; ".join(rules)


def _digest(text: str, tag: str) -> str:
    [content] = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
    return base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()

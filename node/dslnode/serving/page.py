"""The page on which people try the model: one file, drawn by its own script."""

from __future__ import annotations

from dslnode.serving.messages import Response
from dslnode.telemetry.self_contained_page import page_of


def page() -> Response:
    """Return the page."""
    content, policy = page_of("dslnode.serving")
    return Response(
        body=content,
        content_type="text/html; charset=utf-8",
        headers=(("Content-Security-Policy", policy), ("Referrer-Policy", "no-referrer")),
    )

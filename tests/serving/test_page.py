"""The page on which people try the model, in a real browser."""

from __future__ import annotations

from tests.browser import look_at, needs_chromium
from tests.serving.clients import model, serving, table_model

HOSTILE = "<img src=x onerror=document.title='owned'>"


@needs_chromium
def test_a_row_is_answered_and_no_name_is_taken_as_markup() -> None:
    names = (HOSTILE, HOSTILE + "2", HOSTILE + "3")
    with serving(table_model(names=names)) as (_, port):
        text = look_at(f"http://127.0.0.1:{port}/#try")
    assert "run · round 12" in text
    assert "&lt;img src=x onerror" in text
    assert "<img" not in text
    assert "<th>probability</th>" in text


@needs_chromium
def test_what_is_wrong_is_shown() -> None:
    with serving(None) as (_, port):
        text = look_at(f"http://127.0.0.1:{port}/")
    assert "there is no model yet" in text


@needs_chromium
def test_arrays_are_tried_as_json() -> None:
    with serving(model()) as (_, port):
        text = look_at(f"http://127.0.0.1:{port}/#try")
    assert "<th>class</th>" in text

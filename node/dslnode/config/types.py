"""Types of values that several settings take, and how text becomes one of them."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def _split_list(value: object) -> object:
    if isinstance(value, str):
        parts = [part.strip() for part in value.split(",") if part.strip()]
        if value.strip() and not parts:
            raise ValueError("has commas, and nothing between them; leave it out, or give values")
        return parts
    return value


def _split_table(value: object) -> object:
    if isinstance(value, str):
        pairs = [part.partition("=") for part in value.split(",") if part.strip()]
        if (value.strip() and not pairs) or not all(name.strip() and equals for name, equals, _ in pairs):
            raise ValueError("is not of the form PATTERN=RATIO,PATTERN=RATIO")
        return {name.strip(): ratio for name, _, ratio in pairs}
    return value


Ratio = Annotated[float, Field(gt=0, le=1)]
Addresses = Annotated[tuple[str, ...], BeforeValidator(_split_list)]
Classes = Annotated[tuple[Annotated[int, Field(ge=0)], ...], BeforeValidator(_split_list)]
Ratios = Annotated[dict[str, Ratio], BeforeValidator(_split_table)]


class SettingsGroup(BaseModel):
    """Base of all groups of settings."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)

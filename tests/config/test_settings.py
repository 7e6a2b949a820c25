"""What a setting may be: lists, tables, addresses and ranges, the presets, and the documentation of each."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from dslnode.addresses import check_address
from dslnode.config.presets import PRESETS
from dslnode.config.settings import Settings, describe


def problem_with(**fields: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        Settings(**fields)
    return str(caught.value)


@pytest.mark.parametrize("field", list(Settings.model_fields))
def test_every_setting_has_a_full_sentence_that_describes_it(field: str) -> None:
    text = describe(field)
    assert text[0].isupper()
    assert text.endswith(".")
    assert len(text.split()) >= 3


@pytest.mark.parametrize("name", list(PRESETS))
def test_a_preset_names_existing_settings_with_values_that_hold(name: str) -> None:
    assert PRESETS[name].keys() <= Settings.model_fields.keys()
    settings = Settings(**PRESETS[name])
    assert {field: getattr(settings, field) for field in PRESETS[name]} == PRESETS[name]


def test_settings_cannot_be_changed_once_made() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().alpha = 2.0  # type: ignore[misc]


def test_an_unknown_setting_is_refused() -> None:
    assert "Extra inputs are not permitted" in problem_with(alhpa=1)


def test_lists_are_read_from_text_and_from_lists() -> None:
    for peers in ("a:1, b:2,", ["a:1", "b:2"], ("a:1", "b:2")):
        assert Settings.model_validate({"peers": peers}).peers == ("a:1", "b:2")
    for classes in ("0,3, 7", [0, 3, 7]):
        assert Settings.model_validate({"classes": classes}).classes == (0, 3, 7)
    assert Settings.model_validate({"peers": "", "classes": ""}).peers == ()


def test_a_peer_named_twice_is_dialled_once() -> None:
    assert Settings.model_validate({"peers": "b:2,a:1,b:2"}).peers == ("b:2", "a:1")


def test_tables_are_read_from_text_and_from_tables_in_their_order() -> None:
    for table in ("conv*=0.1, head=0.9", {"conv*": 0.1, "head": 0.9}):
        ratios = Settings.model_validate({"layer_keep_ratios": table}).layer_keep_ratios
        assert list(ratios.items()) == [("conv*", 0.1), ("head", 0.9)]
    assert Settings.model_validate({"layer_keep_ratios": ""}).layer_keep_ratios == {}


@pytest.mark.parametrize("text", ["abc", "=0.3", "a=0.1,=0.3", "a=", "a=0.3=4", "a=1.1", "a=0", "a=nan", "=", "a 0.1"])
def test_a_malformed_table_is_refused(text: str) -> None:
    assert "layer_keep_ratios" in problem_with(layer_keep_ratios=text)


@pytest.mark.parametrize(
    "address", ["a:1", "10.0.0.2:7711", "0.0.0.0:0", "[::1]:7711", "[fe80::1]:65535", "my-host.lan:1"]
)
def test_an_address_is_a_host_and_a_port(address: str) -> None:
    assert check_address(address) == address


@pytest.mark.parametrize(
    "address",
    [
        "",
        "a",
        "a:",
        ":7711",
        "a:b",
        "a:-1",
        "a:65536",
        "a:123456",
        "::1:7711",
        "[::1]",
        "[::1:7711",
        "[name]:1",
        "[]:1",
        "http://a:1",
        "a b:1",
        "a:1 ",
        "a:1\n",
        "a:٣",
    ],
)
@pytest.mark.parametrize("field", ["listen", "advertise", "metrics", "peers"])
def test_a_malformed_address_is_refused_wherever_it_stands(field: str, address: str) -> None:
    if field == "advertise" and not address:
        return  # empty: no address is announced
    value = (address,) if field == "peers" else address
    assert "is not HOST:PORT, such as 10.0.0.2:7711 or [fd00::2]:7711" in problem_with(**{field: value})


@given(st.text(max_size=12))
def test_no_text_makes_the_address_check_fail_in_another_way(text: str) -> None:
    with contextlib.suppress(ValueError):
        host, _, port = check_address(text).rpartition(":")
        assert host
        assert 0 <= int(port) <= 65535


def test_metrics_can_be_off_and_advertise_empty() -> None:
    settings = Settings(metrics="off", advertise="")
    assert (settings.metrics, settings.advertise) == ("off", "")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("keep_ratio", 0),
        ("keep_ratio", 1.01),
        ("linear_keep_ratio", 0),
        ("momentum", 1),
        ("alpha", -0.1),
        ("alpha", float("nan")),
        ("learning_rate", 0),
        ("learning_rate", float("inf")),
        ("learning_rate", 1e30),
        ("weight_decay", 1e30),
        ("fine_tuning_rate", 1e30),
        ("group_lasso", 1e30),
        ("classes", ",,"),
        ("peers", " , "),
        ("layer_keep_ratios", ","),
        ("weight_decay", float("inf")),
        ("fine_tuning_rate", float("nan")),
        ("local_steps", 0),
        ("local_steps", 1.5),
        ("batch_size", "many"),
        ("rounds", -1),
        ("rounds", 2**31),
        ("seed", -1),
        ("seed", 2**63),
        ("held_out_fraction", 1),
        ("task", "regresion"),
        ("class_count", 1),
        ("classes", "0,-1"),
        ("classes", "0,x"),
        ("threads", 0),
        ("round_deadline", 0),
        ("evaluate_every", 0),
        ("name", "two words"),
        ("name", ""),
        ("name", "x" * 65),
        ("name", "line\n"),
        ("run_id", "a/b"),
        ("algorithm", "authrs"),
        ("fine_tuning", "on"),
        ("log_format", "xml"),
        ("log_level", "loud"),
        ("state_dir", ""),
        ("signed_scores", "perhaps"),
        ("peers", tuple(f"a:{port}" for port in range(101))),
    ],
)
def test_a_value_out_of_range_is_refused_under_its_setting(field: str, value: object) -> None:
    assert f"\n{field}" in problem_with(**{field: value})


@pytest.mark.parametrize(
    "share", ["0/3", "4/3", "1/0", "0/0", "3", "1/2/3", "a/b", "-1/3", "1 / 3", "1/9999999999", "٣/٤"]
)
def test_a_share_outside_its_whole_is_refused(share: str) -> None:
    assert "\nshare" in problem_with(share=share)


def test_each_share_of_its_whole_is_taken() -> None:
    assert [Settings(share=f"{i}/3").share for i in (1, 2, 3)] == ["1/3", "2/3", "3/3"]


@pytest.mark.parametrize("field", ["signed_scores", "shared_scores"])
def test_novelty_without_common_signed_scores_is_refused(field: str) -> None:
    plain = {"exchange": "keep", "weights_per_score": 1, "mask_novelty": False, field: False}
    assert not getattr(Settings.model_validate(plain), field)
    assert "mask_novelty needs signed_scores and shared_scores" in problem_with(**{**plain, "mask_novelty": True})
    assert "sign masks need signed_scores and shared_scores" in problem_with(**{**plain, "exchange": "sign"})
    assert "weights_per_score above 1 needs" in problem_with(**{**plain, "weights_per_score": 2})

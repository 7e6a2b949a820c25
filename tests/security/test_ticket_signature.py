"""A ticket's settings are its authority's, and none of them chooses what code a board runs."""

from __future__ import annotations

import contextlib
import ssl
import warnings
from collections.abc import Mapping
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from dslnode.config.loader import load, load_settings
from dslnode.errors import ExitCode, SettingsError
from dslnode.security.credentials import Credentials
from dslnode.security.secret_files import write_private
from dslnode.security.ticket import Ticket, read_ticket, ticket_text
from dslnode.security.ticket_signature import DOMAIN, check_settings_signature, signed_content
from tests.networks import NOW, Operator


def change(file: Path, **changed: object) -> None:
    write_private(file, ticket_text(read_ticket(file).model_copy(update=changed)), replace=True)


def issued(operator: Operator, settings: dict[str, str]) -> Path:
    return operator.ticket("board-7", NOW, 90, **settings)


def settings_of(file: Path, **arguments: str) -> Mapping[str, object]:
    return dict(load({"ticket": str(file), **arguments}, {}, None).settings)


def test_an_issued_and_a_renewed_ticket_are_signed(operator: Operator) -> None:
    file = operator.ticket("board-7", data="idx:/data/mine", alpha="1.5")
    first = read_ticket(file)
    assert settings_of(file)["data"] == "idx:/data/mine"
    renewed = read_ticket(operator.renew("board-7"))
    assert renewed.settings == first.settings
    assert renewed.signature != first.signature
    assert settings_of(file)["alpha"] == 1.5
    assert signed_content(renewed).startswith(DOMAIN)


@pytest.mark.parametrize(
    "changed",
    [
        {"settings": {"alpha": "2"}},
        {"settings": {}},
        {"run_id": "other"},
        {"name": "board-8"},
        {"node_id": "cd" * 16},
        {"fingerprint": "cd" * 16},
        {"signature": "MEUCIQ=="},
        {"signature": "not base64"[:3]},
    ],
)
def test_a_ticket_that_was_changed_is_refused_and_its_renewal_named(
    operator: Operator, changed: dict[str, object]
) -> None:
    file = operator.ticket("board-7", alpha="1.5")
    change(file, **changed)
    with pytest.raises(SettingsError) as refused:
        settings_of(file)
    assert str(refused.value).startswith(f"{file}: has other settings than its authority signed; copy the ticket")
    assert "`dslnode ca renew board-" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert refused.value.exit_code is ExitCode.SETTINGS


def test_a_signature_is_good_for_its_own_certificate_only(operator: Operator) -> None:
    """As for one that somebody keeps of a ticket that was renewed without the setting."""
    file = operator.ticket("board-7", alpha="1.5")
    former = read_ticket(file)
    operator.renew("board-7")
    change(file, signature=former.signature)
    with pytest.raises(SettingsError, match="other settings than its authority signed"):
        settings_of(file)


def test_another_authority_signs_for_none_but_its_own(operator: Operator, tmp_path: Path) -> None:
    file = operator.ticket("board-7", alpha="1.5")
    change(file, authority=Operator(tmp_path / "other").authority.pem)
    with pytest.raises(SettingsError, match="other settings than its authority signed"):
        settings_of(file)


@pytest.mark.parametrize("field", ["certificate", "authority"])
def test_a_damaged_certificate_is_no_internal_error(operator: Operator, field: str) -> None:
    file = operator.ticket("board-7")
    change(file, **{field: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"})
    with pytest.raises(SettingsError, match="a certificate is damaged; copy the ticket again"):
        settings_of(file)


def test_a_ticket_of_an_earlier_release_is_refused_with_how_to_renew_it(operator: Operator) -> None:
    file = operator.ticket("board-7", alpha="1.5")
    change(file, signature="")
    message = f"{file}: has settings without a signature, .*; `dslnode ca renew board-7` where the authority is"
    with pytest.raises(SettingsError, match=message):
        settings_of(file)
    with pytest.raises(SettingsError, match=message):
        Credentials(file, None, lambda: NOW)
    operator.renew("board-7")
    assert settings_of(file)["alpha"] == 1.5


def test_a_ticket_without_settings_needs_no_signature(operator: Operator) -> None:
    file = operator.ticket("board-7")
    change(file, signature="", settings={})
    assert settings_of(file)["name"] == "board-7"
    assert Credentials(file, None, lambda: NOW).identity.name == "board-7"


def test_the_check_raises_nothing_else_for_a_ticket_of_rubbish() -> None:
    ticket = Ticket(
        name="b", node_id="ab" * 16, run_id="r", certificate="C", key="K", authority="A", signature="AA==", settings={}
    )
    with pytest.raises(SettingsError, match="is damaged"):
        check_settings_signature(ticket, Path("b.ticket"))


@pytest.mark.parametrize("field", ["certificate", "authority"])
def test_any_flipped_bit_of_a_certificate_is_a_signed_ticket_or_a_refusal(operator: Operator, field: str) -> None:
    """Unknown versions, keys and curves raise errors of their own."""
    file = operator.ticket("board-7", alpha="1.5")
    ticket = read_ticket(file)
    content = x509.load_pem_x509_certificate(getattr(ticket, field).encode()).public_bytes(Encoding.DER)
    for position in range(len(content)):
        damaged = bytearray(content)
        damaged[position] ^= 1 << position % 8
        text = ssl.DER_cert_to_PEM_cert(bytes(damaged))
        with contextlib.suppress(SettingsError), warnings.catch_warnings(action="ignore"):
            check_settings_signature(ticket.model_copy(update={field: text}), file)


CODE = [
    ("task", "evil:Task"),
    ("model", "evil:net"),
    ("data", "evil:load"),
    ("data", "os:getcwd"),
    ("data", "idx2:/x"),
    ("model", "a.b:C.d"),
]


@pytest.mark.parametrize(("field", "value"), CODE)
def test_a_signed_ticket_chooses_no_code(operator: Operator, field: str, value: str) -> None:
    """Whoever can write the file can sign it, by an authority of his own."""
    file = issued(operator, {field: value})
    with pytest.raises(SettingsError) as refused:
        settings_of(file)
    [line] = str(refused.value).splitlines()
    assert line.startswith(f"{field} = {value!r} (from {file}): names code")
    assert f"give --{field} {value} on the board, or --allow-code-from-ticket" in line
    assert refused.value.exit_code is ExitCode.SETTINGS
    with pytest.raises(SettingsError, match="names code"):
        load_settings(ticket=file)
    examined = load({"ticket": str(file)}, {}, None, examine=True)
    assert "names code" in examined.ticket_problem
    assert getattr(examined.settings, field) != value


@pytest.mark.parametrize(("field", "value"), CODE)
def test_code_is_taken_from_the_board_or_with_its_permission(
    operator: Operator, tmp_path: Path, field: str, value: str
) -> None:
    file = issued(operator, {field: value})
    assert settings_of(file, **{field: "own:code"})[field] == "own:code"
    for allowed in ("true", "True", "1", "yes"):
        assert settings_of(file, allow_code_from_ticket=allowed)[field] == value
    environment = {"DSLNODE_ALLOW_CODE_FROM_TICKET": "1"}
    assert getattr(load({"ticket": str(file)}, environment, None).settings, field) == value
    toml = tmp_path / "node.toml"
    toml.write_text("allow_code_from_ticket = true\n")
    assert getattr(load({"ticket": str(file)}, {}, toml).settings, field) == value
    for refused in ("false", "0", "rubbish"):
        with pytest.raises(SettingsError, match="names code"):
            settings_of(file, allow_code_from_ticket=refused)


@pytest.mark.parametrize("name", ["allow_code_from_ticket", "insecure", "ticket"])
def test_a_ticket_gives_itself_no_permission(operator: Operator, name: str) -> None:
    file = issued(operator, {name: "true", "model": "evil:net"})
    with pytest.raises(SettingsError, match=f"a ticket may not set {name}"):
        settings_of(file)


@pytest.mark.parametrize(
    "settings", [{"data": "idx:/data/fashion-mnist"}, {"data": "csv:/x.csv"}, {"data": "digits", "model": "cnn"}]
)
def test_paths_and_names_stay_allowed(operator: Operator, settings: dict[str, str]) -> None:
    found = settings_of(issued(operator, settings))
    assert {name: found[name] for name in settings} == settings

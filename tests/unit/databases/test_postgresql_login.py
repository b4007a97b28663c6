"""Keys instead of a password: what is learnt of a server, and when."""

import hashlib
import hmac
from binascii import a2b_base64

import pytest

from pdelta.databases.postgresql.login import Keys, Login

SALT, OTHER = "W22ZaJ0SNY7soEsUEjb6gQ==", "LjFt43wg1gPJaWqTS/whHw=="
BARE = "n=user,r=rOprNGfwEbeRWgbNEkqO"
NONCE = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
FINAL = f"c=biws,{NONCE}"
"""The exchange of RFC 7677, section 3."""


def said(salt: str = SALT, *, iterations: str = "4096", rest: str = "") -> bytes:
    """Give a trace as the library writes it."""
    return (
        '2026-11-27 11:29:51.808595\tB\t23\tAuthenticationSASL\t "SCRAM-SHA-256" ""\n'
        f"2026-11-27 11:29:51.809586\tF\t54\tSASLInitialResponse\t \"SCRAM-SHA-256\" 32 'n,,{BARE}'\n"
        f"2026-11-27 11:29:51.809636\tB\t92\tAuthenticationSASLContinue\t '{NONCE},s={salt},i={iterations}{rest}'\n"
        "2026-11-27 11:29:51.812633\tB\t54\tAuthenticationSASLFinal\t 'v=x'\n"
    ).encode()


def often(login: Login) -> Keys:
    """Ask for as many connections as make keys worth deriving, and give what the last of them is told."""
    return [login.parameters() for _time in range(5)][-1]


def test_keys_when_two_connections_met_one_salt_then_they_are_those_of_the_standards_example() -> None:
    login = Login("pencil")
    login.hear(said())
    assert (login.parameters(), login.listens) == ((), True)
    login.hear(said(rest=",x=more"))
    assert not login.listens
    assert [login.parameters() for _time in range(3)] == [()] * 3
    keys = {name: a2b_base64(value) for name, value in login.parameters()}
    assert sorted(keys) == [b"scram_client_key", b"scram_server_key"]
    exchange = f"{BARE},{NONCE},s={SALT},i=4096,{FINAL}".encode()
    client = keys[b"scram_client_key"]
    signature = hmac.digest(hashlib.sha256(client).digest(), exchange, "sha256")
    proof = bytes(one ^ other for one, other in zip(client, signature, strict=True))
    assert proof == a2b_base64("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
    answer = hmac.digest(keys[b"scram_server_key"], exchange, "sha256")
    assert answer == a2b_base64("6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")


@pytest.mark.parametrize(
    "traces",
    [
        [said()],
        [said(), said(OTHER), said()],
        [said(), said(iterations="10000")],
        [said(), b"", said()],
        [said(iterations="1234567890")] * 2,
        [said("a b")] * 2,
        [b"B\t23\tAuthenticationMD5Password\t 'abcd'\n"] * 2,
    ],
    ids=["one", "salts", "iterations", "other server", "too many", "no salt", "md5"],
)
def test_keys_when_it_is_not_certain_what_is_asked_for_then_there_are_none(traces: list[bytes]) -> None:
    login = Login("pencil")
    for trace in traces:
        login.hear(trace)
    assert (often(login), login.listens) == ((), True)


@pytest.mark.parametrize("password", ["", "pässword", "tab\there"])
def test_keys_when_a_password_is_the_librarys_business_then_nobody_listens(password: str) -> None:
    assert not Login(password).listens


@pytest.mark.parametrize("trace", [said(iterations="0"), said("W22Za")], ids=["count", "salt"])
def test_keys_when_none_can_be_derived_then_the_password_counts(trace: bytes) -> None:
    login = Login("pencil")
    login.hear(trace)
    login.hear(trace)
    assert (often(login), login.is_repeatable) == ((), False)


def test_keys_when_they_were_refused_then_the_password_counts_for_good() -> None:
    login = Login("pencil")
    login.hear(said())
    login.hear(said())
    assert often(login)
    login.give_up()
    login.hear(said())
    assert (often(login), login.listens) == ((), False)

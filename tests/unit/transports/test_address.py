"""Addresses: what is a host, what is a path, and what is never handed to ssh."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdelta.errors import UsageError
from pdelta.transports.address import RemoteAddress, parse_address


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("web1:app", RemoteAddress("web1", b"app")),
        ("web1:/srv/app", RemoteAddress("web1", b"/srv/app")),
        ("deploy@web1:/srv/app", RemoteAddress("web1", b"/srv/app", "deploy")),
        ("deploy@192.168.1.100:a b:c", RemoteAddress("192.168.1.100", b"a b:c", "deploy")),
        ("web1:", RemoteAddress("web1", b".")),
        ("[::1]:/srv", RemoteAddress("::1", b"/srv")),
        ("me@[fe80::1%eth0]:x", RemoteAddress("fe80::1%eth0", b"x", "me")),
        ("ssh://me@web1:2222/srv/app", RemoteAddress("web1", b"/srv/app", "me", 2222)),
        ("ssh://web1/~/app", RemoteAddress("web1", b"~/app")),
        ("ssh://[::1]:22/a%20b%FF", RemoteAddress("::1", b"/a b\xff", "", 22)),
        ("web1:\udcff", RemoteAddress("web1", b"\xff")),
        ("a@b@web1:x", RemoteAddress("web1", b"x", "a@b")),
    ],
)
def test_address_when_it_names_a_host_then_gives_its_parts(text: str, expected: RemoteAddress) -> None:
    assert parse_address(text) == expected


@pytest.mark.parametrize("text", ["app", "/srv/app", "./a:b", "/a:b", "a/b:c", ".", "", ":x", "~/x"])
def test_address_when_it_is_a_path_then_gives_nothing(text: str) -> None:
    assert parse_address(text) is None


@pytest.mark.parametrize(
    "text",
    [
        *("-oProxyCommand=touch x:app", "ssh://-oProxyCommand=x/app", "-l@web1:app", "ssh://-x@web1/a"),
        *("we`id`b:x", "$(id):x", "a;b:x", "a|b:x", "a b:x", "we\nb:x", "a&b:x", "'a':x", 'a"b:x', "a\\b:x", "a\x1b:x"),
        *(
            "u;x@web1:x",
            "ssh://web1:99999/x",
            "ssh://web1",
            "ssh:///x",
            "ssh://a:b:c/x",
            "web1:a\0b",
            "[zz]:x",
            "@web1:x",
        ),
    ],
)
def test_attack_23_when_a_name_is_an_option_or_a_shell_command_then_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_address(text)


@given(st.text(max_size=40))
def test_address_when_anything_is_typed_then_no_part_can_be_an_option_or_a_command(text: str) -> None:
    try:
        address = parse_address(text)
    except UsageError:
        return
    if address is not None:
        assert not address.host.startswith("-")
        assert not address.user.startswith("-")
        assert not set(address.host + address.user) & set(" \t\n\0'\"`$\\;&<>|(){}")
        assert b"\0" not in address.path

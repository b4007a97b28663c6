"""What an address on the command line means."""

import pytest

from pdelta.app.destination import parse_destination, remote_address
from pdelta.errors import UsageError
from pdelta.formats.project import Host

HOSTS = {
    "web1": Host("deploy@10.0.0.1", root="/opt", port=2222, become="app", identity="/k"),
    "bare": Host("web.example"),
}


@pytest.mark.parametrize("text", ["app", "./a:b", "/srv/a:b", "../x", "dir/a:b"])
def test_path_when_no_host_is_meant_then_it_is_local(text: str) -> None:
    destination = parse_destination(text, HOSTS)
    assert destination.remote is None
    assert destination.path == text.encode()


@pytest.mark.parametrize(
    ("text", "user", "host", "port", "path"),
    [
        ("web:/srv", "", "web", 0, b"/srv"),
        ("me@web:app", "me", "web", 0, b"app"),
        ("ssh://me@web:22/srv", "me", "web", 22, b"/srv"),
        ("web1:app", "deploy", "10.0.0.1", 2222, b"/opt/app"),
        ("web1:/app", "deploy", "10.0.0.1", 2222, b"/app"),
        ("web1:", "deploy", "10.0.0.1", 2222, b"/opt"),
        ("bare:app", "", "web.example", 0, b"app"),
    ],
)
def test_address_when_a_host_is_meant_then_it_is_remote(
    text: str, user: str, host: str, port: int, path: bytes
) -> None:
    destination = parse_destination(text, HOSTS)
    assert destination.remote is not None
    assert (destination.remote.user, destination.remote.host, destination.remote.port, destination.path) == (
        user,
        host,
        port,
        path,
    )


@pytest.mark.parametrize(
    "text", ["", "a\0b", "web:", "bare:", "s3://bucket/x", "-oProxyCommand=x:/a", "a;b:/c", "http://x/y"]
)
def test_address_when_it_is_none_then_it_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_destination(text, HOSTS)


def test_project_host_when_it_asks_for_a_user_then_the_destination_says_so() -> None:
    destination = parse_destination("web1:app", HOSTS)
    assert (destination.become, destination.identity) == ("app", "/k")


@pytest.mark.parametrize(
    ("host", "folder", "address"),
    [
        ("deploy@192.168.1.100", "/opt/app", "deploy@192.168.1.100:/opt/app"),
        ("", "/opt/app", "/opt/app"),
        ("", "a:b", "./a:b"),
        ("ssh://me@web:22", "/srv", "ssh://me@web:22/srv"),
    ],
)
def test_manifest_address_when_put_together_then_it_can_be_parsed(host: str, folder: str, address: str) -> None:
    assert remote_address(host, folder) == address

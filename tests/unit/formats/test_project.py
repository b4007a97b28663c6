"""``pdelta.toml``: what is known is read, what is unknown is refused by name."""

from pathlib import Path

import pytest

from pdelta.errors import FormatError
from pdelta.formats.project import Host, parse_project

VECTOR = Path(__file__).parents[2] / "vectors" / "project-file" / "example.toml"


def test_project_when_it_is_the_vector_then_every_section_is_there() -> None:
    project = parse_project(VECTOR.read_text())
    assert project.hosts == {"web1": Host("deploy@192.168.1.100", ("web",), root="/opt")}
    assert project.databases["user_profiles"].deltas == "deltas"
    assert project.stores["cdn"]["channel"] == "stable"


def test_project_when_empty_then_nothing_is_in_it() -> None:
    assert not parse_project("").hosts


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[hosts", "TOML"),
        ("hosts = 1", "hosts"),
        ("[host.web]\naddress = 'a'", "host"),
        ("[hosts.web]\nadress = 'a'", "adress"),
        ("[hosts.web]\ngroups = ['a']", "address"),
        ("[hosts.web]\naddress = 1", "address"),
        ("[hosts.web]\naddress = 'a'\nport = 70000", "70000"),
        ("[hosts.web]\naddress = 'a'\n[hosts.web]\naddress = 'b'", "TOML"),
    ],
)
def test_project_when_malformed_then_the_message_names_it(text: str, named: str) -> None:
    with pytest.raises(FormatError, match=named):
        parse_project(text)

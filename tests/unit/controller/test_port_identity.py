"""A port that comes back under another name is found by what its board shows, and no other board is taken for it."""

from __future__ import annotations

import os
import pty
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.safety.port_identity import Identity, identity_of
from controller.safety.sentinel_client import open_again
from drivers.errors import PortMissing
from tests.usb_tree import EMBER, UsbTree


class Bus:
    """Terminals, and the tree in which they are ports."""

    def __init__(self, root: Path) -> None:
        self.tree = UsbTree(root)
        self.pairs = [pty.openpty() for _ in range(4)]
        self.nodes = [os.ttyname(slave) for _, slave in self.pairs]

    def identity(self, path: Path) -> Identity:
        found = identity_of(os.stat(path), str(self.tree.sysfs), str(self.tree.dev))
        assert found is not None
        return found


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[Bus]:
    made = Bus(tmp_path)
    yield made
    for pair in made.pairs:
        os.close(pair[0])
        os.close(pair[1])


@pytest.mark.parametrize("uart", [False, True])
def test_it_is_found_under_another_name(bus: Bus, uart: bool) -> None:
    identity = bus.identity(bus.tree.plug("ttyACM0", bus.nodes[0], uart=uart))
    bus.tree.unplug("ttyACM0")
    identity.look()
    with pytest.raises(OSError, match="its board is not plugged in"):
        identity.find()
    back = bus.tree.plug("ttyACM3", bus.nodes[1], uart=uart)
    assert identity.find() == str(back)
    identity.check(os.stat(back))


def test_a_board_with_a_number_of_its_own_is_found_in_another_socket(bus: Bus) -> None:
    identity = bus.identity(bus.tree.plug("ttyACM0", bus.nodes[0], "1-1.2"))
    bus.tree.unplug("ttyACM0")
    identity.look()
    back = bus.tree.plug("ttyACM5", bus.nodes[1], "3-2")
    assert identity.find() == str(back)
    identity.check(os.stat(back))
    assert identity.was.where == "3-2"


@pytest.mark.parametrize(
    "other",
    [
        {"serial": "03666228"},
        {"serial": ""},
        {"product": "BitaxeBonanza"},
        {"manufacturer": "256F"},
        {"idVendor": "1209"},
        {"idProduct": "b17d"},
    ],
    ids=lambda other: "/".join(other),
)
def test_what_shows_something_else_is_not_it_not_even_under_its_name_and_in_its_socket(
    bus: Bus, other: dict[str, str]
) -> None:
    identity = bus.identity(bus.tree.plug("ttyACM0", bus.nodes[0]))
    bus.tree.unplug("ttyACM0")
    (bus.tree.sysfs / "devices/usb1/1-1.2/serial").unlink()
    now = bus.tree.plug("ttyACM0", bus.nodes[1], strings=other)
    with pytest.raises(OSError, match="not plugged in"):
        identity.find()
    with pytest.raises(OSError, match="another board has this name by now"):
        identity.check(os.stat(now))


def test_the_other_port_of_the_same_board_is_not_it(bus: Bus) -> None:
    control = bus.tree.plug("ttyACM0", bus.nodes[0])
    data = bus.tree.plug("ttyACM1", bus.nodes[1], interface=2)
    identities = bus.identity(control), bus.identity(data)
    for name in ("ttyACM0", "ttyACM1"):
        bus.tree.unplug(name)
    back = bus.tree.plug("ttyACM0", bus.nodes[2], interface=2), bus.tree.plug("ttyACM1", bus.nodes[3], interface=0)
    assert [identity.find() for identity in identities] == [str(back[1]), str(back[0])]


def test_of_two_boards_with_one_number_the_socket_decides(bus: Bus) -> None:
    first = bus.identity(bus.tree.plug("ttyACM0", bus.nodes[0], "1-1.2"))
    second = bus.tree.plug("ttyACM2", bus.nodes[1], "1-1.3")
    assert first.where_decides is False, "it was alone then"
    bus.tree.unplug("ttyACM0")
    first.look()  # as whoever loses a port does at once
    with pytest.raises(OSError, match="not plugged in"):
        first.find()
    with pytest.raises(OSError, match="another board"):
        first.check(os.stat(second))
    back = bus.tree.plug("ttyACM4", bus.nodes[2], "1-1.2")
    assert first.find() == str(back)
    bus.tree.unplug("ttyACM2")
    bus.tree.unplug("ttyACM4")
    bus.tree.plug("ttyACM0", bus.nodes[3], "3-1")
    with pytest.raises(OSError, match="not plugged in"):
        first.find()


def test_two_that_show_the_same_in_new_sockets_are_neither(bus: Bus) -> None:
    identity = bus.identity(bus.tree.plug("ttyACM0", bus.nodes[0], "1-1.2"))
    bus.tree.unplug("ttyACM0")
    identity.look()
    bus.tree.plug("ttyACM1", bus.nodes[1], "1-1.3")
    bus.tree.plug("ttyACM2", bus.nodes[2], "1-1.4")
    with pytest.raises(OSError, match="not plugged in"):
        identity.find()


@pytest.mark.parametrize("strings", [EMBER, {"serial": ""}], ids=["numbers that units share", "no number"])
def test_without_a_number_of_its_own_it_is_found_in_its_socket_alone(bus: Bus, strings: dict[str, str]) -> None:
    identity = bus.identity(bus.tree.plug("ttyACM0", bus.nodes[0], "1-1.2", strings=strings))
    bus.tree.unplug("ttyACM0")
    identity.look()
    bus.tree.plug("ttyACM1", bus.nodes[1], "1-1.3", strings=strings)
    with pytest.raises(OSError, match="not plugged in"):
        identity.find()
    back = bus.tree.plug("ttyACM2", bus.nodes[2], "1-1.2", strings=strings)
    assert identity.find() == str(back)


def test_a_terminal_that_is_no_usb_port_has_no_identity(bus: Bus, tmp_path: Path) -> None:
    assert identity_of(os.stat(bus.nodes[0]), str(bus.tree.sysfs)) is None
    assert identity_of(os.stat(bus.nodes[0]), str(tmp_path / "nowhere")) is None


async def test_a_data_port_is_opened_where_it_is_now_and_a_name_that_changed_hands_is_closed_again(bus: Bus) -> None:
    old = bus.tree.plug("ttyACM1", bus.nodes[0], interface=2)
    identity = bus.identity(old)
    bus.tree.unplug("ttyACM1")
    identity.look()
    with pytest.raises(PortMissing, match="ttyACM1: its board is not plugged in"):
        await open_again(str(old), identity)
    bus.tree.plug("ttyACM1", bus.nodes[1], "1-4", interface=2, strings={"serial": "03666228"})
    with pytest.raises(PortMissing, match="its board is not plugged in"):
        await open_again(str(old), identity)
    back = bus.tree.plug("ttyACM6", bus.nodes[2], interface=2)
    transport = await open_again(str(old), identity)
    assert transport.name == str(back)
    await transport.aclose()

    opened: list[str] = []

    async def slow(path: str):  # type: ignore[no-untyped-def]
        """Meanwhile another board got the name."""
        bus.tree.unplug("ttyACM6")
        bus.tree.plug("ttyACM6", bus.nodes[3], "1-4.1", interface=2, strings={"serial": "aaaaaaaa"})
        opened.append(path)
        return transport

    with pytest.raises(PortMissing, match="another board has this name by now"):
        await open_again(str(old), identity, slow)
    assert opened == [str(back)]

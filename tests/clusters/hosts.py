"""Where a server of a cluster runs: on an address of this machine, or in a network namespace of its own."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Host:
    """`prefix` comes before each command that runs on the host, such as `ip netns exec higo-1`."""

    name: str
    address: str = "127.0.0.1"
    prefix: tuple[str, ...] = ()


def loopback(number: int) -> list[Host]:
    """Return so many hosts on this machine's loopback addresses."""
    return [Host(f"host{n}", f"127.0.0.{n}") for n in range(1, number + 1)]

"""The settings of every provider, whatever its type: addresses, keys, headers, timeouts, size limits, pool.

A key is sent to wherever the address points. So an address must not contain anything that hides its destination, and
must not point at the services from which clouds serve the credentials of a machine (link-local addresses and a few
names), unless the settings allow it explicitly.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

import attrs

from localagent.errors import SettingsError
from localagent.records.instances import NOT_CHOSEN, PoolProfile
from localagent.records.transport import SizeLimits
from localagent.structuring.fields import NOT_A_SETTING, Positive, Reading, setting_fields
from localagent.structuring.place import Place, names_secret
from localagent.structuring.reading import read, read_table
from localagent.structuring.secrets import SecretRef
from localagent.timing.timeouts import Timeouts

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address

METADATA_NAMES = frozenset({"metadata", "metadata.google.internal", "instance-data"})
METADATA_NETWORKS = ("169.254.0.0/16", "fe80::/10", "fd00:ec2::254/128")
_EXPECTED_ADDRESS = 'an address such as "http://10.0.0.5:8000/v1", without user name, password, ? or #'
_NETLOC = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Za-z:.%]+\])(:[0-9]+)?")
# No white space, only ASCII (a name in another script is written as xn--...), nothing that clients quote.
_ADDRESS_CHARACTERS = re.compile(r'[^\x00-\x20\x7f-\U0010ffff\\<>"{}|^`]+')
_PROVIDER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE = re.compile(r"[\x20-\x7e\t]*")


def read_address(value: object) -> str:
    """Return an address without the slashes at its end.

    Raises:
        ValueError: The scheme is not http or https, the host is missing, there is a user name, password, query or
            fragment, or there are characters that clients interpret in different ways.
    """
    from urllib.parse import urlsplit

    if not isinstance(value, str) or not _ADDRESS_CHARACTERS.fullmatch(value):
        raise ValueError("no text, or characters that do not belong there")
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or "?" in value or "#" in value:
        raise ValueError("not http or https, or more than an address")
    if not _NETLOC.fullmatch(parts.netloc) or parts.port == 0:
        raise ValueError("no host, no port, or more than these")
    if parts.netloc.startswith("[") and _ip(parts.hostname or "") is None:
        raise ValueError("no IP address in the brackets")
    return value.rstrip("/")


def is_metadata_address(address: str) -> bool:
    """Return whether an address points at a cloud's metadata service or another link-local address.

    Checks the text, in every spelling that a resolver accepts as an IP address; names are not resolved.
    """
    from ipaddress import IPv6Address, ip_network
    from urllib.parse import urlsplit

    host = (urlsplit(address).hostname or "").rstrip(".")
    ip = _ip(host)
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    return host in METADATA_NAMES or (ip is not None and any(ip in ip_network(net) for net in METADATA_NETWORKS))


def _ip(host: str) -> IPv4Address | IPv6Address | None:
    """Return the IP address of a host that is one, also in the spellings that resolvers accept (``0xa9fea9fe``)."""
    import socket
    from ipaddress import IPv4Address, ip_address

    try:
        return ip_address(host)
    except ValueError:
        pass
    try:
        return IPv4Address(socket.inet_aton(host))
    except OSError:
        return None


Address = Annotated[str, Reading(read_address, _EXPECTED_ADDRESS)]


@attrs.frozen
class InstanceSettings:
    """One of a provider's ``instances``. May be written as its address alone.

    Attributes:
        url: Its base address.
        weight: Its capacity relative to the others, for load balancing.
        name: Its name in metrics and errors; by default, its provider and host.
    """

    url: Address
    weight: Positive = 1.0
    name: str | None = None

    @classmethod
    def from_settings(cls, value: object, place: Place) -> Self:
        """Read a table, or an address alone."""
        if isinstance(value, str):
            return cls(url=read(Address, value, place))
        return read_table(cls, value, place)


@attrs.frozen
class ProviderSettings:
    """``[providers.NAME]``: the settings of every provider. The provider's type adds its own.

    Attributes:
        type: The provider type, brought by a plugin; by default, the provider's name.
        instances: Its addresses; by default, the usual ones of the type's servers.
        keys: References to its keys; each address with each key is an instance.
        headers: Further headers of every request; a secret value must be a reference.
        timeouts: Time limits of its exchanges.
        size_limits: Size limits of its answers.
        pool: How connections to its instances are kept.
        authority: A PEM file with the certificate authorities to trust instead of the system's.
        allow_metadata_address: Whether an instance may have a link-local address.
        extra: All other keys, for the type's own settings class.
        place: The place of the table, for errors.
    """

    type: str
    instances: tuple[InstanceSettings, ...] = ()
    keys: tuple[SecretRef, ...] = ()
    headers: dict[str, str | SecretRef] = attrs.field(factory=dict)
    timeouts: Timeouts = Timeouts()
    size_limits: SizeLimits = SizeLimits()
    pool: PoolProfile = NOT_CHOSEN
    authority: Path | None = None
    allow_metadata_address: bool = False
    extra: Mapping[str, Any] = attrs.field(factory=dict, repr=False, metadata=NOT_A_SETTING)
    place: Place = attrs.field(default=Place("settings"), eq=False, repr=False, metadata=NOT_A_SETTING)

    @classmethod
    def from_settings(cls, value: object, place: Place) -> Self:
        """Read the common keys; the rest is ``extra``."""
        if isinstance(value, cls):
            return value
        if not _PROVIDER_NAME.fullmatch(place.name):
            raise SettingsError(f'{place}: expected a name of letters, digits, ".", "_" and "-".')
        if not isinstance(value, Mapping):
            raise place.wrong(value, "a table")
        common = {"type": place.name, **{key: item for key, item in value.items() if key in setting_fields(cls)}}
        extra = {key: item for key, item in value.items() if key not in common}
        provider = attrs.evolve(read_table(cls, common, place), extra=extra, place=place)
        _check_instances(provider)
        _check_headers(provider)
        return provider


def _check_instances(provider: ProviderSettings) -> None:
    for index, instance in enumerate(provider.instances):
        if is_metadata_address(instance.url) and not provider.allow_metadata_address:
            place = provider.place.key("instances").item(index)
            raise SettingsError(
                f"{place}: a link-local address, from which clouds serve credentials.",
                hint="If this is intended, set allow_metadata_address = true for this provider.",
            )


def _check_headers(provider: ProviderSettings) -> None:
    for name, value in provider.headers.items():
        place = provider.place.key("headers").key(name)
        if not _HEADER_NAME.fullmatch(name):
            raise SettingsError(f"{place}: expected the name of a header.")
        if isinstance(value, str) and not _HEADER_VALUE.fullmatch(value):
            raise place.wrong(value, "printable ASCII text on one line")
        if isinstance(value, str) and names_secret(name):
            raise place.wrong(value, SecretRef.expected_settings, hint="Do not write keys into the settings.")

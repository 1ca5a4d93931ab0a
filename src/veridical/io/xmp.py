"""XMP packets (ISO 16684-1) as flat properties, by expat, with every entity refused."""

from dataclasses import dataclass
from xml.parsers import expat

_DEEP, _MOST = 64, 20_000
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"


class BadXmp(ValueError):
    """A packet that cannot be read; the message says why, as a phrase."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Property:
    """One value of an XMP packet.

    Attributes:
        space: Namespace of the property.
        name: Its name, such as `DigitalSourceType`.
        value: Text.
        within: Names of the properties around it, the outermost first.
    """

    space: str
    name: str
    value: str
    within: tuple[str, ...]


def read_xmp(packet: bytes) -> tuple[Property, ...]:
    """Return the properties of a packet in their order: attributes, texts, members of lists.

    Raises:
        BadXmp: If it is no XML, declares entities, or is deeper or has more parts than is allowed.
    """
    walk = _Walk()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = walk.start
    parser.EndElementHandler = walk.end
    parser.CharacterDataHandler = walk.text
    parser.StartDoctypeDeclHandler = walk.refuse
    parser.EntityDeclHandler = walk.refuse
    begin, end = packet.find(b"<"), packet.rfind(b">")
    try:
        parser.Parse(packet[max(begin, 0) : end + 1], True)
    except expat.ExpatError as error:
        raise BadXmp(f"it is no well-formed XML ({error})") from error
    return tuple(walk.found)


class _Walk:
    def __init__(self) -> None:
        self.found: list[Property] = []
        self._path: list[tuple[str, str]] = []
        self._texts: list[list[str]] = []
        self._count = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._path.append(_split(name))
        self._texts.append([])
        self._count += 1 + len(attributes)
        if len(self._path) > _DEEP:
            raise BadXmp(f"it is nested more than {_DEEP} deep")
        if self._count > _MOST:
            raise BadXmp(f"it has more than {_MOST} parts")
        for key, value in attributes.items():
            space, local = _split(key)
            if (space, local) == (_RDF, "resource"):
                self._keep(*self._path[-1], value, self._path[:-1])
            elif space not in (_RDF, "xml", "http://www.w3.org/XML/1998/namespace"):
                self._keep(space, local, value, self._path)

    def text(self, data: str) -> None:
        if self._texts:
            self._texts[-1].append(data)

    def end(self, _: str) -> None:
        space, name = self._path.pop()
        value = "".join(self._texts.pop()).strip()
        path = self._path
        if value and space == _RDF and name in ("li", "value"):  # a member belongs to its property
            while path and path[-1][0] == _RDF:
                path = path[:-1]
            if path:
                self._keep(*path[-1], value, path[:-1])
        elif value and space != _RDF:
            self._keep(space, name, value, path)

    def refuse(self, *_: object) -> None:
        raise BadXmp("it declares a document type or an entity, which XMP never does")

    def _keep(self, space: str, name: str, value: str, path: list[tuple[str, str]]) -> None:
        around = tuple(one for where, one in path if where not in (_RDF, "adobe:ns:meta/"))
        self.found.append(Property(space=space, name=name, value=value, within=around))


def _split(name: str) -> tuple[str, str]:
    space, _, local = name.rpartition(" ")
    return space, local

"""Outlines of a label in the forms that other programs read, and back: ASAP XML (QuPath), DSA JSON, CVAT's elements."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray
from skimage.draw import polygon

from annotate.errors import Unfit
from custom_networks.prediction.objects import components, objects, rings

XML_BYTES = 16 * 2**20


@dataclass(frozen=True)
class Outline:
    """The outer ring of an object.

    Args:
        name: of its class.
        colour: of its class, #rrggbb.
        points: (x, y) in pixels, the first not repeated; pixel centres are at whole numbers and a half.
    """

    name: str
    colour: str
    points: list[tuple[float, float]]


def outlines(label: NDArray[np.integer], classes: Sequence[Mapping[str, Any]], smallest: float = 0) -> list[Outline]:
    """Outline the objects of a label.

    Args:
        label: (H, W), class of each pixel.
        classes: with index, name and colour.
        smallest: area in pixels below which an object is left out.

    Returns:
        An outline for each object; holes are left out, these formats have none.
    """
    known = {int(each["index"]): each for each in classes}
    small: Any = label.astype(np.uint8) if label.max() <= 255 else label
    found = []
    for one in objects(components(small), small):
        if one.mask.sum() >= smallest:
            about = known.get(one.category, {"name": str(one.category), "colour": "#ff0000"})
            points = [(float(x), float(y)) for x, y in rings(one)[0][:-1]]
            found.append(Outline(str(about["name"]), str(about["colour"]), points))
    return found


def asap_xml(found: Sequence[Outline], title: str) -> bytes:
    """Write outlines as ASAP XML."""
    root = ElementTree.Element("ASAP_Annotations")
    listed = ElementTree.SubElement(root, "Annotations", Name=title)
    for one in found:
        about = {"Name": one.name, "Type": "Polygon", "PartOfGroup": one.name, "Color": one.colour}
        coordinates = ElementTree.SubElement(ElementTree.SubElement(listed, "Annotation", about), "Coordinates")
        for order, (x, y) in enumerate(one.points):
            ElementTree.SubElement(coordinates, "Coordinate", Order=str(order), X=f"{x:g}", Y=f"{y:g}")
    groups = ElementTree.SubElement(root, "AnnotationGroups")
    for name, colour in dict.fromkeys((one.name, one.colour) for one in found):
        ElementTree.SubElement(groups, "Group", Name=name, PartOfGroup="None", Color=colour)
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)


def dsa_json(found: Sequence[Outline], title: str, about: Mapping[str, Any]) -> bytes:
    """Write outlines as an annotation of the Digital Slide Archive; its client reads the line of the description."""
    elements = [
        {
            "group": one.name,
            "type": "polyline",
            "lineColor": _rgb(one.colour),
            "lineWidth": 2.0,
            "closed": True,
            "points": [[x, y, 0] for x, y in one.points],
            "label": {"value": one.name},
        }
        for one in found
    ]
    lines = [f' "name": {json.dumps(title)},', f' "elements": {json.dumps(elements)},']
    description = json.dumps(json.dumps({**about, "count": len(elements)}))
    return "\n".join(["{", *lines, f' "description": {description}', "}"]).encode()


def elements_json(found: Sequence[Outline], title: str, about: Mapping[str, Any]) -> dict[str, Any]:
    """Give outlines in the form that MONAI Label's own apps answer with `output=json`, which CVAT's function reads."""
    by_name: dict[str, list[list[list[float]]]] = {}
    for one in found:
        by_name.setdefault(one.name, []).append([[x, y] for x, y in one.points])
    colours = {one.name: _channels(one.colour) for one in found}
    elements = [{"label": name, "contours": contours} for name, contours in by_name.items()]
    return {"name": title, **about, "annotations": [{"annotation": {"labels": colours, "elements": elements}}]}


def label_of_asap(data: bytes, size: tuple[int, int], classes: Sequence[Mapping[str, Any]]) -> NDArray[np.uint16]:
    """Fill the polygons of ASAP XML.

    Args:
        data: the file.
        size: width and height of the image.
        classes: with index and name; with one class every polygon is of it.

    Returns:
        (H, W), class of each pixel whose centre lies in a polygon; later polygons cover earlier ones.

    Raises:
        Unfit: for another file, an unknown class or a polygon of fewer than three points.
    """
    if len(data) > XML_BYTES or b"<!" in data.replace(b"<!--", b""):
        raise Unfit("the label: XML beyond 16 MiB, or with a document type, is refused; send plain ASAP XML")
    try:
        root = ElementTree.fromstring(data)
    except (ElementTree.ParseError, ValueError, LookupError):
        raise Unfit("the label: not valid XML") from None
    if root.tag != "ASAP_Annotations":
        raise Unfit(f"the label: XML of {root.tag[:40]!r}, not of ASAP_Annotations")
    numbers = {str(each["name"]).lower(): int(each["index"]) for each in classes}
    filled = np.zeros(size[::-1], np.uint16)
    for one in root.iter("Annotation"):
        name = one.get("PartOfGroup") or one.get("Name") or ""
        number = 1 if len(classes) == 1 else numbers.get(name.lower())
        if number is None:
            raise Unfit(f"the label: no class {name[:40]!r}; known are {', '.join(numbers)}")
        points = [_point(each) for each in one.iter("Coordinate")]
        if len(points) < 3:
            raise Unfit(f"the label: a polygon of {len(points)} points; three are the least")
        filled[inside(points, size)] = number
    return filled


def inside(points: Sequence[tuple[float, float]], size: tuple[int, int]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of the pixels of an image (width, height) whose centres lie in a polygon of (x, y)."""
    x, y = np.asarray(points, float).T - 0.5
    rows, columns = polygon(y, x, size[::-1])
    return rows, columns


def _point(element: ElementTree.Element) -> tuple[float, float]:
    try:
        x, y = float(element.get("X", "")), float(element.get("Y", ""))
    except ValueError:
        x = float("nan")
        y = x
    if not (abs(x) < 1e7 and abs(y) < 1e7):
        raise Unfit("the label: a coordinate that is no number of pixels")
    return x, y


def _channels(colour: str) -> list[int]:
    return [int(colour[i : i + 2], 16) for i in (1, 3, 5)]


def _rgb(colour: str) -> str:
    return "rgb({}, {}, {})".format(*_channels(colour))

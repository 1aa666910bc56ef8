"""Outlines of a label in the forms that other programs read, and back: ASAP XML (QuPath), DSA JSON, CVAT's elements."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from annotate.errors import Unfit
from custom_networks.prediction.objects import components, objects, rings

XML_BYTES = 16 * 2**20
MOST_WORK = 5 * 10**8  # pixels and crossings that the polygons of one file may take
AT_ONCE = 2**20  # crossings


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
        Unfit: for another file, an unknown class, a polygon of fewer than three points, or more than can be filled in
            seconds.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:  # UTF-16, in which the next test would see nothing
        raise Unfit("the label: XML must be UTF-8; save it so")
    if len(data) > XML_BYTES or "<!" in text.replace("<!--", ""):
        raise Unfit("the label: XML beyond 16 MiB, or with a document type, is refused; send plain ASAP XML")
    try:
        root = ElementTree.fromstring(text)  # as text: what the file says of its encoding does not count
    except (ElementTree.ParseError, ValueError, LookupError):
        raise Unfit("the label: not valid XML") from None
    if root.tag != "ASAP_Annotations":
        raise Unfit(f"the label: XML of {root.tag[:40]!r}, not of ASAP_Annotations")
    numbers = {str(each["name"]).lower(): int(each["index"]) for each in classes}
    polygons: list[tuple[int, list[tuple[float, float]]]] = []
    for one in root.iter("Annotation"):
        name = one.get("PartOfGroup") or one.get("Name") or ""
        number = 1 if len(classes) == 1 else numbers.get(name.lower())
        if number is None:
            raise Unfit(f"the label: no class {name[:40]!r}; known are {', '.join(numbers)}")
        points = [_point(each) for each in one.iter("Coordinate")]
        if len(points) < 3:
            raise Unfit(f"the label: a polygon of {len(points)} points; three are the least")
        polygons.append((number, points))
    if sum(_work(points, size) for _, points in polygons) > MOST_WORK:
        raise Unfit("the label: its polygons are too many or too long to fill; simplify them, or send a PNG")
    filled = np.zeros(size[::-1], np.uint16)
    for number, points in polygons:
        filled[inside(points, size)] = number
    return filled


def inside(points: Sequence[tuple[float, float]], size: tuple[int, int]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of the pixels of an image (width, height) whose centres lie in a polygon of (x, y).

    Each edge flips, in every row whose centre it crosses, what lies right of the crossing; what was flipped an odd
    number of times lies inside. The cost is that of the box and of the crossings, not their product as with
    `skimage.draw.polygon`. Of centres on the outline itself those at the left and at the top are inside.
    """
    top, bottom, first, last = _box(points, size)
    x, y = np.asarray(points, float).T - 0.5
    x0, y0, x1, y1 = x, y, np.roll(x, -1), np.roll(y, -1)
    flips = np.zeros((bottom - top, last - first + 1), bool)  # the last column is for what lies right of the box
    begin = np.clip(np.ceil(np.minimum(y0, y1)), top, bottom).astype(np.intp)
    rows = np.clip(np.ceil(np.maximum(y0, y1)), top, bottom).astype(np.intp) - begin
    ends = np.cumsum(rows)
    for start in range(0, int(ends[-1]), AT_ONCE):
        crossing = np.arange(start, min(start + AT_ONCE, int(ends[-1])))
        edge = np.searchsorted(ends, crossing, side="right")
        row = begin[edge] + crossing - (ends[edge] - rows[edge])
        at = x0[edge] + (row - y0[edge]) * (x1[edge] - x0[edge]) / (y1[edge] - y0[edge])
        column = np.clip(np.ceil(at), first, last).astype(np.intp)
        np.logical_xor.at(flips, (row - top, column - first), True)
    found = np.nonzero(np.logical_xor.accumulate(flips, axis=1)[:, :-1])
    return found[0] + top, found[1] + first


def _box(points: Sequence[tuple[float, float]], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """First row, row behind the last, first column and column behind the last that a polygon may have in an image."""
    x, y = np.asarray(points, float).T - 0.5
    top, bottom = np.clip([np.ceil(y.min()), np.floor(y.max()) + 1], 0, size[1])
    first, last = np.clip([np.ceil(x.min()), np.floor(x.max()) + 1], 0, size[0])
    return int(top), max(int(top), int(bottom)), int(first), max(int(first), int(last))


def _work(points: Sequence[tuple[float, float]], size: tuple[int, int]) -> int:
    """Pixels of a polygon's box, and in how many rows its edges cross."""
    top, bottom, first, last = _box(points, size)
    y = np.clip(np.asarray(points, float)[:, 1], 0, size[1])
    return (bottom - top) * (last - first) + int(np.abs(y - np.roll(y, -1)).sum()) + len(points)


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

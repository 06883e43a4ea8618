"""Converts matplotlib figures to SVG that may stand inside a page with a strict content security policy.

Such a page refuses `style` attributes and `<style>` elements, so their declarations become presentation attributes,
which style sheets (dark scheme, print) can still override.
"""

import io
import re
import warnings
from collections.abc import Iterator
from typing import cast
from xml.etree import ElementTree as ET

import matplotlib as mpl
from matplotlib.figure import Figure

from evalsuite.report.figures.style import RC

_SVG = "{http://www.w3.org/2000/svg}"
_HREF = "{http://www.w3.org/1999/xlink}href"
_NUMBER = re.compile(r"-?\d+\.\d+")
_GEOMETRY = frozenset({"d", "x", "y", "width", "height", "transform", "viewBox", "stroke-width", "font-size"})
_DEFAULTS = frozenset({"stroke-linejoin", "stroke-linecap", "font-family", "font-style", "font-variant"})
_REFERENCE = re.compile(r"#([\w-]+)")


def inline(figure: Figure, *, key: str, title: str) -> str:
    """The figure as one `<svg>` element: scalable, without styles, dates or outside references.

    Args:
        figure: What to draw; it is not changed.
        key: Prefix of all ids; unique within the page.
        title: What a screen reader says instead of the picture.
    """
    root = _parsed(figure)
    for element in list(root):
        if element.tag in {f"{_SVG}metadata"} or _is_style(element):
            root.remove(element)
    _flatten(root)
    used = {m for e in root.iter() for v in e.attrib.values() for m in _REFERENCE.findall(v)}
    for element in root.iter():
        _plain(element, key, used)
    _unwrap(root)
    viewbox = root.attrib["viewBox"]
    root.attrib.clear()
    root.attrib.update({"viewBox": viewbox, "role": "img", "aria-labelledby": f"{key}-title"})
    label = ET.Element("title", {"id": f"{key}-title"})
    label.text = title.replace("`", "")  # a title cannot be set as code
    root.insert(0, label)
    return ET.tostring(root, encoding="unicode")


def _parsed(figure: Figure) -> ET.Element:
    buffer = io.StringIO()
    with mpl.rc_context(cast("dict[str, object]", dict(RC))), warnings.catch_warnings():  # type: ignore[arg-type]
        # the reader's fonts are used, not the ones measured here
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return ET.fromstring(buffer.getvalue())  # noqa: S314 - written by matplotlib one line above


def _is_style(element: ET.Element) -> bool:
    return element.tag == f"{_SVG}defs" and all(child.tag == f"{_SVG}style" for child in element)


def _flatten(element: ET.Element) -> None:
    """Drop what draws nothing: empty groups and the invisible patches behind figure and axes."""
    for child in list(element):
        _flatten(child)
        style = child.get("style", "")
        hollow = child.tag == f"{_SVG}path" and "fill: none" in style and "stroke" not in style
        if hollow or (child.tag in {f"{_SVG}g", f"{_SVG}defs"} and not len(child)):
            element.remove(child)


def _plain(element: ET.Element, key: str, used: set[str]) -> None:
    """Presentation attributes, short numbers, and ids that no other figure has."""
    element.tag = element.tag.removeprefix(_SVG)
    element.tail = None
    if element.tag != "text":
        element.text = None
    attributes = {name.replace(_HREF, "href"): value for name, value in element.attrib.items()}
    attributes = {**dict(_declared(attributes.pop("style", ""))), **attributes}
    if attributes.get("id") not in used:
        attributes.pop("id", None)
    if attributes.get("transform", "").startswith("rotate(-0 "):
        del attributes["transform"]
    element.attrib.clear()
    for name, value in attributes.items():
        element.set(name, _shortened(value) if name in _GEOMETRY else _prefixed(name, value, key))


def _prefixed(name: str, value: str, key: str) -> str:
    if name == "id":
        return f"{key}-{value}"
    return _REFERENCE.sub(rf"#{key}-\1", value) if name == "href" or value.startswith("url(") else value


def _shortened(value: str) -> str:
    """A tenth of a point is finer than a screen's pixel."""
    return " ".join(_NUMBER.sub(lambda m: f"{float(m.group()):.1f}".removesuffix(".0"), value).split())


def _declared(style: str) -> Iterator[tuple[str, str]]:
    for declaration in style.split(";"):
        name, _, value = (part.strip() for part in declaration.partition(":"))
        if name == "font":
            yield from _font(value)
        elif name and name not in _DEFAULTS:
            yield name, value


def _font(value: str) -> Iterator[tuple[str, str]]:
    """`italic 700 11px 'DejaVu Sans', ...` → size and weight; the family is the page's."""
    before, size, _ = re.split(r"([\d.]+)px", value, maxsplit=1)
    yield "font-size", size
    if weight := re.search(r"\b([1-9]00|bold)\b", before):
        yield "font-weight", weight.group(1)


def _unwrap(element: ET.Element) -> None:
    """Put the children of groups without attributes in the group's place."""
    children: list[ET.Element] = []
    for child in list(element):
        _unwrap(child)
        children.extend(list(child) if child.tag == "g" and not child.attrib else [child])
    element[:] = children

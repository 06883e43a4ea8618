"""Templates of the page: where they lie, and the filters by which they show numbers and names."""

import re
from functools import cache
from importlib.resources import files

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup, escape

from evalsuite.report.content import formats

_PACKAGE = "evalsuite.report"
_FILTERS = (
    formats.brief,
    formats.count,
    formats.duration,
    formats.listed,
    formats.many,
    formats.moment,
    formats.or_dash,
    formats.ratio,
    formats.share,
)


def template(name: str) -> Template:
    """A template of the report's own folder."""
    return _environment(None).get_template(name)


def template_of(part: type) -> Template:
    """The template beside the file that defines `part`, of the same name."""
    package, _, name = part.__module__.rpartition(".")
    return _environment(package).get_template(f"{name}.html")


def asset(name: str) -> str:
    """The text of a style sheet or script."""
    return files(_PACKAGE).joinpath("templates", name).read_text(encoding="utf-8")


@cache
def _environment(package: str | None) -> Environment:
    """Templates of `package`, which may use those of the report's own folder."""
    shared = PackageLoader(_PACKAGE)
    environment = Environment(
        loader=shared if package is None else ChoiceLoader([PackageLoader(package, "."), shared]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["code"] = _code
    environment.filters["svg"] = Markup
    environment.filters |= {function.__name__: function for function in _FILTERS}
    return environment


def _code(text: str) -> Markup:
    """Escape, then set what stands between backticks as code."""
    set_as_code = re.sub(r"`([^`]*)`", lambda m: f"<code>{_breakable(m.group(1))}</code>", str(escape(text)))
    return Markup(set_as_code)  # noqa: S704 - escaped first


def _breakable(name: str) -> str:
    """Long names may break after a slash."""
    return name.replace("/", "/<wbr>").replace("?", "<wbr>?") if len(name) > 18 else name

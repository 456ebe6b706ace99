"""Templates (jinja2), in which no value is more than text."""

from collections.abc import Callable, Mapping

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from gobuild.core import resources


def render(
    template: str,
    *,
    html: bool = False,
    filters: Mapping[str, Callable[..., str]] | None = None,
    **values: object,
) -> str:
    """Renders a template of the folder templates/. A value that the template names and nobody gave is an error.

    With `html` every value is escaped for HTML; in another language each goes through one of the `filters`.
    """
    environment = Environment(
        loader=FileSystemLoader(resources.folder("templates")),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=html,  # noqa: S701  (other languages have filters of their own, which the template names)
    )
    environment.filters.update(filters or {})
    return environment.get_template(template).render(**values)

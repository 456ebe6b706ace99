"""Templates: values come in, a text goes out in which no value is more than text.

jinja2 has its home here. A page escapes every value by itself; for another language the caller names the filter
through which each value must go in the template.
"""

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

    Args:
        template: the file's name there.
        html: whether every value is escaped for HTML.
        filters: functions that the template uses by these names, such as one that quotes for Ruby.
        **values: what the template speaks of.

    Returns:
        The text.

    Raises:
        jinja2.TemplateError: the template and the values do not fit, which is a mistake of ours.
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

"""Names of outputs, with the suffix of what is in them."""

from __future__ import annotations

from imgbatch.errors import UsageError
from imgbatch.imaging import formats
from imgbatch.model import Encoding
from imgbatch.naming import Template


def template_of(text: str, encoding: Encoding) -> Template:
    """The template for an output with this encoding; one that gives no suffix gets `{ext}`.

    Raises UsageError for a template that makes no sense, or has another format's suffix. Where the
    source's format is kept, only a plan can tell.
    """
    template = Template.parse(text)
    if template.suffix is None:
        return template
    row = formats.of_suffix(template.suffix)
    if row is None:
        return Template(f"{text}{{ext}}")
    if not formats.writes(row, template.suffix):
        raise UsageError(
            f"the name template {text!r} ends in {template.suffix}, which is only read, not "
            "written: end it with {ext}"
        )
    if encoding.format not in (None, row.name):
        raise UsageError(
            f"the name template {text!r} ends in {template.suffix}, and the format is "
            f"{encoding.format}: end it with {{ext}}, or use --format {row.name}"
        )
    return template

"""A person's values for a template."""

from collections.abc import Mapping

from carillon.audience.consents.contracts import TemplateData


def variables_of(data: TemplateData) -> Mapping[str, str]:
    """A person's values by variable name; what they do not have is empty or left out."""
    values = {"name": data.name, "first_name": data.first_name or "", "last_name": data.last_name or ""}
    if not data.fields:
        return values
    return values | {f"fields.{key}": str(value) for key, value in data.fields.items() if value is not None}

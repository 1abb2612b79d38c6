"""The door to message templates.

Does: stores texts in several languages with their versions; compiles, checks, tests, previews and renders them. Must
not: run anything a tenant wrote, or send.
"""

from .checks import choose_language, validate
from .contracts import Content, StoredTemplate, TemplateEdit, Vector
from .errors import BadTemplate, MissingVariable, TemplateNotFound
from .language import Template, compile_text
from .service import create, edit, get, list_templates, preview, set_archived, versions
from .values import variables_of

__all__ = [
    "BadTemplate",
    "Content",
    "MissingVariable",
    "StoredTemplate",
    "Template",
    "TemplateEdit",
    "TemplateNotFound",
    "Vector",
    "choose_language",
    "compile_text",
    "create",
    "edit",
    "get",
    "list_templates",
    "preview",
    "set_archived",
    "validate",
    "variables_of",
    "versions",
]

"""What can be wrong with a message template."""

from carillon.kernel.errors import Conflict, Invalid, NotFound


class BadTemplate(Invalid):
    """The template is not valid."""

    code = "bad_template"


class MissingVariable(Invalid):
    """A value the template needs is not there."""

    code = "missing_variable"


class TemplateNotFound(NotFound):
    """There is no such template."""

    code = "template_not_found"


class TemplateNameTaken(Conflict):
    """A template of this name exists already."""

    code = "template_name_taken"

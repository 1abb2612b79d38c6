"""Every action by its kind. Adding one is a file and a line in each of the two places here."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, TypeAlias

from pydantic import Field, ValidationError

from carillon.scheduling.timers.errors import TimerInvalid

from .base import Action
from .send_notice import SendNotice
from .start_campaign import StartCampaign

ACTIONS: Mapping[str, type[StartCampaign] | type[SendNotice]] = MappingProxyType(
    {"start_campaign": StartCampaign, "send_notice": SendNotice}
)

AnyAction: TypeAlias = Annotated[StartCampaign | SendNotice, Field(discriminator="kind")]
"""Their shape over HTTP."""


def read(raw: Mapping[str, Any]) -> Action:
    """A stored or given action.

    Raises:
        TimerInvalid: Unknown kind, or its settings do not fit.
    """
    kind = ACTIONS.get(str(raw.get("kind")))
    if kind is None:
        raise TimerInvalid(f"There are the actions {', '.join(ACTIONS)}.", place="action.kind")
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(["action", *map(str, first["loc"])])
        raise TimerInvalid(first["msg"], place=place) from error

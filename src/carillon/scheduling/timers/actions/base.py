"""What an action is."""

from collections.abc import Mapping
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict

from carillon.kernel.subject import Subject
from carillon.storage.database import Tx


class Settings(BaseModel):
    """What an action needs, as it stands in the timer; `kind` names the action."""

    model_config = ConfigDict(extra="forbid")


class Action(Protocol):
    """An action's settings, which know how to carry it out."""

    async def check(self, tx: Tx) -> None:
        """Whether what it names is there.

        Raises:
            CarillonError: It is not; the place is inside the settings.
        """
        ...

    async def run(self, tx: Tx, subject: Subject, name: str) -> Mapping[str, Any]:
        """Do it, for the timer of this name; all in this transaction. Returns what it made.

        Raises:
            CarillonError: It cannot be done.
        """
        ...

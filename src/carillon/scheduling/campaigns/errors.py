"""What can be wrong with campaigns."""

from carillon.kernel.errors import Conflict, Invalid, NotFound


class CampaignNotFound(NotFound):
    """There is no such campaign."""

    code = "campaign_not_found"


class CampaignInvalid(Invalid):
    """The campaign cannot be sent as it is."""

    code = "campaign_invalid"


class WrongState(Conflict):
    """A campaign in this state does not allow that."""

    code = "campaign_wrong_state"


class CampaignChanged(Conflict):
    """Somebody else changed the campaign meanwhile; read it again."""

    code = "campaign_changed"


class NobodyToSendTo(Conflict):
    """Nobody in this audience may be written to."""

    code = "campaign_nobody"

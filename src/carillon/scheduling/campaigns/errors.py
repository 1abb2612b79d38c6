"""What can be wrong with campaigns.

CarillonError
├── NotFound   CampaignNotFound
├── Invalid    CampaignInvalid
└── Conflict   WrongState · CampaignChanged · NoAccounts
"""

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


class NoAccounts(Conflict):
    """None of the accounts this campaign may use can send now."""

    code = "campaign_no_accounts"

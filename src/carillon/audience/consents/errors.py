"""What can be wrong with consents, suppressions and the policy."""

from carillon.kernel.errors import Conflict, Invalid, NotFound


class ContactUnknown(NotFound):
    """There is no such contact."""

    code = "contact_unknown"


class ProofMissing(Invalid):
    """A consent needs proof: the text agreed to, a link, a file or a message."""

    code = "consent_proof_missing"


class ConsentInFuture(Invalid):
    """A consent cannot be dated in the future."""

    code = "consent_in_future"


class ConsentOver(Invalid):
    """This consent ends before it begins."""

    code = "consent_over"


class NotOptedOut(Conflict):
    """This person has not opted out."""

    code = "not_opted_out"


class BadAddress(Invalid):
    """This address cannot be read."""

    code = "bad_address"


class SuppressionUnknown(NotFound):
    """There is no such suppression."""

    code = "suppression_unknown"


class BadPolicy(Invalid):
    """The policy is not valid."""

    code = "bad_policy"

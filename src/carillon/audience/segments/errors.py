"""What can be wrong with a segment."""

from carillon.kernel.errors import Conflict, Invalid, NotFound


class RuleInvalid(Invalid):
    """The rule cannot be understood."""

    code = "segment_rule_invalid"


class SegmentCycle(Invalid):
    """A segment cannot be part of itself."""

    code = "segment_cycle"


class SegmentUnknown(NotFound):
    """There is no such segment."""

    code = "segment_unknown"


class SegmentNameTaken(Conflict):
    """Another segment has this name."""

    code = "segment_name_taken"


class SegmentChanged(Conflict):
    """Somebody changed this segment meanwhile: read it again."""

    code = "segment_changed"


class SegmentInUse(Conflict):
    """Other segments are built on this one."""

    code = "segment_in_use"

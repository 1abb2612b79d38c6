"""Tallies are sums over rows that every change adds; folded from time to time, they stay few."""

from carillon.storage.resources import Resources

_MOST = 200
"""Rows of a tenant that may gather: what a count reads."""

_FOLD = """
WITH many AS (
    SELECT tenant_id FROM platforms.conversation_tally GROUP BY tenant_id HAVING count(*) > :most
), gone AS (
    DELETE FROM platforms.conversation_tally t USING many WHERE t.tenant_id = many.tenant_id
    RETURNING t.tenant_id, t.status, t.assignee_id, t.is_unread, t.change
)
INSERT INTO platforms.conversation_tally (tenant_id, id, status, assignee_id, is_unread, change)
SELECT tenant_id, storage.uuid7(), status, assignee_id, is_unread, sum(change)
FROM gone GROUP BY tenant_id, status, assignee_id, is_unread HAVING sum(change) <> 0
"""


async def fold(resources: Resources) -> None:
    """Replace the changes of tenants that have many by their sums; whoever counts meanwhile sees one or the other."""
    async with resources.database.across_tenants() as tx:
        await tx.execute(_FOLD, {"most": _MOST})

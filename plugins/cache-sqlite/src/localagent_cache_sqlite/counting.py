"""What the file counts for each model and tenant; by hooks of one process and in transactions of another alike."""

from __future__ import annotations

import sqlite3

PAIRS = 1000  # of model and tenant that are counted apart; some servers answer to any name


def count(connection: sqlite3.Connection, model: str, tenant: str, name: str, number: int) -> None:
    """Add to a count; where the table is full, to the one that has no name."""
    updated = connection.execute(
        f"UPDATE counts SET {name} = {name} + ? WHERE model = ? AND tenant = ?", (number, model, tenant)
    ).rowcount
    if updated:
        return
    if connection.execute("SELECT count(*) FROM counts").fetchone()[0] >= PAIRS:
        model = tenant = ""
    connection.execute(
        f"INSERT INTO counts (model, tenant, {name}) VALUES (?, ?, ?)"
        f" ON CONFLICT DO UPDATE SET {name} = {name} + excluded.{name}",
        (model, tenant, number),
    )


def count_gone(connection: sqlite3.Connection, which: str, name: str) -> None:
    """Count entries that go, for their models and tenants.

    Args:
        connection: For changes.
        which: The condition that they fulfil, in SQL.
        name: The count.
    """
    connection.execute(
        f"INSERT INTO counts (model, tenant, {name})"
        " SELECT coalesce(counts.model, '') AS m, coalesce(counts.tenant, '') AS t, count(*)"
        " FROM (SELECT model, tenant FROM entries"
        f" WHERE {which}) AS gone LEFT JOIN counts ON counts.model = gone.model AND counts.tenant = gone.tenant"
        f" GROUP BY m, t ON CONFLICT DO UPDATE SET {name} = {name} + excluded.{name}"
    )

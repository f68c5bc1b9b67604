"""Alembic's environment: it migrates on a given connection, in its transaction."""

from alembic import context
from sqlalchemy import Connection

from agentnb.store.schema import metadata

connection: Connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata)
# No new transaction: the open one holds the lock that excludes other processes.
context.run_migrations()

"""What Alembic runs to apply the steps: on the connection and in the transaction it is given."""

from alembic import context
from sqlalchemy import Connection

from agentnb.store.schema import metadata

connection: Connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata)
# No transaction of its own: whoever opened this one holds the lock that keeps others out.
context.run_migrations()

"""Alembic's entry: the caller hands the connection in, and its transaction covers the migration."""

from alembic import context

from sync.store.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()

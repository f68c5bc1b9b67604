"""The store of runs: SQLite or PostgreSQL, written while runs stream."""

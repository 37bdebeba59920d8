"""Exports: a run given away as files that open without a server and ask for nothing."""

"""Servers of the tests on loopback: S3, HTTP, PostgreSQL, a stand-in for GEODES."""

"""The gate before the datalake.

It speaks S3, knows who asks by the person's own token, refuses what is restricted, and counts.
"""

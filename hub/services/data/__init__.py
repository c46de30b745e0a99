"""The gate before the datalake: it speaks S3, knows who asks by the person's own token, refuses what is restricted, and counts."""

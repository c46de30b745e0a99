"""The gate in front of the datalake.

It speaks S3, identifies people by their own tokens, refuses restricted places, and counts bytes.
"""

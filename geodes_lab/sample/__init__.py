"""The sample datalake: generated products with known answers, and the truth they were made from."""

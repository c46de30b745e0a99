"""What is in the sample datalake? Generated products with known values, and the truth that they are made from."""

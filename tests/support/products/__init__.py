"""Products of the tests: changed, damaged, hostile, or made of real annotations."""

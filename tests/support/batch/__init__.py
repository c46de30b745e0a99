"""What the tests of jobs share."""

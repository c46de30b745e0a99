"""Products of Theia and of CNES's MUSCATE centre."""

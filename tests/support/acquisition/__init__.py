"""What the tests of the acquisition engine share: a stand-in of CDSE, and engines that die."""

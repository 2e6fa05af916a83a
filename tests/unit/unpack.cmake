unit_test(roots unpack)

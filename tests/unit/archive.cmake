unit_test(reading archive)

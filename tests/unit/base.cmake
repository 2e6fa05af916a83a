unit_test(path base)

unit_test(path base)
unit_test(report base)

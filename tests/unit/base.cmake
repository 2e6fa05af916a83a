unit_test(array base)
unit_test(path base)
unit_test(report base)
unit_test(account base)

unit_test(beneath base tree)

unit_test(layout layout)

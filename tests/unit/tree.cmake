unit_test(beneath base tree)
unit_test(walk base tree)
unit_test(create base tree)
unit_test(staging base tree)

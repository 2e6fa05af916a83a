unit_test(staging commit)
unit_test(staging_crash commit)

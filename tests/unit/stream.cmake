unit_test(pool base stream)
unit_test(chunk base stream)
unit_test(pipeline base stream)
unit_test(source base stream)

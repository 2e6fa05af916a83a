unit_test(judge judge)
unit_test(named judge)

unit_test(judge judge)

unit_test(trees trees)

unit_test(pax tar)
unit_test(tar formats tar)
unit_test(registry formats tar)

unit_test(zip formats zip tar)
unit_test(zip_hostile formats zip tar)

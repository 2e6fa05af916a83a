unit_test(zip formats zip tar)
unit_test(zip_hostile formats zip tar)
unit_test(zip_foreign formats zip tar)

unit_test(relocate_text restore)

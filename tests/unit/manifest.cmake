unit_test(manifest base stream manifest)
unit_test(links manifest)
unit_test(manifest_refusals base stream manifest)
unit_test(manifest_lines base stream manifest)

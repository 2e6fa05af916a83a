unit_test(pickle base numba)
unit_test(index base numba)
unit_test(key base numba)
unit_test(stamp base numba)
target_link_libraries(test_stamp PRIVATE m)
unit_test(places base numba)
unit_test(index_restamp base numba)
unit_test(index_write base numba)
unit_test(features base numba)
unit_test(data base numba)
unit_test(zipped base numba)
unit_test(imports base numba)
unit_test(code_names base numba)
unit_test(depends base numba)
unit_test(config_file base numba)

# Programs that write what the library finds, for tests in Python.
foreach(program show_imports show_code_names show_depends)
  add_executable(${program} EXCLUDE_FROM_ALL ${program}.c ${numba_OBJECTS} ${base_OBJECTS})
  target_link_libraries(${program} PRIVATE warmpack_flags)
  set_property(GLOBAL APPEND PROPERTY warmpack_unit_tests ${program})
endforeach()

# Compared with Python's ast on a part of what Debian's packages hold; tests/fuzz takes all.
add_test(NAME imports_by_ast COMMAND /usr/bin/python3 -B ${CMAKE_CURRENT_SOURCE_DIR}/imports_by_ast.py
                                     $<TARGET_FILE:show_imports> 5)
add_test(NAME depends_by_ast COMMAND /usr/bin/python3 -B ${CMAKE_CURRENT_SOURCE_DIR}/depends_by_ast.py
                                     $<TARGET_FILE:show_depends> $<TARGET_FILE:show_imports>)
set_tests_properties(imports_by_ast depends_by_ast PROPERTIES
                     ENVIRONMENT "EMULATOR=${CMAKE_CROSSCOMPILING_EMULATOR}")

# The same tests as they run on other processors: see lib/numba/source_text.c.
set(imports_sources imports imports_dynamic imports_encoding source_text)
list(TRANSFORM imports_sources REPLACE "(.+)" "${CMAKE_SOURCE_DIR}/lib/numba/\\1.c")
set(levels 0)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  list(APPEND levels 1)
endif()
foreach(level ${levels})
  set(name imports_portable_${level})
  add_executable(test_${name} EXCLUDE_FROM_ALL test_imports.c ${imports_sources} ${base_OBJECTS})
  target_link_libraries(test_${name} PRIVATE warmpack_flags PkgConfig::cmocka)
  target_compile_definitions(test_${name} PRIVATE SOURCE_TEXT_LEVEL=${level})
  add_test(NAME ${name} COMMAND test_${name})
  set_property(GLOBAL APPEND PROPERTY warmpack_unit_tests test_${name})
endforeach()

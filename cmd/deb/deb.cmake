# The Debian package of the program (preset deb): its target "package"

set(deb_contact "The warmpack authors <warmpack@debian.invalid>")
set(doc_dir ${CMAKE_INSTALL_DATADIR}/doc/warmpack)

# Debian wants manual and changelogs compressed, without a name or a time in the header.
function(install_compressed file name destination)
  file(RELATIVE_PATH from ${CMAKE_SOURCE_DIR} ${file})
  set(packed ${CMAKE_BINARY_DIR}/deb/${destination}/${name}.gz)
  add_custom_command(
    OUTPUT ${packed}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_BINARY_DIR}/deb/${destination}
    COMMAND ${CMAKE_COMMAND} -E copy ${file} ${CMAKE_BINARY_DIR}/deb/${destination}/${name}
    COMMAND gzip -9nf ${CMAKE_BINARY_DIR}/deb/${destination}/${name}
    DEPENDS ${file}
    VERBATIM)
  string(MAKE_C_IDENTIFIER "deb_${name}" target)
  add_custom_target(${target} ALL DEPENDS ${packed})
  install(FILES ${packed} DESTINATION ${destination} COMPONENT program)
endfunction()

foreach(section 1 5)
  file(GLOB pages CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/man/*.${section})
  foreach(page ${pages})
    get_filename_component(name ${page} NAME)
    install_compressed(${page} ${name} ${CMAKE_INSTALL_MANDIR}/man${section})
  endforeach()
endforeach()

# Of SOURCE_DATE_EPOCH, where it is set.
string(TIMESTAMP deb_date "%a, %d %b %Y %H:%M:%S +0000" UTC)
configure_file(${CMAKE_SOURCE_DIR}/cmd/deb/changelog.in ${CMAKE_BINARY_DIR}/changelog @ONLY)
install_compressed(${CMAKE_BINARY_DIR}/changelog changelog ${doc_dir})
install(FILES cmd/deb/copyright README.md CHANGELOG.md DESTINATION ${doc_dir} COMPONENT program)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME warmpack)
set(CPACK_PACKAGE_CONTACT "${deb_contact}")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_CMAKE_PROJECTS "${CMAKE_BINARY_DIR};warmpack;program;/")
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
    OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
set(CPACK_DEBIAN_PACKAGE_SECTION utils)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
# Loaded by the program itself, so that it is not found among those linked.
execute_process(COMMAND dpkg-query --search */libarchive.so.13 OUTPUT_VARIABLE libarchive_package
                COMMAND_ERROR_IS_FATAL ANY)
string(REGEX REPLACE "[:,].*" "" libarchive_package "${libarchive_package}")
set(CPACK_DEBIAN_PACKAGE_DEPENDS "${libarchive_package} (>= 3.6)")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "pack Python trees so that their Numba caches arrive warm")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
    "Numba throws away what it compiled when the time of a source file differs in
the last nanosecond, or when the file lies at another path. warmpack is used
in place of tar: it keeps exact times, gives cache directories the names that
Numba computes for the new place, and proves that every index is valid there.")
include(CPack)

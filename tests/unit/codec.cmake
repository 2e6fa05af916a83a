unit_test(crc base stream codec)
unit_test(gzip base stream codec)
unit_test(zstd base stream codec)
unit_test(none base stream codec)

#pragma once
/* The CRC-32 of gzip and zip. */

#include <stddef.h>
#include <stdint.h>

/* CRC: of the bytes before these; 0 where there are none. */
uint32_t crc_add(uint32_t crc, const void *data, size_t n);

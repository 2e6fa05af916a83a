#pragma once
/* Modules of the Python package that the build takes into the program. */

extern const unsigned char embedded_explaining[]; /* explaining.py; ends with a zero */

# coding: latin-1
x = "é"import a \
  . b# from c \import d
import ï½, xâ
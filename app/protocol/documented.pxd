# C types of documented.py, for the compiled build (setup.py).

cimport cython

@cython.locals(known=frozenset)
cpdef bint has_known_members(dict frame)

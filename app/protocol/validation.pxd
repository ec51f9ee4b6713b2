# C types of validation.py, for the compiled build (setup.py).

cimport cython

cpdef validate(dict frame)
cpdef response_id(dict frame)
@cython.locals(untimed=bint, unchannelled=bint)
cpdef missing_members(dict frame, double now)

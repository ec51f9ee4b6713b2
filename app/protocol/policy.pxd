# C types of policy.py, for the compiled build (setup.py).

cimport cython

cpdef judge(dict frame)
cpdef response_id(dict frame)
@cython.locals(untimed=bint, unchannelled=bint)
cpdef missing(dict frame, double now)

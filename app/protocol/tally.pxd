# C types of tally.py, for the compiled build (setup.py).

cdef class Count:
    cdef public dict frames
    cdef public unsigned long long size

    cpdef add(self, str kind, Py_ssize_t size)

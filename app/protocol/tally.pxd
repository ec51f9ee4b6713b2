cdef class Count:
    cdef public dict frames
    cdef public unsigned long long size

    cpdef add(self, str kind, Py_ssize_t size)

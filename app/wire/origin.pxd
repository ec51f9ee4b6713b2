# C types of origin.py, for the compiled build (setup.py).

cdef class Origin:
    cdef public bytes data
    cdef public object payload
    cdef public Py_ssize_t start
    cdef public Py_ssize_t stop
    cdef object _runner
    cdef Py_ssize_t _run_start
    cdef Py_ssize_t _run_stop

    cpdef run_on(self, runner)
    cpdef end_run(self)
    cpdef release(self)
    cpdef Py_ssize_t running(self, runner)

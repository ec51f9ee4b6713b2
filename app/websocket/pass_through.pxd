# C types of pass_through.py, for the compiled build (setup.py).

cdef class PassThrough:
    cdef public bytes data
    cdef public object payload
    cdef public Py_ssize_t start
    cdef public Py_ssize_t stop
    cdef object _target
    cdef Py_ssize_t _forward_start
    cdef Py_ssize_t _forward_stop

    cpdef forward(self, runner)
    cpdef end_forward(self)
    cpdef release(self)
    cpdef Py_ssize_t forwarded_size(self, runner)

# C types of upstream_leg.py, for the compiled build (setup.py).

cdef class UpstreamLeg:
    cdef public object text_received
    cdef public object binary_received
    cdef public object read_complete
    cdef public bint is_held
    cdef public bint is_paused
    cdef public bint write_paused
    cdef object _events
    cdef object _socket
    cdef object _disconnected

    cpdef send(self, bytes payload)

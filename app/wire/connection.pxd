# C types of connection.py, for the compiled build (setup.py).

cimport cython
from app.wire.channel cimport Channel
from app.wire.framing cimport Parser
from app.wire.wiring cimport Wiring

cdef class Connection(Channel):
    cdef double _asked
    cdef object _closed
    cdef object _controls
    cdef Py_ssize_t _discarded
    cdef bytes _early
    cdef object _limits
    cdef object _loop
    cdef Parser _parser
    cdef double _ping_at
    cdef object _slot
    cdef public object on_binary

    cpdef data_received(self, bytes data)
    @cython.locals(parser=Parser)
    cpdef deliver(self, bytes data)

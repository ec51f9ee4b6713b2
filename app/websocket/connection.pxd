# C types of connection.py, for the compiled build (setup.py).

cimport cython
from app.websocket.transport cimport BufferedTransport
from app.websocket.frame_parser cimport FrameParser
from app.websocket.io_batcher cimport IoBatcher

cdef class Connection(BufferedTransport):
    cdef double _unanswered_ping_at
    cdef object _closed
    cdef object _controls
    cdef Py_ssize_t _discarded
    cdef bytes _early
    cdef object _limits
    cdef object _loop
    cdef FrameParser _parser
    cdef double _ping_at
    cdef object _slot
    cdef public object on_binary

    cpdef data_received(self, bytes data)
    @cython.locals(parser=FrameParser)
    cpdef deliver(self, bytes data)

# C types of browser.py, for the compiled build (setup.py).

cimport cython
from app.wire.connection cimport Connection
from app.wire.frames cimport header
from app.wire.origin cimport Origin

cdef class BrowserSocket(Connection):
    cdef object _connections
    cdef Origin _origin

    @cython.locals(origin=Origin)
    cpdef send_text(self, bytes payload)
    cpdef cork_run(self, bytes frames)
    cpdef flush(self)
    cdef _end_run(self)

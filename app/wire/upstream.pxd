# C types of upstream.py, for the compiled build (setup.py).

from app.wire.connection cimport Connection
from app.wire.frames cimport masked_header

cdef class UpstreamSocket(Connection):
    pass

# C types of disclosure.py, for the compiled build (setup.py).

cimport cython
from app.protocol.byte_checks cimport may_contain

cdef class Disclosure:
    cdef object _profile
    cdef object _id
    cdef tuple _secrets

    cpdef shown(self, kind, dict frame, bytes payload, double now)
    cpdef bint is_free_of_secrets(self, bytes payload) except -1
    cdef bint _contains_secret(self, dict frame, bytes payload) except -1
    @cython.locals(secret=bytes)
    cdef bint _has_secret(self, bytes payload) except -1

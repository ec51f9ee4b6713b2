# C types of byte_checks.py, for the compiled build (setup.py).

cimport cython

cdef unsigned char _BACKSLASH, _U
cdef Py_ssize_t _LONGEST_ESCAPE
cdef int _HIGH_SURROGATES, _LOW_SURROGATES, _LAST_SURROGATE

@cython.locals(
    octets="const unsigned char *",
    escaped="unsigned char",
    every="unsigned char",
    at=Py_ssize_t,
    octet="unsigned char",
)
cpdef bint is_well_written(bytes payload) except -1

@cython.locals(octets="const unsigned char *", every="unsigned char", at=Py_ssize_t)
cpdef bint is_ascii(bytes payload) except -1

@cython.locals(
    octets="const unsigned char *",
    end=Py_ssize_t,
    at=Py_ssize_t,
    wrong="unsigned char",
    octet="unsigned char",
    before="unsigned char",
    second="unsigned char",
    third="unsigned char",
    begun="unsigned char",
    continues="unsigned char",
)
cpdef bint is_utf8(bytes payload) except -1

cdef bint _is_decodable(bytes payload) except -1

@cython.locals(
    octets="const unsigned char *",
    end=Py_ssize_t,
    at=Py_ssize_t,
    wrong="unsigned char",
    rare="unsigned char",
    begins="unsigned char",
    letter="unsigned char",
    first="unsigned char",
    second="unsigned char",
    numbered="unsigned char",
    written="unsigned char",
)
cpdef bint has_valid_escapes(bytes payload) except -1

@cython.locals(
    octets="const unsigned char *",
    wanted="const unsigned char *",
    last=Py_ssize_t,
    second=Py_ssize_t,
    third=Py_ssize_t,
    at=Py_ssize_t,
    found="unsigned char",
)
cpdef bint may_contain(bytes payload, bytes sought) except -1

cdef unsigned char _is_escapable(unsigned char octet) noexcept

@cython.locals(lower="unsigned char")
cdef unsigned char _is_hex(unsigned char octet) noexcept

@cython.locals(octets="const unsigned char *")
cdef bint _are_valid(bytes payload, Py_ssize_t position) except -1

@cython.locals(letter="unsigned char", unit=int)
cdef Py_ssize_t _after_escape(
    const unsigned char *octets, Py_ssize_t position, Py_ssize_t end
) noexcept

@cython.locals(at=int, value=int, octet="unsigned char")
cdef int _code_unit(const unsigned char *octets, Py_ssize_t position, Py_ssize_t end) noexcept

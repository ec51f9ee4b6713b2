# C types of json_scanner.py, for the compiled build (setup.py).

cimport cython

cdef int _UNDECIDED
cdef Py_ssize_t _LONGEST_NUMBER, _LONGEST_EXPONENT, _BLOCK
cdef bytes _NULL, _TRUE, _FALSE
cdef unsigned char _QUOTE, _BACKSLASH, _COLON, _COMMA, _SPACE, _ZERO, _NINE
cdef unsigned char _OPENING_BRACE, _CLOSING_BRACE, _OPENING_BRACKET, _CLOSING_BRACKET

cpdef Py_ssize_t after_space(const unsigned char *octets, Py_ssize_t position, Py_ssize_t end) noexcept

@cython.locals(wanted="const unsigned char *", size=Py_ssize_t, at=Py_ssize_t)
cpdef bint is_at(
    const unsigned char *octets, Py_ssize_t position, Py_ssize_t end, bytes expected
) except -1

@cython.locals(octet="unsigned char", stop=Py_ssize_t)
cpdef Py_ssize_t after_string(
    const unsigned char *octets, Py_ssize_t position, Py_ssize_t end
) noexcept

@cython.locals(
    at=int,
    found="unsigned char",
    octet="unsigned char",
    before="unsigned char",
    second="unsigned char",
)
cdef unsigned char _may_end(const unsigned char *octets, Py_ssize_t position) noexcept

@cython.locals(start=Py_ssize_t)
cdef bint _is_escaped(const unsigned char *octets, Py_ssize_t position) noexcept

cpdef Py_ssize_t after_key(const unsigned char *octets, Py_ssize_t position, Py_ssize_t end) noexcept

cpdef Py_ssize_t after_colon(
    const unsigned char *octets, Py_ssize_t position, Py_ssize_t end
) noexcept

cpdef Py_ssize_t after_scalar(
    const unsigned char *octets, Py_ssize_t position, Py_ssize_t end
) except -2

@cython.locals(start=Py_ssize_t, stop=Py_ssize_t)
cpdef Py_ssize_t after_number(
    const unsigned char *octets, Py_ssize_t position, Py_ssize_t end
) noexcept

cdef Py_ssize_t _after_digits(
    const unsigned char *octets, Py_ssize_t position, Py_ssize_t end
) noexcept

@cython.locals(
    objects="unsigned long long",
    depth=int,
    opening="unsigned char",
    octet="unsigned char",
)
cpdef Py_ssize_t after_value(
    const unsigned char *octets, Py_ssize_t position, Py_ssize_t end, int deepest
) except -2

cdef unsigned char _closing(unsigned long long objects) noexcept

cdef Py_ssize_t _next_value(
    const unsigned char *octets, Py_ssize_t position, Py_ssize_t end, unsigned long long objects
) noexcept

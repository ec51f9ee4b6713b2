"""What HTTP and browsers see: the socket, the routes of backends and operators, the pages."""

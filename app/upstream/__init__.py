"""How the vendor is reached: endpoints, credentials, dialling, circuit breakers, the probe."""

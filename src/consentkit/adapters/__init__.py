"""One module per server interface or framework; each offers `ConsentMiddleware` and the verb `consent_from`."""
